"""A runner that dies, or is stopped, while it ends something: what the user said still holds for the next one."""

import errno
import os
import time
from pathlib import Path

import anyio
import pytest

from runner.adapters import processes
from runner.engine.control import Control, OwnAct
from runner.engine.patience import patiently
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan
from runner.model.reduce import reduce
from runner.wire.codec import from_json
from tests.unit.fakes import OK, PROVIDER, Deck, FakeCooperbench, FakeLauncher, FakeProcess, jobs, the_plan
from tests.unit.sweeps import ONE, STARTING, left_by_another_runner, noted_limits, planned, until

pytestmark = pytest.mark.anyio
GONE = ev.AttemptStarted(ONE, 1, 4711, 1)
KILLED = Outcome("crash", "", "no last words", None)


async def running(launcher: FakeLauncher, suspended_s: float = 0.0) -> ev.AttemptStarted:
    order = FakeCooperbench().order(the_plan(), jobs(1)[0], 1, "token-1", Path())
    process = await launcher.start(order)
    return ev.AttemptStarted(ONE, 1, process.pid, process.started_ticks, suspended_s)


async def test_a_job_that_was_cancelled_before_the_runner_died_is_not_bought_again() -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, GONE, ev.CancelRequested(ONE)))
    deck.cooperbench.outcomes[ONE] = [KILLED, OK]
    assert await deck.run() == "finished"
    row = deck.board.jobs[ONE]
    assert (row.state, row.cancelling, deck.launcher.orders) == ("cancelled", False, [])


async def test_a_result_that_the_cancelled_job_had_brought_already_is_kept() -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, GONE, ev.CancelRequested(ONE)))
    await deck.run()
    assert deck.board.jobs[ONE].state == "done"


async def test_a_cancelled_attempt_that_is_still_up_is_ended_at_once() -> None:
    launcher = FakeLauncher(holds=True)
    started = await running(launcher)
    deck = Deck(
        ledger=left_by_another_runner(the_plan(), STARTING, started, ev.CancelRequested(ONE)), launcher=launcher
    )
    deck.cooperbench.outcomes[ONE] = [KILLED]
    await deck.run()
    assert launcher.running[1].ended_by_us
    assert (deck.board.jobs[ONE].state, len(launcher.orders)) == ("cancelled", 1)


@pytest.mark.parametrize("up", [True, False])
async def test_a_job_to_be_tried_again_is_so_after_the_runner_died(up: bool) -> None:
    launcher = FakeLauncher(holds=up)
    started = await running(launcher) if up else GONE
    asked = ev.CancelRequested(ONE, again=True)
    deck = Deck(ledger=left_by_another_runner(the_plan(attempts=1), STARTING, started, asked), launcher=launcher)
    deck.cooperbench.outcomes[ONE] = [KILLED, OK]
    launcher.holds = False
    await deck.run()
    row = deck.board.jobs[ONE]
    assert (row.state, len(row.attempts), row.cancelling, row.requeueing) == ("done", 2, False, False)
    assert not up or launcher.running[1].ended_by_us


async def test_a_queued_job_is_cancelled_in_one_commit() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    last = jobs(2)[1].id
    commits: list[list[str]] = []

    def noted(envelopes: object) -> bool:
        commits.append([one.event.type for one in envelopes])  # type: ignore[attr-defined]
        return False

    deck.ledger.refuses = noted

    async def user(deck: Deck) -> None:
        await until(lambda: bool(deck.launcher.running))
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Cancel(last))).ok
        deck.launcher.running[1].over.set()

    await deck.run(*planned(2, slots=1), meanwhile=user)
    assert deck.board.jobs[last].state == "cancelled"
    assert any({"CancelRequested", "JobSettled"} <= set(commit) for commit in commits)


@pytest.mark.parametrize("retrying", [True, False])
async def test_a_waiting_job_that_an_earlier_runner_had_only_begun_to_cancel_never_starts(retrying: bool) -> None:
    failed = (STARTING, GONE, ev.AttemptEnded(ONE, 1, PROVIDER), ev.RetryScheduled(ONE, 2, 0.0, "provider"))
    before = failed if retrying else ()
    deck = Deck(ledger=left_by_another_runner(the_plan(), *before, ev.CancelRequested(ONE)))
    assert await deck.run() == "finished"
    assert (deck.board.jobs[ONE].state, deck.launcher.orders) == ("cancelled", [])


def test_who_cancels_what_would_run_again_is_obeyed() -> None:
    acts: tuple[OwnAct, ...] = ("requeued", "stopped")
    for first in acts:
        control = Control()
        control.end(first)
        control.end("cancelled")
        assert control.act == "cancelled"
    control = Control()
    control.end("timeout")
    control.end("cancelled")
    assert control.act == "timeout"


async def test_a_host_that_was_short_and_then_fails_for_good_lets_the_queue_go() -> None:
    deck = Deck()
    errors = iter([errno.ENOMEM, errno.ENOENT])

    async def action() -> None:
        raise OSError(next(errors), "x")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(deck.dispatcher.run)
        with pytest.raises(FileNotFoundError):
            await patiently(deck.dispatcher, deck.clock, action)
        tasks.cancel_scope.cancel()
    assert [one.event.type for one in deck.ledger.envelopes] == ["QueueHeld", "QueueReleased"]
    assert not deck.board.holds


