import json
import sys
from argparse import Namespace
from pathlib import Path

import anyio
import pytest

from runner import cli
from runner.adapters.ledger import SqliteLedger
from runner.adapters.places import Places
from runner.checks.dataset import check_dataset
from runner.commands.defaults import resolve
from runner.commands.doctor import wanted_of
from runner.commands.planning import plan_sweep
from runner.model.events import Envelope, JobsPlanned, SweepPlanned
from runner.model.plan import JobSpec, Plan, Rehearsal
from runner.model.refusal import PreflightRefused, UsageRefused
from tests.e2e.dataset import write_dataset

REHEARSE = ("--rehearse", "--subset", "lite", "--smoke", "2")


def _options(root: Path, *argv: str) -> Namespace:
    options = cli.parse(["run", *argv])
    resolve(options, {}, root)
    return options


def _planned(root: Path, *argv: str) -> tuple[Plan, tuple[JobSpec, ...]]:
    return plan_sweep(_options(root, *argv), root)


def _kept(root: Path, *argv: str) -> tuple[Plan, tuple[JobSpec, ...]]:
    """Plan a sweep and write it down, as its runner would."""
    plan, jobs = _planned(root, *argv)
    path = Places(root).ledger(plan.sweep)
    path.parent.mkdir(parents=True)
    ledger = SqliteLedger(path)
    anyio.run(ledger.append, [Envelope(1, 1.0, SweepPlanned(plan)), Envelope(2, 2.0, JobsPlanned(jobs))])
    ledger.close()
    return plan, jobs


def _program(root: Path) -> Path:
    path = root / ".coopdeck" / "env" / "bin" / "cooperbench"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_rehearsal_runs_the_double(tmp_path: Path) -> None:
    plan, jobs = _planned(tmp_path, *REHEARSE, "--speed", "10", "--seed", "3")
    assert plan.program == (sys.executable, "-P", "-m", "runner.rehearsal")
    assert plan.rehearsal == Rehearsal(10.0, 3)
    assert plan.sweep == "command-a-lite-smoke2-rehearsal"
    assert plan.models == ("command-a",)
    assert (len(jobs), jobs[0].setting, jobs[-1].setting) == (6, "solo", "coop-nocomm")
    assert plan.logs_dir == str(tmp_path / "logs")


def test_a_real_plan_has_absolute_paths(tmp_path: Path) -> None:
    program = _program(tmp_path)
    (tmp_path / "agent.yaml").write_text("")
    argv = [
        "s",
        "--subset",
        "lite",
        "-m",
        "gpt-4o",
        "--agent-config",
        "agent.yaml",
        "--log-dir",
        "out",
        "--timeout",
        "2h",
    ]
    plan, jobs = _planned(tmp_path, *argv, "--budget", "150", "--git", "--", "--base-url", "https://host/v1")
    assert plan.program == (str(program),)
    assert plan.agent_config == str(tmp_path / "agent.yaml")
    assert plan.logs_dir == str(tmp_path / "out")
    assert (plan.timeout_s, plan.budget_usd, plan.git) == (7200.0, 150.0, True)
    assert plan.extra == ("--base-url", "https://host/v1")
    assert plan.rehearsal is None
    assert len(jobs) == 300
    assert jobs[0].run_name == "s-solo"


def test_how_attempts_start_may_be_said_each_time_and_not_for_a_rehearsal(tmp_path: Path) -> None:
    _program(tmp_path)
    real = ("s", "--subset", "lite", "-m", "gpt-4o")
    assert _planned(tmp_path, *real)[0].launcher == "auto"
    assert _kept(tmp_path, *real, "--launcher", "cli")[0].launcher == "cli"
    assert _planned(tmp_path, "s")[0].launcher == "cli"
    assert _planned(tmp_path, "s", "--launcher", "warm")[0].launcher == "warm"
    with pytest.raises(UsageRefused, match="--launcher must be one of auto, warm, cli, not 'ray'"):
        _planned(tmp_path, "s", "--launcher", "ray")
    with pytest.raises(UsageRefused, match="leave it out of a rehearsal"):
        _planned(tmp_path, *REHEARSE, "--launcher", "warm")


def test_going_on_needs_the_name_alone(tmp_path: Path) -> None:
    plan, jobs = _kept(tmp_path, "s", *REHEARSE, "--budget", "5")
    assert _planned(tmp_path, "s") == (plan, jobs)
    assert _planned(tmp_path, "s", *REHEARSE) == (plan, jobs)
    again, same = _planned(tmp_path, "s", "-c", "8", "--budget", "9", "--speed", "100", "--stall", "90s")
    assert (again.slots, again.budget_usd, again.speed, same) == (8, 9.0, 100.0, jobs)
    assert (plan.stall_s, again.stall_s) == (600.0, 90.0)


