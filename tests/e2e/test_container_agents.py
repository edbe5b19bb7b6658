"""Agents that work inside their container, by upstream's own adapters: seen at work through the container.

Their programs are stand-ins that write the documented streams: neither can be installed or paid for here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dataset import IMAGES, REPO
from tests.e2e.streams import CLAUDE, CODEX, GO_ON, LEAVE, SPENT_USD, stand_in

pytestmark = pytest.mark.docker

TASK = 9
NOTHING = "#!/bin/sh\nexit 0\n"


@pytest.fixture(scope="module")
def image(toy_images: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A toy image in which there is nothing left to install."""
    folder = tmp_path_factory.mktemp("image")
    programs = {
        "apt-get": NOTHING, "npm": NOTHING, "claude": stand_in(CLAUDE), "codex": stand_in(CODEX)
    }  # fmt: skip
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "Dockerfile").write_text(f"FROM {IMAGES[0]}\nCOPY {' '.join(programs)} /usr/local/bin/\n")
    name = f"{IMAGES[0].rpartition(':')[0]}:task{TASK}"
    build = ["docker", "build", "-q", "-t", name, str(folder)]
    made = subprocess.run(
        build, env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return name


@pytest.fixture(scope="module")
def dataset(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("container") / "dataset"
    shutil.copytree(toy_dataset, folder)
    shutil.copytree(folder / REPO / "task1", folder / REPO / f"task{TASK}")
    return folder


@pytest.mark.parametrize(
    ("agent", "model", "steps", "tokens"),
    [
        ("claude_code", "anthropic/claude-sonnet-4-6", 3, {"input": 5000, "output": 300, "cached": 4200}),
        ("codex", "openai/gpt-5.5", 3, {"input": 24763, "output": 122, "cached": 24448}),
    ],
)
def test_steps_and_tokens_are_seen_while_it_works(
    cooperbench_program: Path,
    image: str,
    dataset: Path,
    tmp_path: Path,
    agent: str,
    model: str,
    steps: int,
    tokens: dict[str, int],
) -> None:
    asked = ["run", "c", "--pairs", f"{REPO}/{TASK}/f1_f2", "--settings", "solo", "-m", model, "-a", agent]
    where = ["--dataset-dir", str(dataset), "--cooperbench", str(cooperbench_program)]
    lines: list[dict[str, Any]] = []
    with (
        open(tmp_path / "stderr", "w+") as errors,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.cli", *asked, *where, "--headless", "--json"],
            cwd=tmp_path,
            env={**os.environ, "ANTHROPIC_API_KEY": "sk-nobody", "OPENAI_API_KEY": "sk-nobody"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as ran,
    ):
        for line in ran.stdout or ():
            lines.append(json.loads(line))
            # The agent is at work until it has been seen so far, and stays until all of it was.
            if lines[-1]["type"] == "AgentSeen" and containers():
                gates = [GO_ON] * (lines[-1]["steps"] >= 2)
                gates += [LEAVE] * ((lines[-1]["steps"], lines[-1]["tokens"]) == (steps, tokens))
                if gates:
                    subprocess.run(["docker", "exec", *containers(), "touch", *gates], capture_output=True, check=False)
        errors.seek(0)
        said = errors.read()
    assert ran.returncode == 0, said
    seen = [line for line in lines if line["type"] == "AgentSeen"]
    ended = next(number for number, line in enumerate(lines) if line["type"] == "AttemptEnded")
    live = [line for line in lines[:ended] if line["type"] == "AgentSeen" and line["doing"] != "ended"]
    assert {line["steps"] for line in live} & set(range(1, steps + 1)), seen
    assert max(line["steps"] for line in seen) == steps
    assert seen[-1]["tokens"] == tokens
    # No call tells its price: it stays unknown until upstream says what it was.
    assert {line["cost_usd"] for line in live} == {None}
    outcome = lines[ended]["outcome"]
    assert outcome["status"] == "Submitted"
    if agent == "claude_code":
        assert outcome["cost_usd"] == pytest.approx(SPENT_USD)
        assert any(line["tokens"]["input"] > 0 for line in live), live
    (probe,) = tmp_path.glob(".coopdeck/sweeps/c/attempts/*/1/probe.jsonl")
    told = [json.loads(line) for line in probe.read_text().splitlines()]
    assert [line["step"] for line in told if line["type"] == "step"] == list(range(1, steps + 1))
    assert sum(line["type"] == "exec_end" for line in told) == 2
    assert containers() == []


def containers() -> list[str]:
    named = ["docker", "ps", "-aq", "--filter", "label=coopdeck.sweep=c"]
    return subprocess.run(named, capture_output=True, text=True, check=True).stdout.split()
