"""The rehearsal as a program: every way it goes wrong."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runner.rehearsal.errors import MODEL_ERRORS, SETUP_ERRORS
from runner.rehearsal.faults import FAULTS
from tests.unit.stage import Stage, read, result_of


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_an_evaluation_error(stage: Stage) -> None:
    stage.run("coop-nocomm")
    words = ["eval", "-n", "x", "--log-dir", str(stage.logs)]
    stage.start(*words, faults=[{"fault": "eval-error", "text": "no sandbox"}]).communicate(timeout=40)
    assert read(stage.job("coop-nocomm") / "eval.json")["error"] == "no sandbox"


AGENT_FAULTS = [name for name in FAULTS if name in MODEL_ERRORS or name in SETUP_ERRORS]


def test_every_error_of_an_agent(stage: Stage) -> None:
    def one(name: str) -> None:
        stage.run("coop-comm", {"fault": name}, name=name)
        result = stage.result("coop-comm", name)
        hurt, well = result["agents"]["agent1"], result["agents"]["agent2"]
        assert hurt["status"] == "Error", name
        assert hurt["cost"] == 0, name
        trajectory = read(stage.job("coop-comm", name) / "agent2_traj.json")
        if name in MODEL_ERRORS:
            exit_status, text = MODEL_ERRORS[name]
            assert hurt["error"] == text.replace("{model}", "gpt-4o"), name
            assert hurt["error"].startswith("litellm."), name
            assert trajectory["messages"][-1]["extra"]["exit_status"] == exit_status, name
            assert hurt["steps"] > 0, name
        else:
            assert trajectory["messages"] == [], name
            assert "{" not in hurt["error"], name
            assert hurt["steps"] == 0, name
        everybody = name == "unknown-agent"
        assert well["status"] == ("Error" if everybody else "Submitted"), name
        assert result["total_cost"] == pytest.approx(well["cost"]), name

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, AGENT_FAULTS))


def test_all_agents_err_early_and_may_keep_their_cost(stage: Stage) -> None:
    stage.run("coop-comm", {"fault": "rate", "agents": "all", "spent": True, "after": 0.6})
    result = stage.result("coop-comm")
    assert {agent["status"] for agent in result["agents"].values()} == {"Error"}
    assert 0 < result["total_cost"] == pytest.approx(sum(a["cost"] for a in result["agents"].values()))
    stage.run("coop-comm", name="whole")
    whole = stage.result("coop-comm", "whole")["duration_seconds"]
    assert result["duration_seconds"] == pytest.approx(0.6 * whole)


def test_a_pull_timeout(stage: Stage) -> None:
    stage.run("solo", {"fault": "image", "kind": "timeout"})
    assert stage.result("solo")["agent"]["error"].endswith("timed out after 120 seconds")


def test_a_fault_may_quote_any_text(stage: Stage) -> None:
    stage.run("solo", {"fault": "context", "text": "litellm.ContextWindowExceededError: docker {compose}"})
    assert stage.result("solo")["agent"]["error"].endswith("docker {compose}")


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("redis", "redis.exceptions.ConnectionError: "),
        ("git-server", "docker.errors.BuildError: "),
        ("crash", "TypeError: "),
    ],
)
def test_tracebacks(stage: Stage, name: str, last: str) -> None:
    _, err = stage.run("coop-comm", {"fault": name}, "--git", status=1)
    assert err.startswith(b"Traceback (most recent call last):\n")
    assert err.decode().splitlines()[-1].startswith(last)
    assert not stage.job("coop-comm").exists()


@pytest.mark.parametrize(
    ("fault", "number"),
    [
        ({"fault": "oom"}, signal.SIGKILL),
        ({"fault": "kill"}, signal.SIGSEGV),
        ({"fault": "kill", "signal": "SIGKILL"}, signal.SIGKILL),
    ],
)
def test_deaths_by_signal(stage: Stage, fault: dict[str, object], number: int) -> None:
    out, _ = stage.run("solo", fault, status=-number)
    assert b"starting..." in out
    assert not stage.job("solo").exists()


@pytest.mark.parametrize("name", ["hang", "ignore-sigterm"])
def test_hanging(stage: Stage, name: str) -> None:
    process = stage.start(*stage.words("solo"), faults=[{"fault": name, "after": 0.95}])
    assert process.stdout is not None
    while b" step " not in process.stdout.readline():
        pass
    deadline = time.monotonic() + 40
    while name == "ignore-sigterm" and not _ignores_sigterm(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if name == "ignore-sigterm":
        process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    if name == "hang":
        process.terminate()
        assert process.wait(timeout=40) == -signal.SIGTERM
    process.kill()
    process.communicate()
    assert not stage.job("solo").exists()


def _ignores_sigterm(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ignored = int(next(line.split()[1] for line in lines if line.startswith("SigIgn:")), 16)
    return bool(ignored >> (signal.SIGTERM - 1) & 1)


def test_calls_that_are_made_again_take_their_time_and_then_it_goes_on(stage: Stage) -> None:
    out, errors = stage.run("solo", {"fault": "retries", "times": 3})
    assert (out + errors).count(b" seconds as it raised RateLimitError") == 3
    assert stage.result("solo")["agent"]["status"] == "Submitted"


def unreadable(folder: Path) -> bool:
    with pytest.raises(ValueError, match=r"line|Unterminated|Expecting"):
        read(folder / "result.json")
    return True


RESULT_FAULTS: list[tuple[dict[str, object], Callable[[Path], bool]]] = [
    ({"fault": "truncated"}, unreadable),
    ({"fault": "truncated", "at": 40}, lambda job: (job / "result.json").stat().st_size == 40),
    ({"fault": "nan"}, lambda job: math.isnan(result_of(job)["total_cost"])),
    ({"fault": "negative"}, lambda job: result_of(job)["total_cost"] == -1),
    ({"fault": "huge"}, lambda job: result_of(job)["total_cost"] == 1e308),
    ({"fault": "wrong-types"}, lambda job: isinstance(result_of(job)["agent"], list)),
    ({"fault": "oversized", "mb": 3}, lambda job: (job / "result.json").stat().st_size > 3 << 20),
    ({"fault": "limits"}, lambda job: result_of(job)["agent"]["status"] == "LimitsExceeded"),
    ({"fault": "no-patch"}, lambda job: (job / "solo.patch").read_text() == ""),
    ({"fault": "unpriced"}, lambda job: result_of(job)["total_cost"] == 0),
    ({"fault": "slow", "factor": 3}, lambda job: result_of(job)["duration_seconds"] > 3),
]


@pytest.mark.parametrize(
    ("fault", "holds"), RESULT_FAULTS, ids=lambda value: str(value)[:40] if isinstance(value, dict) else ""
)
def test_odd_results(stage: Stage, fault: dict[str, object], holds: Callable[[Path], bool]) -> None:
    stage.run("solo", fault)
    assert holds(stage.job("solo"))


def test_a_damaged_result_crashes_the_rerun_as_upstream_does(stage: Stage) -> None:
    stage.run("solo", {"fault": "truncated"})
    _, err = stage.run("solo", status=1)
    assert b"JSONDecodeError" in err


def test_no_tasks(stage: Stage) -> None:
    assert stage.run("solo", {"fault": "no-tasks"})[0] == b"no tasks found\n"
    assert stage.run("solo", pair=("dspy_task", 8563, (2, 99)))[0] == b"no tasks found\n"
    assert not stage.logs.exists()


def test_an_unknown_agent_without_a_fault(stage: Stage) -> None:
    stage.run("solo", None, "-a", "nope")
    agent = stage.result("solo")["agent"]
    assert agent["error"].startswith("Unknown agent: 'nope'. Available: claude_code, codex,")


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        ({"fault": "flood", "mb": 2}, lambda out: len(out) > 2 << 20),
        ({"fault": "long-line", "mb": 2}, lambda out: max(map(len, out.split(b"\n"))) > (2 << 20) - 64),
        ({"fault": "binary"}, lambda out: b"\x00" in out and b"\x1b]52;" in out and b"\xff" in out),
    ],
)
def test_noise_then_a_result(stage: Stage, fault: dict[str, object], holds: Callable[[bytes], bool]) -> None:
    out, _ = stage.run("solo", fault)
    assert holds(out)
    assert stage.result("solo")["agent"]["status"] == "Submitted"


def test_a_process_left_behind(stage: Stage) -> None:
    out, _ = stage.run("solo", {"fault": "fork-away", "seconds": 20})
    line = next(line for line in out.decode().splitlines() if "left a process behind" in line)
    pid = int(line.rsplit(" ", 1)[1])
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGKILL)
    assert stage.result("solo")["agent"]["status"] == "Submitted"


def test_every_fault_has_a_test_here() -> None:
    text = Path(__file__).read_text()
    others = [name for name in FAULTS if name not in AGENT_FAULTS]
    assert [name for name in others if f'"{name}"' not in text] == []