def test_jobs_can_be_added(tmp_path: Path) -> None:
    plan, jobs = _kept(tmp_path, "s", *REHEARSE, "--settings", "solo")
    more, all_jobs = _planned(tmp_path, "s", "--settings", "team")
    assert more.settings == ("solo", "team")
    assert all_jobs[: len(jobs)] == jobs
    assert [job.setting for job in all_jobs[len(jobs) :]] == ["team", "team"]
    _, longer = _planned(tmp_path, "s", "--rehearse", "--subset", "lite")
    assert (longer[:2], len(longer)) == (jobs, 100)
    assert len(_planned(tmp_path, "s", "--repeats", "3")[1]) == 6
    assert plan.settings == ("solo",)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["-m", "gpt-4o"], "is a rehearsal; give the real one another name"),
        (["--rehearse", "-m", "gpt-4o"], r"planned with another --model \(command-a\)"),
        (["-a", "other"], "another --agent"),
        (["--log-dir", "elsewhere"], "another --log-dir"),
        (["--git"], r"another --git \(none\)"),
        (["--", "--team-no-mcp"], "other arguments for upstream"),
    ],
)
def test_what_would_mix_results_is_refused(tmp_path: Path, argv: list[str], says: str) -> None:
    _kept(tmp_path, "s", *REHEARSE)
    with pytest.raises(UsageRefused, match=says):
        _planned(tmp_path, "s", *argv)


def test_a_real_sweep_never_becomes_a_rehearsal(tmp_path: Path) -> None:
    program = _program(tmp_path)
    plan, jobs = _kept(tmp_path, "s", "--subset", "lite", "-m", "gpt-4o")
    with pytest.raises(UsageRefused, match="is a real one"):
        _planned(tmp_path, "s", *REHEARSE)
    program.unlink()
    with pytest.raises(PreflightRefused, match="no cooperbench at"):
        _planned(tmp_path, "s")
    dry, _ = _planned(tmp_path, "s", "--dry-run")
    assert (dry.sweep, len(jobs)) == (plan.sweep, 300)


def test_the_demo_is_the_recorded_sweep(tmp_path: Path) -> None:
    options = cli.parse(["demo", "--speed", "600"])
    resolve(options, {"COOPDECK_MODEL": "other"}, tmp_path, flags_only=True)
    plan, jobs = plan_sweep(options, tmp_path)
    assert (plan.sweep, plan.models, plan.speed, len(jobs)) == ("command-a", ("command-a",), 600.0, 300)
    assert jobs[0].run_name == "command-a-solo"


def test_the_doctor_looks_where_the_run_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_dataset(tmp_path / "data")
    options = cli.parse(["doctor", "--dataset-dir", "~/data", "--log-dir", "~/logs", "--subset", "toy"])
    resolve(options, {}, tmp_path)
    wanted, refused = wanted_of(options, tmp_path / "project")
    assert refused is None
    assert (wanted.dataset_dir, wanted.logs_dir) == (str(tmp_path / "data"), str(tmp_path / "logs"))
    assert [found.verdict for found in check_dataset(wanted)] == ["ok"]


def test_a_dry_run_prints_every_command_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hush-0123456789")
    argv = ["run", "s", "--subset", "lite", "--smoke", "5", "-m", "openai/gpt-4o", "--dry-run"]
    assert cli.main(argv) == 0
    text = capsys.readouterr().out
    assert "  OPENAI_API_KEY=*** (18 characters)  (environment)" in text
    assert "  LITELLM_LOG=ERROR  (coopdeck)" in text
    assert sum("cooperbench run -n s-" in line for line in text.splitlines()) == 15
    assert "15 jobs, 4 slots" in text
    assert "forecast $6.93" in text
    assert cli.main([*argv, "--json"]) == 0
    shapes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    variables = [shape["name"] for shape in shapes if shape["type"] == "variable"]
    assert {"LITELLM_LOG", "OPENAI_API_KEY"} <= set(variables)
    assert [shape["type"] for shape in shapes] == ["plan"] + ["variable"] * len(variables) + ["command"] * 15
    assert shapes[0]["by_setting"]["solo"]["folders"] == [f"{tmp_path}/logs/s-solo"]
    assert shapes[1 + len(variables)]["argv"][1:4] == ["run", "-n", "s-solo"]
    assert not any(tmp_path.iterdir())
