"""The engine on fakes: slots, retries, holds, the user's commands, and taking up what an earlier runner left."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest

from runner.engine.ports import AgentProgress, LaunchGone, LaunchOrder, StartedContainer
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.ids import JobId
from runner.model.outcome import Outcome
from runner.model.plan import Plan
from runner.model.prices import Tokens
from tests.unit.fakes import (
    AUTH,
    OK,
    PROVIDER,
    Deck,
    FakeCooperbench,
    FakeLauncher,
    FakeProcess,
    MemoryLedger,
    jobs,
    the_plan,
)

pytestmark = pytest.mark.anyio
ONE = jobs(1)[0].id


def planned(number: int, **changes: object) -> tuple[ev.Event, ...]:
    return ev.SweepPlanned(the_plan(**changes)), ev.JobsPlanned(jobs(number))


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await anyio.sleep(0.001)


async def test_all_jobs_run_and_the_sweep_finishes() -> None:
    deck = Deck()
    assert await deck.run(*planned(7)) == "finished"
    assert deck.board.total.count("done") == 7
    assert deck.board.total.cost_usd == pytest.approx(3.5)
    assert deck.cooperbench.finished >= 1
    assert len(deck.ledger.events(ev.SweepFinished)) == 1


async def test_never_more_attempts_at_once_than_slots() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))

    async def finish_them(deck: Deck) -> None:
        while True:
            await anyio.sleep(0.002)
            for process in deck.launcher.running.values():
                process.over.set()

    await deck.run(*planned(9, slots=3), meanwhile=finish_them)
    assert deck.launcher.peak == 3


async def test_an_infrastructure_failure_is_tried_again_and_counted_as_wasted() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [PROVIDER, PROVIDER, OK]
    await deck.run(*planned(1))
    row = deck.board.jobs[ONE]
    assert (row.state, len(row.attempts)) == ("done", 3)
    assert row.wasted_usd == pytest.approx(0.2)
    assert deck.board.total.cost_usd == pytest.approx(0.7)


async def test_tries_are_limited_and_the_last_failure_is_delivered_with_its_tag() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [PROVIDER] * 9
    await deck.run(*planned(1, attempts=3))
    assert deck.board.jobs[ONE].state == "failed"
    assert len(deck.board.jobs[ONE].attempts) == 3
    assert deck.cooperbench.delivered_jobs == [(ONE, True)]


async def test_what_cannot_succeed_is_tried_once() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [AUTH]
    await deck.run(*planned(1))
    assert (deck.board.jobs[ONE].state, len(deck.board.jobs[ONE].attempts)) == ("failed", 1)


async def test_intent_is_durable_before_the_process_starts() -> None:
    deck = Deck()
    seen: list[bool] = []
    start = deck.launcher.start

    async def watched(order: object) -> object:
        seen.append(any(isinstance(one, ev.AttemptStarting) for one in deck.ledger.events(ev.AttemptStarting)))
        return await start(order)  # type: ignore[arg-type]

    deck.launcher.start = watched  # type: ignore[assignment,method-assign]
    await deck.run(*planned(1))
    assert seen == [True]


async def test_a_sound_result_is_skipped_and_shown_so() -> None:
    deck = Deck()
    deck.cooperbench.there[ONE] = OK
    await deck.run(*planned(2))
    assert deck.board.jobs[ONE].state == "skipped"
    assert len(deck.launcher.orders) == 1
    assert deck.board.total.results == 2
    assert deck.board.total.cost_usd == pytest.approx(0.5)
    assert deck.board.total.skipped_usd == pytest.approx(0.5)


async def test_force_buys_what_is_there_again() -> None:
    deck = Deck()
    deck.cooperbench.there[ONE] = OK
    await deck.run(*planned(2, force=True))
    assert len(deck.launcher.orders) == 2


async def test_pause_slots_and_cancel() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))

    async def user(deck: Deck) -> None:
        await until(lambda: deck.sweep is not None and len(deck.launcher.orders) == 2)
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Pause())).ok
        deck.launcher.running[1].over.set()
        await until(lambda: deck.board.total.count("done") == 1)
        assert len(deck.launcher.orders) == 2
        assert (await deck.sweep.obey(cmd.SetSlots(3))).ok
        assert (await deck.sweep.obey(cmd.Resume())).ok
        await until(lambda: len(deck.launcher.orders) == 4)
        assert (await deck.sweep.obey(cmd.Cancel(jobs(2)[1].id))).ok
        assert (await deck.sweep.obey(cmd.Cancel(jobs(6)[5].id))).ok
        assert not (await deck.sweep.obey(cmd.Cancel(JobId("nothing")))).ok
        assert not (await deck.sweep.obey(cmd.SetSlots(0))).ok
        while True:
            await anyio.sleep(0.002)
            for process in deck.launcher.running.values():
                process.over.set()

    deck.cooperbench.outcomes[jobs(2)[1].id] = [replace(PROVIDER, failure="crash", cost_usd=None)]
    await deck.run(*planned(6, slots=2), meanwhile=user)
    states = [deck.board.jobs[spec.id].state for spec in jobs(6)]
    assert states == ["done", "cancelled", "done", "done", "done", "cancelled"]
    assert deck.launcher.running[2].ended_by_us


async def test_a_failed_job_is_retried_on_request_and_a_result_only_with_force() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [AUTH, OK]

    async def user(deck: Deck) -> None:
        with deck.hub.subscribe():
            await until(lambda: deck.board.finished_at is not None)
            assert deck.sweep is not None
            assert (await deck.sweep.obey(cmd.RetryFailed())).ok
            await until(lambda: deck.board.jobs[ONE].state == "done" and deck.board.finished_at is not None)
            assert not (await deck.sweep.obey(cmd.Retry(ONE))).ok
            assert (await deck.sweep.obey(cmd.Retry(ONE, force=True))).ok
            await until(lambda: len(deck.board.jobs[ONE].attempts) == 3 and deck.board.finished_at is not None)

    await deck.run(*planned(2), meanwhile=user)
    assert deck.board.jobs[ONE].state == "done"


async def test_drain_lets_what_runs_finish_and_starts_nothing() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))

    async def user(deck: Deck) -> None:
        await until(lambda: len(deck.launcher.orders) == 2)
        assert deck.sweep is not None
        await deck.sweep.obey(cmd.Stop("drain"))
        for process in deck.launcher.running.values():
            process.over.set()

    assert await deck.run(*planned(5), meanwhile=user) == "drained"
    assert deck.board.total.count("done") == 2
    assert deck.board.total.count("queued") == 3


async def test_stop_now_ends_attempts_and_leaves_their_jobs_resumable() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    for spec in jobs(5):
        deck.cooperbench.outcomes[spec.id] = [replace(PROVIDER, failure="crash", cost_usd=None)]

    async def user(deck: Deck) -> None:
        await until(lambda: len(deck.launcher.orders) == 2)
        assert deck.sweep is not None
        await deck.sweep.obey(cmd.Stop("now"))

    assert await deck.run(*planned(5), meanwhile=user) == "stopped"
    assert deck.board.total.count("queued") == 5
    assert [process.ended_by_us for process in deck.launcher.running.values()] == [True, True]
    again = Deck(ledger=deck.ledger)
    assert await again.run() == "finished"
    assert again.board.total.count("done") == 5


async def test_the_budget_holds_the_queue_and_says_so() -> None:
    deck = Deck()
    assert await deck.run(*planned(9, budget_usd=1.0, slots=1)) == "budget"
    assert deck.board.total.count("done") == 2
    assert "$1.00 of the budget" in deck.board.holds[0].reason


async def test_a_timeout_ends_the_attempt_and_is_final() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    deck.cooperbench.outcomes[ONE] = [replace(PROVIDER, failure="crash", cost_usd=None)]
    await deck.run(*planned(1, timeout_s=0.02))
    row = deck.board.jobs[ONE]
    assert row.state == "failed"
    assert row.outcome is not None
    assert row.outcome.failure == "timeout"
    assert row.unknown_costs == 1


async def test_what_a_failed_attempt_was_seen_spending_is_spent_and_wasted() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [replace(PROVIDER, cost_usd=0.0), OK]
    deck.cooperbench.seen[ONE] = (AgentProgress("agent1", "llm", 3, 0.2), AgentProgress("agent2", "exec", 4, 0.05))
    await deck.run(*planned(1))
    row = deck.board.jobs[ONE]
    assert row.wasted_usd == pytest.approx(0.25)
    assert row.cost_usd == pytest.approx(0.75)


async def test_a_result_without_a_cost_of_its_own_takes_the_one_by_own_prices() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [replace(OK, cost_usd=None)]
    deck.cooperbench.seen[ONE] = (AgentProgress("solo", "llm", 3, 0.2, Tokens(10, 2), own_prices=True),)
    await deck.run(*planned(1))
    (attempt,) = deck.board.jobs[ONE].attempts
    assert (attempt.cost_usd, attempt.own_prices, attempt.tokens) == (0.2, True, Tokens(10, 2))
    assert deck.board.total.unknown_costs == 0


async def test_a_running_job_is_ended_and_queued_again_and_what_it_cost_is_wasted() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    deck.cooperbench.outcomes[ONE] = [replace(PROVIDER, failure="crash", cost_usd=None), OK]
    deck.cooperbench.seen[ONE] = (
        StartedContainer("solo", "minisweagent-1a", "0123456789ab"),
        AgentProgress("solo", "exec", 3, 0.2),
    )

    async def user(deck: Deck) -> None:
        await until(lambda: deck.sweep is not None and bool(deck.board.jobs[ONE].running))
        assert deck.sweep is not None
        assert not (await deck.sweep.obey(cmd.Requeue(JobId("nothing")))).ok
        assert (await deck.sweep.obey(cmd.Requeue(ONE))).ok
        assert not (await deck.sweep.obey(cmd.Requeue(ONE))).ok
        await until(lambda: len(deck.launcher.orders) == 2)
        deck.launcher.running[2].over.set()
        await until(lambda: deck.board.jobs[ONE].settled)
        assert not (await deck.sweep.obey(cmd.Requeue(ONE))).ok

    await deck.run(*planned(1, attempts=1), meanwhile=user)
    row = deck.board.jobs[ONE]
    assert deck.launcher.running[1].ended_by_us
    assert (row.state, row.cancelling, len(row.attempts)) == ("done", False, 2)
    first = row.attempts[0]
    assert first.outcome is not None
    assert (first.outcome.failure, first.outcome.evidence) == ("cancelled", "ended by the user to be tried again")
    assert [one.container for one in first.containers] == ["0123456789ab"]
    assert row.wasted_usd == pytest.approx(0.2)
    assert row.cost_usd == pytest.approx(0.7)


async def test_a_result_that_comes_while_it_is_ended_is_kept() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))

    async def user(deck: Deck) -> None:
        await until(lambda: deck.sweep is not None and bool(deck.board.jobs[ONE].running))
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Requeue(ONE))).ok

    await deck.run(*planned(1), meanwhile=user)
    assert (deck.board.jobs[ONE].state, len(deck.board.jobs[ONE].attempts)) == ("done", 1)


@pytest.mark.parametrize("refusals", [1, 3])
async def test_what_was_seen_last_is_told_with_the_end_where_the_ledger_refuses(refusals: int) -> None:
    deck, left = Deck(), [refusals]
    deck.cooperbench.outcomes[ONE] = [replace(PROVIDER, failure="crash", cost_usd=0.0)]
    deck.cooperbench.seen[ONE] = (AgentProgress("solo", "llm", 5, 0.75),)

    def refuses(envelopes: Sequence[ev.Envelope]) -> bool:
        if any(isinstance(envelope.event, ev.AgentSeen) for envelope in envelopes):
            left[0] -= 1
            return left[0] >= 0
        return False

    deck.ledger.refuses = refuses
    await deck.run(*planned(1, attempts=1))
    row = deck.board.jobs[ONE]
    assert left[0] == -1
    assert (row.state, row.wasted_usd, row.attempts[0].cost_usd) == ("failed", 0.75, 0.75)


async def test_what_was_seen_while_the_ledger_refused_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.engine.attempt.PROGRESS_S", 0.01)
    deck, refused = Deck(launcher=FakeLauncher(holds=True)), anyio.Event()
    deck.cooperbench.outcomes[ONE] = [replace(PROVIDER, cost_usd=0.0)]
    deck.cooperbench.seen[ONE] = (AgentProgress("solo", "llm", 5, 0.75),)

    def refuses(envelopes: Sequence[ev.Envelope]) -> bool:
        kinds = {type(envelope.event) for envelope in envelopes}
        if ev.AgentSeen in kinds and ev.AttemptEnded not in kinds:
            refused.set()
            return True
        return False

    async def end(deck: Deck) -> None:
        await refused.wait()
        deck.launcher.running[1].over.set()

    deck.ledger.refuses = refuses
    await deck.run(*planned(1, attempts=1), meanwhile=end)
    assert deck.board.jobs[ONE].attempts[0].cost_usd == 0.75


async def test_an_attempt_that_is_gone_as_soon_as_it_had_begun_is_read_from_its_files() -> None:
    deck = Deck()
    real = deck.launcher.start

    async def start(order: LaunchOrder) -> FakeProcess:
        await real(order)
        raise LaunchGone("it was gone as soon as it had begun")

    deck.launcher.start = start  # type: ignore[method-assign]
    deck.cooperbench.outcomes[ONE] = [OK]
    two = jobs(2)[1].id
    deck.cooperbench.outcomes[two] = [replace(PROVIDER, failure="crash", cost_usd=0.0)]
    deck.cooperbench.seen[two] = (AgentProgress("solo", "llm", 5, 0.75),)
    await deck.run(*planned(2, attempts=1))
    assert (deck.board.jobs[ONE].state, deck.board.jobs[ONE].cost_usd) == ("done", 0.5)
    row = deck.board.jobs[two]
    assert (row.state, row.wasted_usd) == ("failed", 0.75)
    assert row.outcome is not None
    assert row.outcome.evidence == "could not be started: it was gone as soon as it had begun"


async def test_a_cost_nobody_knows_stays_unknown() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [replace(AUTH, failure="unknown", cost_usd=None)]
    deck.cooperbench.seen[ONE] = (AgentProgress("agent1", "llm", 3, None),)
    await deck.run(*planned(1))
    assert deck.board.jobs[ONE].unknown_costs == 1


async def test_a_host_that_is_short_of_something_holds_the_queue_and_charges_no_attempt() -> None:
    deck = Deck(launcher=FakeLauncher(refusals=3))
    await deck.run(*planned(4, attempts=1))
    assert [len(row.attempts) for row in deck.board.jobs.values()] == [1, 1, 1, 1]
    assert deck.board.total.count("done") == 4
    held = deck.ledger.events(ev.QueueHeld)
    assert "too many open files" in str(held[0])
    assert not deck.board.holds


async def test_a_host_that_stays_short_keeps_nobody_from_stopping() -> None:
    deck = Deck(launcher=FakeLauncher(refusals=1_000_000))

    async def stop(deck: Deck) -> None:
        await until(lambda: bool(deck.board.holds))
        assert deck.sweep is not None
        await deck.sweep.obey(cmd.Stop("drain"))

    assert await deck.run(*planned(3), meanwhile=stop) == "drained"
    assert {row.state for row in deck.board.jobs.values()} == {"queued"}


async def test_failures_of_the_host_do_not_count_against_the_limit() -> None:
    deck = Deck()
    full = Outcome("host", "", "[Errno 28] No space left on device", 0.1)
    deck.cooperbench.outcomes[ONE] = [full, PROVIDER, full, full, OK]
    await deck.run(*planned(1, attempts=2))
    assert (deck.board.jobs[ONE].state, len(deck.board.jobs[ONE].attempts)) == ("done", 5)


async def test_a_clock_set_back_a_day_delays_no_retry() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [PROVIDER, OK]
    deck.clock.time += 86_400

    async def set_back(deck: Deck) -> None:
        await until(lambda: bool(deck.board.jobs))
        deck.clock.time -= 86_400

    await deck.run(*planned(1), meanwhile=set_back)
    assert deck.board.jobs[ONE].state == "done"


async def test_a_full_disk_at_delivery_holds_the_queue_until_it_is_gone() -> None:
    deck = Deck(cooperbench=FakeCooperbench(delivery_errors=3))
    await deck.run(*planned(2, slots=1))
    assert deck.board.total.count("done") == 2
    assert len(deck.ledger.events(ev.QueueHeld)) == 1
    assert deck.board.holds == ()


async def test_nothing_starts_while_the_ledger_cannot_be_written() -> None:
    ledger = MemoryLedger()
    refusals = iter([True] * 5)
    ledger.refuses = lambda batch: (
        any(isinstance(one.event, ev.AttemptStarting) for one in batch) and next(refusals, False)
    )
    deck = Deck(ledger=ledger)
    assert await deck.run(*planned(2)) == "finished"
    assert len(deck.launcher.orders) == 2
    assert deck.board.total.attempts == 2


def left_by_another_runner(plan: Plan, *more: ev.Event) -> MemoryLedger:
    ledger = MemoryLedger()
    opening = (ev.RunnerStarted(9, "h", "v"), ev.SweepPlanned(plan), ev.JobsPlanned(jobs(1)), *more)
    ledger.envelopes = [ev.Envelope(seq, 1_000_000.0, event) for seq, event in enumerate(opening, start=1)]
    return ledger


STARTING = ev.AttemptStarting(ONE, 1, "token-1", f"attempts/{ONE}/1")


async def test_an_attempt_that_still_runs_is_adopted_and_not_bought_twice() -> None:
    launcher = FakeLauncher(holds=True)
    old = await launcher.start(FakeCooperbench().order(the_plan(), jobs(1)[0], 1, "token-1", None))  # type: ignore[arg-type]
    deck = Deck(
        ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptStarted(ONE, 1, old.pid, old.started_ticks)),
        launcher=launcher,
    )

    async def later(deck: Deck) -> None:
        await anyio.sleep(0.01)
        assert deck.board.jobs[ONE].state == "running"
        old.over.set()

    assert await deck.run(meanwhile=later) == "finished"
    assert len(launcher.orders) == 1
    assert deck.board.jobs[ONE].state == "done"


async def test_an_attempt_whose_pid_was_never_written_is_found_by_its_token() -> None:
    launcher = FakeLauncher(holds=False)
    await launcher.start(FakeCooperbench().order(the_plan(), jobs(1)[0], 1, "token-1", None))  # type: ignore[arg-type]
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING), launcher=launcher)
    assert await deck.run() == "finished"
    assert len(launcher.orders) == 1


async def test_an_attempt_that_ended_meanwhile_is_settled_from_its_files() -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptStarted(ONE, 1, 4711, 1)))
    assert await deck.run() == "finished"
    assert deck.launcher.orders == []
    assert deck.board.jobs[ONE].state == "done"


async def test_a_lost_attempt_counts_once_and_runs_again() -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptStarted(ONE, 1, 4711, 1)))
    deck.cooperbench.outcomes[ONE] = [replace(PROVIDER, failure="crash", cost_usd=None), OK]
    await deck.run()
    failures = [attempt.outcome.failure for attempt in deck.board.jobs[ONE].attempts if attempt.outcome]
    assert failures == ["lost", None]


async def test_a_result_that_was_not_yet_delivered_is_delivered_and_not_bought_again() -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptEnded(ONE, 1, OK)))
    await deck.run()
    assert deck.cooperbench.delivered_jobs == [(ONE, False)]
    assert deck.launcher.orders == []


async def test_a_finished_sweep_run_again_skips_what_is_there_and_buys_what_is_gone() -> None:
    first = Deck()
    await first.run(*planned(2))
    again = Deck(ledger=first.ledger)
    again.cooperbench.there[ONE] = OK
    await again.run(recheck=True)
    assert again.board.jobs[ONE].state == "skipped"
    assert [order.argv[1] for order in again.launcher.orders] == [jobs(2)[1].id]
    assert again.board.total.cost_usd == pytest.approx(1.5)


async def test_a_ledger_that_refuses_is_a_hold_for_clients_and_ends_nothing() -> None:
    deck = Deck()
    troubles: list[str] = []
    deck.dispatcher.when_troubled = troubles.append
    refusals = iter([True] * 6)
    deck.ledger.refuses = lambda batch: (
        any(isinstance(one.event, ev.SweepFinished | ev.JobSettled) for one in batch) and next(refusals, False)
    )
    seen: list[str] = []

    async def look(deck: Deck) -> None:
        await until(lambda: bool(deck.dispatcher.shown.holds))
        seen.extend(hold.reason for hold in deck.dispatcher.shown.holds)

    assert await deck.run(*planned(1), meanwhile=look) == "finished"
    assert "disk is full" in seen[0]
    assert not deck.dispatcher.shown.holds
    assert troubles[-1] == ""
    assert troubles[0]


async def test_a_clock_set_forward_a_day_ends_no_adopted_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []
    move_on_after = anyio.move_on_after

    def noted(delay: float | None, *, shield: bool = False) -> anyio.CancelScope:
        limits.append(delay)
        return move_on_after(delay, shield=shield)

    launcher = FakeLauncher()
    old = await launcher.start(FakeCooperbench().order(the_plan(), jobs(1)[0], 1, "token-1", None))  # type: ignore[arg-type]
    old.up_s = 600.0
    deck = Deck(
        ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptStarted(ONE, 1, old.pid, old.started_ticks)),
        launcher=launcher,
    )
    deck.clock.time += 86_400
    monkeypatch.setattr("runner.engine.attempt.anyio.move_on_after", noted)
    await deck.run()
    assert deck.board.jobs[ONE].state == "done"
    assert 3000.0 in limits


async def test_who_dies_while_the_host_is_short_of_something_is_not_charged() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    deck.cooperbench.outcomes[ONE] = [Outcome("crash", "", "no last words", None), OK]

    async def shortage(deck: Deck) -> None:
        await until(lambda: bool(deck.launcher.running))
        await anyio.sleep(0.01)
        deck.dispatcher.short_at = anyio.current_time()
        deck.launcher.holds = False
        deck.launcher.running[1].over.set()

    await deck.run(*planned(1, attempts=1), meanwhile=shortage)
    row = deck.board.jobs[ONE]
    assert (row.state, [one.outcome.failure for one in row.attempts if one.outcome]) == ("done", ["host", None])
