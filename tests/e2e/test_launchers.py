"""Forked or by the plain command: upstream does the same, on the real thing."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.commands.sweeps import the_sweep
from runner.model.board import Board
from tests.e2e.dataset import REPO
from tests.e2e.endpoint import Fault, ScriptedEndpoint

pytestmark = pytest.mark.docker

SWEEP = "same"
PAIRS = ("1/f1_f2", "1/f1_f3")
CONFIG = "agent:\n  step_limit: 10\nmodel:\n  model_kwargs:\n    max_retries: 0\n"
PLAN = (
    Fault("loop", marker="toy-task1-feature3", agent="solo"),
    Fault("status", marker="toy-task1-feature3", agent="agent2", status=400),
)
CHANGING = {"run_id", "started_at", "ended_at", "duration_seconds", "log_dir"}
# Who works with another waits for messages as often as it takes, and each look is a step.
BY_CHANCE = {"steps", "cost", "total_steps", "total_cost", "messages_sent"}


@dataclass(frozen=True)
class Ran:
    """Four jobs of which one submits, one exceeds its limit, one pair cooperates and one fails."""

    folder: Path
    board: Board
    log: str

    @property
    def attempts(self) -> Path:
        return self.folder / ".coopdeck" / "sweeps" / SWEEP / "attempts"

    def files(self) -> dict[str, Path]:
        """What was delivered, and what was kept of the attempts, by its place."""
        found = {str(path.relative_to(self.folder)): path for path in self.folder.glob("logs/**/*") if path.is_file()}
        found |= {f"attempts/{path.relative_to(self.attempts)}": path for path in self.attempts.rglob("*")}
        return {place: path for place, path in found.items() if path.name != "claim"}


@contextmanager
def ran(launcher: str, folder: Path, program: Path, dataset: Path, redis: str) -> Iterator[Ran]:
    folder.mkdir()
    (folder / "few.yaml").write_text(CONFIG)
    with ScriptedEndpoint(*PLAN) as endpoint:
        asked = ["run", SWEEP, "--pairs", ",".join(f"{REPO}/{pair}" for pair in PAIRS), "--settings", "solo,coop-comm"]
        how = [
            "-m",
            "openai/gpt-4o",
            "-c",
            "4",
            "--redis",
            redis,
            "--agent-config",
            "few.yaml",
            "--attempts",
            "1",
            "--no-ping",
        ]
        where = ["--dataset-dir", str(dataset), "--cooperbench", str(program), "--launcher", launcher]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "runner.cli", *asked, *how, *where, "--headless", "--json"],
            cwd=folder,
            env={**os.environ, **endpoint.environment},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 1, done.stdout + done.stderr
        log = folder / ".coopdeck" / "sweeps" / SWEEP / "runner.log"
        yield Ran(folder, the_sweep(SWEEP, folder).board(), log.read_text())


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    toy_dataset: Path,
    redis_url: str,
) -> Iterator[tuple[Ran, Ran]]:
    folder = tmp_path_factory.mktemp("both")
    bed = cooperbench_program, toy_dataset, redis_url
    # Names of one length: upstream's log is wrapped.
    with ran("auto", folder / "fork", *bed) as forked, ran("cli", folder / "exec", *bed) as plain:
        yield forked, plain


def test_where_it_can_be_attempts_are_forked(both: tuple[Ran, Ran]) -> None:
    forked, plain = both
    assert len(list(forked.attempts.glob("*/1/claim"))) == 4
    assert not list(plain.attempts.glob("*/1/claim"))
    # A slow engine may be told of; nothing else.
    assert [line for log in (forked.log, plain.log) for line in log.splitlines() if "Docker" not in line] == []
    assert forked.board.runner is not None
    assert forked.board.runner.not_warm == ""


def test_the_outcomes_are_the_same(both: tuple[Ran, Ran]) -> None:
    outcomes = [_outcomes(one.board) for one in both]
    assert outcomes[0] == outcomes[1]
    assert sorted((label, failure) for label, failure, *_ in outcomes[0].values()) == [
        ("LimitsExceeded", None),
        ("Submitted", None),
        ("Submitted", None),
        ("request", "request"),
    ]


def test_the_files_are_the_same(both: tuple[Ran, Ran]) -> None:
    forked, plain = (one.files() for one in both)
    assert sorted(forked) == sorted(plain)
    for place, path in forked.items():
        if path.suffix == ".patch":
            assert path.read_bytes() == plain[place].read_bytes(), place
        elif path.name == "result.json":
            assert _result(path) == _result(plain[place]), place
        elif path.name.endswith("_traj.json"):
            assert _conversation(path) == _conversation(plain[place]), place


def test_the_probe_sees_the_same_and_the_log_says_the_same(both: tuple[Ran, Ran]) -> None:
    solo = [one.attempts / f"solo.{REPO}.1.f1_f2" / "1" for one in both]
    lines = [[json.loads(line) for line in (folder / "probe.jsonl").read_text().splitlines()] for folder in solo]
    assert [line["type"] for line in lines[0]] == [line["type"] for line in lines[1]]
    assert lines[0][0]["sees"] == lines[1][0]["sees"]
    logs = [_plain((folder / "output.log").read_text()) for folder in solo]
    assert logs[0] == logs[1]


def _outcomes(board: Board) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for job, row in board.jobs.items():
        outcome = row.attempts[-1].outcome
        assert outcome is not None
        assert len(row.attempts) == 1
        found[job] = outcome.label, outcome.failure, outcome.evidence, outcome.patch_lines
        if job.startswith("solo"):
            found[job] += outcome.cost_usd, outcome.steps
    return found


def _result(path: Path) -> Any:
    result = json.loads(path.read_text())
    dropped = CHANGING if result["setting"] == "solo" else CHANGING | BY_CHANCE

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: kept(inner) for name, inner in value.items() if name not in dropped}
        return value

    return kept(result)


def _conversation(path: Path) -> list[tuple[str, str]]:
    """Without what only a message from the other agent brings, which comes at its own time."""
    messages = json.loads(path.read_text())["messages"]
    return [(message.get("role", ""), _plain(str(message.get("content")))) for message in messages[:2]]


def _plain(text: str) -> str:
    text = text.replace("/both0/fork/", "/both0/exec/")
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", text)
