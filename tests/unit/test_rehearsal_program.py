"""The rehearsal as a program: the files it leaves, and every way it goes wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runner.rehearsal.errors import MODEL_ERRORS, SETUP_ERRORS
from runner.rehearsal.faults import FAULTS

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "data" / "sample_logs"
PAIR = ("dspy_task", 8563, (2, 6))
SETTINGS = {"solo": ["solo"], "coop-comm": ["coop"], "coop-nocomm": ["coop", "--no-messaging"], "team": ["team"]}


class Stage:
    """Starts rehearsals that log below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"

    def start(
        self, *words: str, faults: list[dict[str, object]] | None = None, **environ: str
    ) -> subprocess.Popen[bytes]:
        config: dict[str, object] = {"speed": 1e5, "seed": 0}
        if faults is not None:
            plan = self.folder / f"plan-{os.urandom(4).hex()}.json"
            plan.write_text(json.dumps({"faults": faults}))
            config["faults"] = str(plan)
        return subprocess.Popen(
            [sys.executable, "-m", "runner.rehearsal", *words],
            cwd=ROOT,
            env={**os.environ, "COOPDECK_REHEARSAL": json.dumps(config), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def words(self, setting: str, *extra: str, name: str = "x", pair: tuple[str, int, Any] = PAIR) -> list[str]:
        repo, task, features = pair
        chosen = ["-r", repo, "-t", str(task), "-f", ",".join(map(str, features))]
        where = ["--log-dir", str(self.logs)]
        return ["run", "-n", name, "--setting", *SETTINGS[setting], *chosen, *where, "-m", "openai/gpt-4o", *extra]

    def run(
        self,
        setting: str,
        fault: dict[str, object] | None = None,
        *extra: str,
        status: int = 0,
        name: str = "x",
        pair: tuple[str, int, Any] = PAIR,
        environ: dict[str, str] | None = None,
    ) -> tuple[bytes, bytes]:
        words = self.words(setting, "--no-auto-eval", *extra, name=name, pair=pair)
        process = self.start(*words, faults=[fault] if fault else None, **environ or {})
        out, err = process.communicate(timeout=40)
        assert process.returncode == status, err.decode()
        return out, err

    def job(self, setting: str, name: str = "x", pair: tuple[str, int, Any] = PAIR) -> Path:
        repo, task, features = pair
        leaf = "_".join(f"f{feature}" for feature in sorted(features))
        return self.logs / name / SETTINGS[setting][0] / repo / str(task) / leaf

    def result(self, setting: str, name: str = "x", pair: tuple[str, int, Any] = PAIR) -> dict[str, Any]:
        return result_of(self.job(setting, name, pair))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def result_of(folder: Path) -> dict[str, Any]:
    return dict(read(folder / "result.json"))


def shape(value: Any) -> Any:
    """Keys, nested, of dicts; the first element stands for a list."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None


def test_solo_files_have_upstreams_keys(stage: Stage) -> None:
    stage.run("solo")
    sample = SAMPLES / "sample" / "solo" / "toy_task" / "1" / "f1_f2"
    job = stage.job("solo")
    assert {path.name for path in job.iterdir()} == {"result.json", "solo.patch", "solo_traj.json"}
    assert shape(read(job / "result.json")) == shape(read(sample / "result.json"))
    assert list(read(job / "result.json")) == list(read(sample / "result.json"))
    assert shape(read(stage.logs / "x" / "config.json")) == shape(read(SAMPLES / "sample" / "config.json"))
    assert shape(read(stage.logs / "x" / "summary.json")) == shape(read(SAMPLES / "sample-error" / "summary.json"))
    assert_same_trajectory(read(job / "solo_traj.json"), read(sample / "solo_traj.json"))


def test_coop_files_have_upstreams_keys(stage: Stage) -> None:
    stage.run("coop-comm")
    sample = SAMPLES / "sample" / "coop" / "toy_task" / "1" / "f1_f2"
    job = stage.job("coop-comm")
    names = {"result.json", "conversation.json"} | {
        f"agent{n}{end}" for n in (2, 6) for end in (".patch", "_traj.json")
    }
    assert {path.name for path in job.iterdir()} == names
    result = read(job / "result.json")
    assert shape(result) == shape(read(sample / "result.json"))
    assert shape(read(job / "conversation.json")) == shape(read(sample / "conversation.json"))
    assert len(read(job / "conversation.json")) == result["messages_sent"] > 0
    for feature in (2, 6):
        assert_same_trajectory(read(job / f"agent{feature}_traj.json"), read(sample / "agent1_traj.json"))


def assert_same_trajectory(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for role in ("system", "user", "assistant", "tool", "exit"):
        mine = next(message for message in ours["messages"] if message["role"] == role)
        real = next(message for message in theirs["messages"] if message["role"] == role)
        assert shape(mine) == shape(real), role
    spent = sum(message.get("extra", {}).get("cost", 0) for message in ours["messages"])
    assert spent == pytest.approx(ours["cost"], abs=1e-9)
    assert sum(message["role"] == "assistant" for message in ours["messages"]) == ours["steps"]


def test_a_trajectory_of_an_error_has_upstreams_keys(stage: Stage) -> None:
    stage.run("solo", {"fault": "server"})
    ours = read(stage.job("solo") / "solo_traj.json")
    theirs = read(SAMPLES / "sample-error" / "solo" / "toy_task" / "1" / "f1_f2" / "solo_traj.json")
    assert shape(ours["messages"][-1]) == shape(theirs["messages"][-1])


def test_eval_files_have_upstreams_keys(stage: Stage) -> None:
    for setting in ("solo", "coop-comm"):
        stage.run(setting)
    words = ["eval", "-n", "x", "--log-dir", str(stage.logs)]
    assert b"runs: 2" in stage.start(*words).communicate(timeout=40)[0]
    assert b"all runs already evaluated" in stage.start(*words).communicate(timeout=40)[0]
    assert b"runs: 2" in stage.start(*words, "--force").communicate(timeout=40)[0]
    solo, coop = read(stage.job("solo") / "eval.json"), read(stage.job("coop-comm") / "eval.json")
    sample = SAMPLES / "sample"
    assert shape(solo) == shape(read(sample / "solo" / "toy_task" / "1" / "f1_f2" / "eval.json"))
    real = read(sample / "coop" / "toy_task" / "1" / "f1_f2" / "eval.json")
    # The sample is upstream's short cut for identical patches; its features have other keys.
    assert list(coop) == list(real)
    assert list(coop["merge"]) == list(real["merge"])
    assert set(coop["feature1"]) == {
        "feature_id",
        "passed",
        "exit_code",
        "tests_passed",
        "tests_failed",
        "test_output",
    }


def test_a_run_evaluates_by_itself_unless_told_not_to(stage: Stage) -> None:
    process = stage.start(*stage.words("solo"))
    out, _ = process.communicate(timeout=40)
    assert b"evals: 1 evaluated" in out
    sample = read(SAMPLES / "sample" / "summary.json")
    assert shape(read(stage.logs / "x" / "summary.json")) == shape(sample)


def test_an_evaluation_error(stage: Stage) -> None:
    stage.run("coop-nocomm")
    words = ["eval", "-n", "x", "--log-dir", str(stage.logs)]
    stage.start(*words, faults=[{"fault": "eval-error", "text": "no sandbox"}]).communicate(timeout=40)
    assert read(stage.job("coop-nocomm") / "eval.json")["error"] == "no sandbox"


def test_the_recorded_values_are_written_to_the_last_digit(stage: Stage) -> None:
    wanted = {
        ("solo", ("pallets_jinja_task", 1621, (5, 10))): (6.81553, 100, 623.862),
        ("coop-comm", ("dottxt_ai_outlines_task", 1655, (6, 7))): (1.009602, 35, 147.523),
        ("coop-comm", ("dottxt_ai_outlines_task", 1706, (4, 6))): (0.53927, 15, 278.055),
        ("coop-nocomm", ("samuelcolvin_dirty_equals_task", 43, (6, 7))): (6.19308, 110, 276.146),
    }
    for (setting, pair), values in wanted.items():
        stage.run(setting, pair=pair)
        result = stage.result(setting, pair=pair)
        assert (result["total_cost"], result["total_steps"], result["duration_seconds"]) == values
    statuses = [agent["status"] for agent in result["agents"].values()]
    assert sorted(statuses) == ["LimitsExceeded", "Submitted"]


def test_two_runs_are_alike_and_a_repeat_is_not(stage: Stage) -> None:
    def numbers(name: str, environ: dict[str, str] | None = None) -> tuple[object, ...]:
        stage.run("coop-comm", name=name, pair=("toy_task", 3, (1, 2)), environ=environ)
        result = stage.result("coop-comm", name=name, pair=("toy_task", 3, (1, 2)))
        return result["total_cost"], result["duration_seconds"], result["agents"]

    assert numbers("a") == numbers("b", {"COOPDECK_ATTEMPT": "2"})
    assert numbers("a2", {"COOPDECK_REPEAT": "2"}) != numbers("b2")


def test_results_are_skipped_unless_they_are_errors(stage: Stage) -> None:
    stage.run("solo", {"fault": "auth"})
    assert b"already completed" not in stage.run("solo")[0]
    assert b"skip (already completed)" in stage.run("solo")[0]
    assert b"already completed" not in stage.run("solo", None, "--force")[0]


def test_a_team_has_its_files(stage: Stage) -> None:
    stage.run("team", None, "--team-no-mcp")
    result = stage.result("team")
    assert result["lead_agent"] == "agent1"
    assert result["team_features"]["mcp"] is False
    assert {agent["team_role"] for agent in result["agents"].values()} == {"lead", "member"}
    assert result["metrics"]["tasks_total"] == len(read(stage.job("team") / "tasks.json")) == 2


def test_output_grows_while_the_job_runs(stage: Stage) -> None:
    process = stage.start(*stage.words("coop-comm", "--no-auto-eval"), COOPDECK_REHEARSAL='{"speed": 100}')
    assert process.stdout is not None
    first = ""
    while "step" not in first:
        first = process.stdout.readline().decode()
    assert process.poll() is None
    assert not (stage.job("coop-comm") / "result.json").exists()
    process.kill()
    process.communicate()


def test_a_subset_runs_one_after_another(stage: Stage) -> None:
    words = ["run", "-n", "x", "--setting", "solo", "-r", "dspy_task", "-s", "flash", "--no-auto-eval"]
    process = stage.start(*words, "--log-dir", str(stage.logs), COOPDECK_REHEARSAL='{"speed": 1e7}')
    process.communicate(timeout=40)
    summary = read(stage.logs / "x" / "summary.json")
    assert summary["completed"] == len(summary["results"]) > 1


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"COOPDECK_REHEARSAL": "{"}, "not valid JSON"),
        ({"COOPDECK_REHEARSAL": '{"speed": 0}'}, "speed"),
        ({"COOPDECK_REHEARSAL": '{"sped": 1}'}, "unknown key"),
        ({"COOPDECK_REHEARSAL": '{"faults": "/nowhere/plan.json"}'}, "cannot be read"),
        ({"COOPDECK_ATTEMPT": "first"}, "COOPDECK_ATTEMPT"),
    ],
)
def test_bad_settings_are_refused(stage: Stage, variables: dict[str, str], words: str) -> None:
    _, err = stage.run("solo", status=2, environ=variables)
    assert words in err.decode()
    assert err.decode().count("\n") == 1


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


def test_outside_code_sees_the_messages(stage: Stage) -> None:
    (stage.folder / "watcher.py").write_text(
        "import logging, threading\n"
        "class Watch(logging.Handler):\n"
        "    def emit(self, record):\n"
        "        kind = 'messages' if isinstance(record.msg, tuple) else record.getMessage()[:17]\n"
        "        print('WATCH', record.name, threading.get_ident(), kind)\n"
        "for name in ('agent', 'mini_swe_agent_v2', 'cooperbench'):\n"
        "    logging.getLogger(name).addHandler(Watch())\n"
        "    logging.getLogger(name).setLevel('DEBUG')\n"
    )
    out, _ = stage.run("coop-comm", environ={"COOPERBENCH_EXTERNAL_AGENTS": "watcher", "PYTHONPATH": str(stage.folder)})
    seen = [line.split()[1:] for line in out.decode().splitlines() if line.startswith("WATCH")]
    assert {name for name, *_ in seen} == {"agent", "cooperbench.agents.mini_swe_agent_v2.git_connector"}
    assert len({thread for _, thread, *_ in seen}) == 2
