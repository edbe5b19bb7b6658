"""The engine on fakes, where the host, the ledger or the clock fails it."""

from collections.abc import Sequence
from dataclasses import replace

import anyio
import pytest

from runner.engine.ports import AgentProgress
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.outcome import Outcome
from tests.unit.fakes import OK, PROVIDER, Deck, FakeCooperbench, FakeLauncher, MemoryLedger, jobs, the_plan
from tests.unit.sweeps import ONE, STARTING, left_by_another_runner, noted_limits, planned, until

pytestmark = pytest.mark.anyio


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
    launcher = FakeLauncher()
    old = await launcher.start(FakeCooperbench().order(the_plan(), jobs(1)[0], 1, "token-1", None))  # type: ignore[arg-type]
    old.up_s = 600.0
    deck = Deck(
        ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptStarted(ONE, 1, old.pid, old.started_ticks)),
        launcher=launcher,
    )
    deck.clock.time += 86_400
    limits = noted_limits(monkeypatch)
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


@pytest.mark.parametrize("mode", ["now", "drain"])
async def test_a_ledger_that_cannot_be_written_keeps_nobody_from_stopping(mode: ev.StopMode) -> None:
    deck, full = Deck(launcher=FakeLauncher(holds=True)), [False]
    deck.ledger.refuses = lambda _: full[0]
    if mode == "now":
        deck.cooperbench.outcomes |= {spec.id: [Outcome("crash", "", "killed", None)] for spec in jobs(2)}
    shown: list[ev.StopMode | None] = []

    async def stop(deck: Deck) -> None:
        await until(lambda: len(deck.launcher.running) == 2)
        await until(lambda: deck.board.total.count("running") == 2)
        full[0] = True
        assert deck.sweep is not None
        reply = await deck.sweep.obey(cmd.Stop(mode))
        assert reply.ok
        assert "the ledger cannot be written" in reply.says
        shown.append(deck.dispatcher.shown.stopping)
        if mode == "drain":
            for process in deck.launcher.running.values():
                process.over.set()
        await until(lambda: all(process.over.is_set() for process in deck.launcher.running.values()))
        await anyio.sleep(0.02)
        assert deck.board.stopping is None
        full[0] = False

    assert await deck.run(*planned(5), meanwhile=stop) == ("stopped" if mode == "now" else "drained")
    assert shown == [mode]
    assert len(deck.launcher.orders) == 2
    assert all(process.ended_by_us == (mode == "now") for process in deck.launcher.running.values())
    kinds = [type(envelope.event) for envelope in deck.ledger.envelopes]
    assert kinds.count(ev.StopRequested) == 1
    assert kinds.index(ev.StopRequested) < kinds.index(ev.AttemptEnded)
    assert deck.board.total.count("queued") == (5 if mode == "now" else 3)


async def test_a_sweep_is_over_when_it_is_stopped_although_its_ledger_stays_full() -> None:
    deck, full = Deck(), [False]
    deck.ledger.refuses = lambda batch: full[0] and not any(isinstance(one.event, ev.RunnerStopped) for one in batch)

    async def stop(deck: Deck) -> None:
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Pause())).ok
        await until(lambda: deck.board.total.count("queued", "done") == 50)
        full[0] = True
        assert not (await deck.sweep.obey(cmd.Resume())).ok
        assert (await deck.sweep.obey(cmd.Stop("drain"))).ok

    assert await deck.run(*planned(50), meanwhile=stop) == "drained"
    assert len(deck.ledger.events(ev.StopRequested)) == 1


async def test_a_ledger_that_cannot_be_written_keeps_nobody_from_cancelling_what_spends() -> None:
    deck, full = Deck(launcher=FakeLauncher(holds=True)), [False]
    deck.ledger.refuses = lambda _: full[0]
    deck.cooperbench.outcomes[ONE] = [Outcome("crash", "", "killed", None)]
    queued = jobs(2)[1].id

    async def cancel(deck: Deck) -> None:
        await until(lambda: deck.board.total.count("running") == 1)
        full[0] = True
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Cancel(ONE))).ok
        assert not (await deck.sweep.obey(cmd.Cancel(queued))).ok
        await until(lambda: deck.launcher.running[1].ended_by_us)
        assert deck.dispatcher.shown.jobs[ONE].cancelling
        deck.launcher.holds = full[0] = False

    assert await deck.run(*planned(2, slots=1), meanwhile=cancel) == "finished"
    assert (deck.board.jobs[ONE].state, deck.board.jobs[queued].state) == ("cancelled", "done")
    assert [type(event) for event in deck.ledger.events(ev.CancelRequested)] == [ev.CancelRequested]