async def test_what_cannot_be_delivered_keeps_nobody_from_stopping_and_is_delivered_by_the_next() -> None:
    deck = Deck()
    deck.cooperbench.delivery_errors = 10**9

    async def user(deck: Deck) -> None:
        await until(lambda: bool(deck.board.holds))
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Stop("now"))).ok

    assert await deck.run(*planned(1), meanwhile=user) == "stopped"
    assert deck.board.jobs[ONE].state == "delivering"
    following = Deck(ledger=deck.ledger)
    assert await following.run() == "finished"
    assert following.cooperbench.delivered_jobs == [(ONE, False)]
    assert following.launcher.orders == []


async def test_lost_after_another_failure_is_tried_again() -> None:
    deck = Deck()
    lost = Outcome("lost", "", "gone", None)
    deck.cooperbench.outcomes[ONE] = [PROVIDER, lost, OK]
    await deck.run(*planned(1, attempts=3))
    assert deck.board.jobs[ONE].state == "done"
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [lost, PROVIDER, lost, OK]
    await deck.run(*planned(1, attempts=9))
    assert (deck.board.jobs[ONE].state, len(deck.board.jobs[ONE].attempts)) == ("failed", 3)


async def test_a_suspended_machine_costs_an_adopted_attempt_none_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = FakeLauncher()
    started = await running(launcher, suspended_s=1000.0)
    old: FakeProcess = launcher.running[1]
    # Ten minutes of work and a night of eight hours, after a boot that had seen 1000 s of sleep before.
    old.up_s, old.suspended_s = 600.0 + 28_800.0, 1000.0 + 28_800.0
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, started), launcher=launcher)
    limits = noted_limits(monkeypatch)
    await deck.run()
    assert deck.board.jobs[ONE].state == "done"
    assert 3000.0 in limits


def test_a_process_knows_how_long_the_machine_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = {time.CLOCK_BOOTTIME: 5000.0, time.CLOCK_MONOTONIC: 3800.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    monkeypatch.setattr(os, "pidfd_open", lambda _: -1)
    process = processes.Process(1, 0, None)
    assert (process.suspended_s, process.age_s()) == (1200.0, 5000.0)


def test_an_old_ledger_without_the_time_suspended_still_folds() -> None:
    line = f'{{"job": "{ONE}", "attempt": 1, "pid": 7, "started_ticks": 8, "type": "AttemptStarted"}}'
    started = from_json(ev.AttemptStarted, line)
    board = left_by_another_runner(the_plan(), STARTING).board()
    board = reduce(board, ev.Envelope(board.seq + 1, board.at, started))
    assert board.jobs[ONE].attempts[0].suspended_s == 0.0


async def test_a_timeout_of_an_adopted_attempt_names_the_limit_that_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    move_on_after = anyio.move_on_after

    def at_once(delay: float | None, *, shield: bool = False) -> anyio.CancelScope:
        # What is left of the time of one that was up for longer already.
        return move_on_after(0.01 if delay == 60.0 else delay, shield=shield)

    launcher = FakeLauncher(holds=True)
    started = await running(launcher)
    launcher.running[1].up_s = 10_000.0
    deck = Deck(ledger=left_by_another_runner(the_plan(timeout_s=3600.0), STARTING, started), launcher=launcher)
    deck.cooperbench.outcomes[ONE] = [KILLED]
    monkeypatch.setattr("runner.engine.attempt.anyio.move_on_after", at_once)
    await deck.run()
    outcome = deck.board.jobs[ONE].outcome
    assert outcome is not None
    assert (outcome.failure, outcome.evidence) == ("timeout", "not over after 3600 s (--timeout)")


async def test_one_result_that_is_delivered_again_lets_the_queue_go_for_no_other() -> None:
    class Stuck(FakeCooperbench):
        tried = 0
        stays = True

        async def deliver(self, plan: Plan, spec: JobSpec, folder: Path, outcome: Outcome, *, tag: bool) -> str:
            self.tried += spec.id == ONE
            if self.stays if spec.id != ONE else self.tried == 1:
                raise OSError(errno.EACCES, "Permission denied")
            return await super().deliver(plan, spec, folder, outcome, tag=tag)

    program = Stuck()
    deck = Deck(cooperbench=program)

    async def user(deck: Deck) -> None:
        await until(lambda: deck.board.jobs[ONE].state == "done" and bool(deck.board.holds))
        program.stays = False

    assert await deck.run(*planned(2), meanwhile=user) == "finished"
    assert not deck.board.holds


async def test_who_looks_at_what_is_there_can_be_stopped_while_the_host_is_short() -> None:
    class Short(FakeCooperbench):
        async def delivered(self, plan: Plan, spec: JobSpec) -> tuple[Outcome, str] | None:
            raise OSError(errno.EMFILE, "Too many open files")

    deck = Deck()
    await deck.run(*planned(1))
    again = Deck(ledger=deck.ledger, cooperbench=Short())

    async def user(deck: Deck) -> None:
        await until(lambda: bool(deck.board.holds))
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Stop("drain"))).ok

    assert await again.run(recheck=True, meanwhile=user) == "drained"
    assert again.board.jobs[ONE].state == "done"
