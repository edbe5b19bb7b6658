"""The rehearsal as a program: the files it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.stage import ROOT, Stage, read

SAMPLES = ROOT / "tests" / "data" / "sample_logs"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


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
