import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runner import cli
from runner.adapters.ledger import SqliteLedger
from runner.adapters.places import Places
from runner.client import Update
from runner.commands import asking
from runner.commands.asking import ask
from runner.commands.sweeps import DEMO_FOLDER, Known, the_sweep
from runner.model import events as ev
from runner.model.board import Board
from runner.model.commands import Command, Reply
from runner.model.ids import PairId
from runner.model.outcome import Outcome
from runner.model.plan import Plan, Rehearsal
from runner.model.queue import make_jobs
from runner.model.refusal import UsageRefused

JOBS = make_jobs("s", ("solo", "coop-comm"), (PairId("pallets_jinja_task", 1621, (3, 7)),), ("m",))


def _write(root: Path, name: str, *events: ev.Event) -> Path:
    plan = Plan(name, ("x",), "/l", ("solo", "coop-comm"), ("m",), "a", rehearsal=Rehearsal(60.0))
    path = Places(root).ledger(name)
    path.parent.mkdir(parents=True)
    ledger = SqliteLedger(path)
    every = (ev.SweepPlanned(plan), ev.JobsPlanned(JOBS), *events)
    anyio.run(ledger.append, [ev.Envelope(seq, 1000.0 + seq, event) for seq, event in enumerate(every, 1)])
    ledger.close()
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    job = JOBS[0].id
    failed = Outcome("auth", "Error", "bad \x1b[31mkey", 0.25)
    _write(
        tmp_path,
        "s",
        ev.AttemptStarting(job, 1, "t", f"attempts/{job}/1"),
        ev.AttemptStarted(job, 1, 1, 1),
        ev.AttemptEnded(job, 1, failed),
        ev.JobSettled(job, "failed"),
    )
    return tmp_path


def _out(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(argv) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_they_tell_of_a_sweep_that_nobody_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _out(capsys, "status").startswith(
        "s: stopped (a rehearsal at x60), 0 of 2 jobs have results, 1 failed, 1 to go, $0.25 rehearsed"
    )
    status = json.loads(_out(capsys, "status", "s", "--json"))
    assert (status["type"], status["state"], status["runner_pid"]) == ("status", "stopped", None)
    assert status["wasted_usd"] == 0.25
    assert "total" in _out(capsys, "report")
    assert json.loads(_out(capsys, "report", "--json"))["by_setting"]["solo"]["labels"] == {"auth": 1}
    assert _out(capsys, "ls").startswith("s  stopped")
    assert json.loads(_out(capsys, "ls", "--json"))["failed"] == 1
    path = folder / ".coopdeck" / "sweeps" / "s" / "attempts" / JOBS[0].id / "1" / "output.log"
    assert _out(capsys, "logs", "s", "jinja/1621/f3_f7") == f"{path}\n"


def test_the_clock_of_a_sweep_stands_whose_runner_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, "gone", ev.RunnerStarted(1, "h", "v"), ev.SlotsSet(2), ev.SlotsSet(3))
    for command in ("status", "report"):
        assert json.loads(_out(capsys, command, "gone", "--json"))["wall_s"] == 2.0


def test_a_job_in_quarantine_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = Outcome("quarantine", "", "the runner died 2 times while it read this", None)
    _write(tmp_path, "q", ev.JobSettled(JOBS[0].id, "failed", outcome))
    assert "  in quarantine: solo jinja/1621 f3 f7: the runner died 2 times while" in _out(capsys, "status")
    told = json.loads(_out(capsys, "status", "--json"))
    assert told["quarantined"] == [{"job": JOBS[0].id, "why": outcome.evidence}]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["stop"], "the sweep 's' is not running; coopdeck run s goes on with it"),
        (["retry", "--failed"], "is not running"),
        (["report", "t"], "there is no sweep 't'"),
        (["logs", "s", "jinja/1621/f1_f2"], "has no feature 1"),
    ],
)
def test_what_cannot_be_done_is_refused(
    argv: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 2
    assert says in capsys.readouterr().err


def test_an_unreadable_ledger_does_not_hide_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Places(folder).ledger("broken")
    broken.parent.mkdir()
    broken.write_text("no database at all")
    lines = _out(capsys, "ls").splitlines()
    assert len(lines) == 2
    assert "unreadable" in lines[0]
    assert cli.main(["report", "broken"]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("asked", [("report",), ("status",), ("attach",), ("eval",), ("logs",)])
def test_a_sweep_that_was_stopped_before_its_plan_is_no_sweep_of_no_jobs(
    folder: Path, asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Places(folder).ledger("early")
    path.parent.mkdir(parents=True)
    SqliteLedger(path).close()
    pair = ("jinja/1621/f3_f7",) if asked == ("logs",) else ()
    assert cli.main((*asked, "early", *pair)) == 2
    assert "start it with coopdeck run early" in capsys.readouterr().err
    assert "nothing planned" in _out(capsys, "ls")


def test_the_demo_can_be_found_too(folder: Path) -> None:
    _write(folder / DEMO_FOLDER, "command-a")
    assert the_sweep("command-a", folder).places.root == folder / DEMO_FOLDER
    assert the_sweep(None, folder).name == "s"


def test_a_runner_that_cannot_be_reached_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "pid", property(lambda _: 1))
    with pytest.raises(UsageRefused, match="cannot be asked"):
        ask(the_sweep("s", folder), lambda _: [])


@pytest.mark.parametrize("ends", [True, False])
def test_a_runner_that_was_not_seen_to_end_is_said(
    ends: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Runner:
        def __init__(self, _: Path) -> None:
            self.asked = anyio.Event()

        async def follow(self, seen: Callable[[Update], None]) -> None:
            seen(Update(Board(), (), True, "attached"))
            await self.asked.wait()
            if not ends:
                await anyio.sleep_forever()

        async def ask(self, _: Command) -> Reply:
            self.asked.set()
            return Reply(True, "stopping now")

    monkeypatch.setattr(Known, "pid", property(lambda _: 1))
    monkeypatch.setattr(asking, "RunningSweep", Runner)
    monkeypatch.setattr(asking, "END_S", 40.0 if ends else 0.05)
    assert cli.main(["stop", "s", "--now"]) == (0 if ends else 1)
    said = capsys.readouterr().out
    assert said.startswith("stopping now\n")
    assert ("the runner of 's' has not ended within 0.05 s" in said) is not ends
