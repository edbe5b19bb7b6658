"""The whole program on the rehearsal, as a user without a terminal runs it: numbers, faults, signals, two runs."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.places import Places
from runner.client import ANSWER_S
from tui.glyphs import UNICODE
from tui.job_files import JobFiles
from tui.steps import StepsReading

COOPDECK = (sys.executable, "-P", "-m", "runner.cli")


def coopdeck(folder: Path, *arguments: str, timeout: float = 600) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COOPDECK, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )


def lines(ran: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_the_recorded_campaign_comes_out_to_the_cent(tmp_path: Path) -> None:
    ran = coopdeck(tmp_path, "demo", "--headless", "--json", "--speed", "3000")
    assert ran.returncode == 0, ran.stderr
    events = lines(ran)
    summary = events[-1]
    assert {key: summary[key] for key in ("jobs", "results", "failed", "skipped", "attempts")} == {
        "jobs": 300, "results": 300, "failed": 0, "skipped": 0, "attempts": 300,
    }  # fmt: skip
    by = summary["by_setting"]
    assert by["solo"]["statuses"] == {"Submitted": 98, "LimitsExceeded": 2}
    assert by["coop-comm"]["statuses"] == {"Submitted": 100}
    assert by["coop-nocomm"]["statuses"] == {"Submitted": 99, "LimitsExceeded": 1}
    assert [f"{by[one]['cost_usd']:.2f}" for one in by] == ["45.77", "47.32", "45.50"]
    assert f"{summary['cost_usd']:.2f}" == "138.59"
    # Every event is there, in order, without a gap; and the files say what the summary says.
    assert [event["seq"] for event in events[:-1]] == list(range(1, len(events)))
    logs = tmp_path / ".coopdeck/demo/logs"
    costs = [json.loads(path.read_text())["total_cost"] for path in logs.glob("*/*/*/*/*/result.json")]
    assert len(costs) == 300
    assert math.fsum(costs) == pytest.approx(summary["cost_usd"], abs=1e-6)
    for setting in by:
        kept = json.loads((logs / f"command-a-{setting}" / "summary.json").read_text())
        assert (kept["total_tasks"], kept["completed"]) == (100, 100)
    report = json.loads(coopdeck(tmp_path, "report", "--json").stdout)
    assert report["cost_usd"] == summary["cost_usd"]
    assert report["by_setting"] == by


FAULTS: list[tuple[str, dict[str, Any], str, str | None, int]] = [
    # fault, its parameters, the job's end, the class of its first failure, the attempts it took
    # First what takes as long as it may.
    ("ignore-sigterm", {}, "failed", "timeout", 1),
    ("hang", {}, "failed", "timeout", 1),
    ("unavailable", {}, "done", "provider", 2),
    ("server", {}, "done", "provider", 2),
    ("rate", {}, "done", "rate", 2),
    ("connection", {}, "done", "network", 2),
    ("docker-125", {}, "done", "docker", 2),
    ("redis", {}, "done", "redis", 2),
    ("crash", {}, "done", "crash", 2),
    ("kill", {}, "done", "crash", 2),
    ("oom", {}, "done", "oom", 2),
    ("truncated", {}, "done", "corrupt", 2),
    ("nan", {}, "done", "corrupt", 2),
    ("negative", {}, "done", "corrupt", 2),
    ("huge", {}, "done", "corrupt", 2),
    ("wrong-types", {}, "done", "corrupt", 2),
    ("oversized", {"mb": 2}, "done", "corrupt", 2),
    ("host-enospc", {}, "done", "host", 2),
    ("auth", {}, "failed", "auth", 1),
    ("notfound", {}, "failed", "config", 1),
    ("request", {}, "failed", "request", 1),
    ("context", {}, "failed", "model", 1),
    ("quota", {}, "failed", "quota", 1),
    ("no-tasks", {}, "failed", "empty", 1),
    ("limits", {}, "done", None, 1),
    ("no-patch", {}, "done", None, 1),
    ("flood", {"mb": 3}, "done", None, 1),
    ("long-line", {"mb": 3}, "done", None, 1),
    ("binary", {}, "done", None, 1),
]


@pytest.fixture(scope="module")
def faulted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """One sweep in which the first attempt of each job ends as its fault says; the job's story by fault."""
    folder = tmp_path_factory.mktemp("faulted")
    pairs = [f"toy_task/{task}/f1_f2" for task in range(1, len(FAULTS) + 1)]
    plan = [
        {"match": {"task": task, "attempt": 1}, "fault": fault, **parameters}
        for task, (fault, parameters, *_) in enumerate(FAULTS, start=1)
    ]
    dataset = folder / "dataset"
    for task in range(1, len(FAULTS) + 1):
        for feature in (1, 2):
            (dataset / "toy_task" / f"task{task}" / f"feature{feature}").mkdir(parents=True)
    (folder / "faults.json").write_text(json.dumps({"faults": plan}))
    ran = coopdeck(
        folder, "run", "faulty", "--rehearse", "--speed", "20000", "--faults", "faults.json",
        "--dataset-dir", "dataset", "--pairs", ",".join(pairs), "--settings", "coop-comm", "-c", "8",
        "--timeout", "12s", "--json",
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    stories: dict[str, dict[str, Any]] = {}
    for task, (fault, *_) in enumerate(FAULTS, start=1):
        job = f"coop-comm.toy_task.{task}.f1_f2"
        events = [event for event in lines(ran) if event.get("job") == job]
        ended = [event["outcome"] for event in events if event["type"] == "AttemptEnded"]
        result = folder / f"logs/faulty-coop-comm/coop/toy_task/{task}/f1_f2/result.json"
        stories[fault] = {
            "state": next(event["state"] for event in events if event["type"] == "JobSettled"),
            "ended": ended,
            "result": json.loads(result.read_text()),
            "folder": folder / ".coopdeck/sweeps/faulty/attempts" / job,
        }
    return stories


@pytest.mark.parametrize(("fault", "state", "failure", "attempts"), [(f, s, c, n) for f, _, s, c, n in FAULTS])
def test_a_fault_ends_as_it_should(
    fault: str, state: str, failure: str | None, attempts: int, faulted: dict[str, dict[str, Any]]
) -> None:
    story = faulted[fault]
    assert story["ended"][0]["failure"] == failure, story["ended"][0]["evidence"]
    assert (story["state"], len(story["ended"])) == (state, attempts)
    assert (story["folder"] / "1" / "output.log").is_file()
    tagged = state == "failed" and failure != "model"
    assert story["result"].get("infra_class") == (failure if tagged else None)
    assert story["result"].get("infra_error", False) is tagged


def test_a_key_that_a_provider_quotes_reaches_neither_ledger_nor_client_nor_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "correct-horse.battery-staple"
    monkeypatch.setenv("TOY_API_KEY", key)
    says = f"litellm.AuthenticationError: OpenAIException - Incorrect API key provided: {key}."
    faults = [{"fault": "auth", "text": says, "match": {"task": 1}}]
    faults += [{"fault": "unavailable", "text": says.replace("Authentication", "InternalServer")}]
    (tmp_path / "faults.json").write_text(json.dumps({"faults": faults}))
    for task in (1, 2):
        for feature in (1, 2):
            (tmp_path / "dataset" / "toy_task" / f"task{task}" / f"feature{feature}").mkdir(parents=True)
    ran = coopdeck(
        tmp_path, "run", "quoted", "--rehearse", "--speed", "20000", "--faults", "faults.json", "--dataset-dir",
        "dataset", "--pairs", "toy_task/1/f1_f2,toy_task/2/f1_f2", "--settings", "solo", "--attempts", "2", "--json",
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    ended = [event for event in lines(ran) if event["type"] == "AttemptEnded"]
    assert len(ended) == 3
    assert all("Incorrect API key provided: ***" in event["outcome"]["evidence"] for event in ended)
    told = [ran.stdout, ran.stderr, *(coopdeck(tmp_path, word, "quoted").stdout for word in ("report", "status"))]
    told += [path.read_text(errors="replace") for path in (tmp_path / ".coopdeck").rglob("probe.jsonl")]
    told += [path.read_bytes().decode(errors="replace") for path in (tmp_path / ".coopdeck").rglob("*.db*")]
    for job in (1, 2):
        attempt = tmp_path / f".coopdeck/sweeps/quoted/attempts/solo.toy_task.{job}.f1_f2/1"
        shown = StepsReading(JobFiles(attempt=attempt, ended=True), UNICODE)
        shown.advance()
        told.append("\n".join(shown.text(entry) for entry in range(shown.count)))
        assert "Incorrect API key" in told[-1]
    assert not [text for text in told if key in text]


def test_a_second_run_of_a_running_sweep_is_refused_and_ctrl_c_drains_then_stops(tmp_path: Path) -> None:
    how = ("run", "busy", "--rehearse", "--speed", "1", "--subset", "lite", "--smoke", "5", "-c", "2")
    first = subprocess.Popen(
        [*COOPDECK, *how, "--headless"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        told = first.stdout
        _until(lambda: "started" in told.readline())
        second = coopdeck(tmp_path, *how, "--headless")
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1
        assert "busy" in second.stderr
        first.send_signal(signal.SIGINT)
        # Two signals at once would be one.
        assert first.stderr is not None
        assert any("draining" in line for line in first.stderr)
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=120)
    finally:
        first.kill()
        coopdeck(tmp_path, "stop", "busy", "--now")
    assert first.returncode == 130, said
    assert "stopping now" in said
    assert not _attempts_of(tmp_path)
    report = json.loads(coopdeck(tmp_path, "report", "busy", "--json").stdout)
    assert (report["results"], report["unfinished"]) == (0, 15)


def test_the_third_ctrl_c_leaves_at_once_though_the_runner_does_not_answer(tmp_path: Path) -> None:
    how = ("run", "mute", "--rehearse", "--speed", "1", "--subset", "lite", "--smoke", "1", "-c", "1", "--headless")
    first = subprocess.Popen([*COOPDECK, *how], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    runner = None
    try:
        assert first.stdout is not None
        assert first.stderr is not None
        told, said = first.stdout, first.stderr
        _until(lambda: "started" in told.readline())
        runner = Places(tmp_path).runner_pid("mute")
        assert runner
        os.kill(runner, signal.SIGSTOP)
        began = time.monotonic()
        for word in ("draining", "stopping now", "leaving"):
            first.send_signal(signal.SIGINT)
            _until(lambda word=word: word in said.readline())
        assert first.wait(60) == 130
        # Nobody has waited for an answer even once; it takes a moment.
        assert time.monotonic() - began < ANSWER_S
    finally:
        if runner:
            os.kill(runner, signal.SIGCONT)
        first.kill()
        first.communicate()
        coopdeck(tmp_path, "stop", "mute", "--now")
    _until(lambda: Places(tmp_path).runner_pid("mute") is None)


@pytest.mark.parametrize("after_s", [0.3, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2])
def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing_that_goes_on_spending(tmp_path: Path, after_s: float) -> None:
    how = ("run", "early", "--rehearse", "--speed", "100", "--subset", "lite", "--smoke", "5", "-c", "1", "--headless")
    first = subprocess.Popen([*COOPDECK, *how], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(after_s)
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=120)
        # Before Python has its own handler, the signal ends the process as it ends any other.
        assert first.returncode in (130, -signal.SIGINT), said
        _until(lambda: not _owned(tmp_path))
        report = coopdeck(tmp_path, "report", "early", "--json").stdout
        # With a slot and 15 jobs of some seconds each, only a sweep that was stopped leaves most of them.
        assert not report or json.loads(report)["unfinished"] > 10
    finally:
        first.kill()
        coopdeck(tmp_path, "stop", "early", "--now")


def _owned(folder: Path) -> bool:
    return Places(folder).runner_pid("early") is not None


def test_the_runner_outlives_the_command_that_started_it(tmp_path: Path) -> None:
    how = ("run", "alone", "--rehearse", "--speed", "50", "--subset", "lite", "--smoke", "2", "--settings", "solo")
    started = subprocess.Popen([*COOPDECK, *how, "--headless"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    lines_of_it = started.stdout
    _until(lambda: "started" in lines_of_it.readline())
    started.send_signal(signal.SIGKILL)
    started.communicate()
    _until(lambda: json.loads(coopdeck(tmp_path, "report", "alone", "--json").stdout)["results"] == 2)


def test_with_a_sound_result_nothing_is_bought_and_with_force_everything(tmp_path: Path) -> None:
    how = ("run", "twice", "--rehearse", "--speed", "5000", "--subset", "lite", "--smoke", "2", "--json")
    first = lines(coopdeck(tmp_path, *how))[-1]
    again = lines(coopdeck(tmp_path, *how))[-1]
    assert (first["skipped"], again["skipped"], again["attempts"]) == (0, 6, 6)
    assert (again["results"], again["cost_usd"]) == (6, first["cost_usd"])
    forced = lines(coopdeck(tmp_path, *how, "--force"))[-1]
    assert (forced["skipped"], forced["attempts"]) == (0, 12)
    assert forced["cost_usd"] == pytest.approx(2 * first["cost_usd"], abs=1e-6)


def test_a_spent_budget_ends_the_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    how = ("run", "poor", "--rehearse", "--speed", "5000", "--subset", "lite", "--smoke", "5", "--json")
    poor = coopdeck(tmp_path, *how, "--budget", "0.01", "-c", "1")
    assert poor.returncode == 1, poor.stderr
    assert [event["type"] for event in lines(poor)[-3:]] == ["QueueHeld", "RunnerStopped", "summary"]
    assert 0 < lines(poor)[-1]["results"] < 15
    again = coopdeck(tmp_path, *how, "--budget", "0.01")
    assert (again.returncode, lines(again)[-1]["attempts"]) == (1, lines(poor)[-1]["attempts"])
    rich = coopdeck(tmp_path, *how, "--budget", "100")
    assert (rich.returncode, lines(rich)[-1]["results"]) == (0, 15)


def _until(true: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def _attempts_of(folder: Path) -> list[int]:
    """The processes that still work in a project's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "cwd").readlink() == folder and b"rehearsal" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_runner_whose_folder_is_removed_starts_nothing_new(tmp_path: Path) -> None:
    how = ("run", "gone", "--rehearse", "--speed", "20", "--subset", "lite", "--settings", "solo", "-c", "1")
    assert coopdeck(tmp_path, *how, "--detach").returncode == 0
    _until(lambda: '"running": ["' in coopdeck(tmp_path, "status", "gone", "--json").stdout)
    pid = json.loads(coopdeck(tmp_path, "status", "gone", "--json").stdout)["runner_pid"]
    shutil.rmtree(tmp_path / ".coopdeck")
    _until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_run_that_nobody_reads_any_more_does_not_claim_results(tmp_path: Path) -> None:
    how = "run pipe --rehearse --speed 100 --subset lite --settings solo -c 1 --headless"
    script = f"{' '.join(COOPDECK)} {how} | head -1 > first; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    coopdeck(tmp_path, "stop", "pipe", "--now")
    assert ran.stdout.strip() == "1"


def test_results_are_tested_in_the_run_and_what_was_not_afterwards(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text(json.dumps({"faults": [{"fault": "eval-error", "match": {"setting": "solo"}}]}))
    plan = ["--rehearse", "--speed", "3000", "--subset", "lite", "--smoke", "3", "--settings", "solo,coop-comm"]
    ran = coopdeck(tmp_path, "run", "r", *plan, "--eval", "--faults", str(faults), "--headless")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("eval failed: Failed to get base commit SHA") == 3
    by = json.loads(coopdeck(tmp_path, "report", "r", "--json").stdout)["by_setting"]
    assert by["solo"]["tests"]["error"] == 3
    assert sum(by["coop-comm"]["tests"][verdict] for verdict in ("passed", "partly", "failed")) == 3
    # An error's file would make upstream skip the evaluation for ever.
    assert len(list((tmp_path / "logs").glob("*/*/*/*/*/eval.json"))) == 3

    again = coopdeck(tmp_path, "eval", "r")
    assert again.returncode == 1
    assert "evaluated: 3 without a verdict" in again.stdout
    faults.write_text(json.dumps({"faults": []}))
    told = lines(coopdeck(tmp_path, "eval", "r", "--json"))
    assert [line["type"] for line in told] == ["evaluated"] * 3 + ["evaluation"]
    assert (told[-1]["error"], told[-1]["left"]) == (0, 0)
    assert coopdeck(tmp_path, "eval", "r").stdout == "all results of 'r' are evaluated\n"
    total = json.loads(coopdeck(tmp_path, "report", "r", "--json").stdout)["tests"]
    assert (total["error"], total["none"], sum(total.values())) == (0, 0, 6)
