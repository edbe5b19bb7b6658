"""A rehearsal that comes to a halt: the probe sees what at, and the verdict says so."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from runner.adapters.probe_log import ProbeLog
from runner.engine.sightings import events_of
from runner.model import events as ev
from runner.model.board import Board
from runner.model.reduce import reduce
from runner.model.rows import JobRow
from runner.model.stall import Stall, stall_of
from tests.unit.fakes import jobs

ROOT = Path(__file__).parents[2]
PROBE = ROOT / "runner" / "probe"
JOB = jobs(1)[0].id


@contextmanager
def rehearsed(folder: Path, setting: str, fault: dict[str, object], speed: float) -> Iterator[None]:
    (folder / "plan.json").write_text(json.dumps({"faults": [fault]}))
    environ = {
        **os.environ,
        "COOPDECK_REHEARSAL": json.dumps({"speed": speed, "faults": str(folder / "plan.json")}),
        "PYTHONPATH": str(PROBE),
        "COOPERBENCH_EXTERNAL_AGENTS": "coopdeck_probe",
        "COOPDECK_PROBE": str(folder / "probe.jsonl"),
    }
    words = ["run", "-n", "x", "--setting", setting, "-r", "dspy_task", "-t", "8563", "-f", "2,6"]
    with (folder / "output.log").open("wb") as output:
        job = subprocess.Popen(
            [sys.executable, "-m", "runner.rehearsal", *words, "--log-dir", str(folder / "logs"), "--no-auto-eval"],
            cwd=ROOT,
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        job.kill()
        job.wait()


def seen(folder: Path) -> JobRow:
    """The job's row as the runner would have it now."""
    news = anyio.run(ProbeLog(folder).news)
    opening = (ev.JobsPlanned(jobs(1)), ev.AttemptStarting(JOB, 1, "t", "f"), ev.AttemptStarted(JOB, 1, 1, 1))
    board = Board()
    for seq, event in enumerate((*opening, *events_of(JOB, 1, news)), 1):
        board = reduce(board, ev.Envelope(seq, time.time(), event))
    return board.jobs[JOB]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("setting", "where", "says"),
    [
        ("solo", "llm", "waiting for the API, no answer for 16 m"),
        ("solo", "command", "command running 16 m: "),
        ("coop", "command", "agent1: command running 16 m: "),
        ("coop", "peer", "agent1: waiting for agent2's reply for 16 m"),
        ("solo", "peer", "command running 16 m: "),
    ],
)
def test_a_hang_is_at_what_the_plan_says(tmp_path: Path, setting: str, where: str, says: str) -> None:
    def verdict() -> str:
        stall = stall_of(seen(tmp_path), time.time() + 1000, 600.0)
        return stall.says if stall else ""

    with rehearsed(tmp_path, setting, {"fault": "hang", "after": 0.5, "in": where}, 1e5):
        until(lambda: verdict().startswith(says))


def _stall_after(lines: list[bytes], folder: Path) -> Stall | None:
    folder.mkdir(exist_ok=True)
    (folder / "probe.jsonl").write_bytes(b"".join(lines))
    return stall_of(seen(folder), json.loads(lines[-1])["at"], 600.0)


def test_retries_pile_up_and_then_it_goes_on(tmp_path: Path) -> None:
    def over() -> bool:
        row = seen(tmp_path)
        return bool(row.agents) and all(agent.doing == "ended" for agent in row.agents)

    with rehearsed(tmp_path, "solo", {"fault": "retries", "after": 0.5, "times": 7}, 1000):
        until(over)
    # As who looked after each line would have seen it; in earnest nobody looks so often.
    lines = (tmp_path / "probe.jsonl").read_bytes().splitlines(keepends=True)
    looks = (_stall_after(lines[:number], tmp_path / "part") for number in range(1, len(lines)))
    piled = [stall.says for stall in looks if stall]
    assert "waiting for the API, 6th retry of 10, RateLimitError" in piled
    assert list(tmp_path.glob("logs/x/*/*/*/*/result.json"))
    assert "as it raised RateLimitError" in (tmp_path / "output.log").read_text()
