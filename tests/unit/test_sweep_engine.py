"""The engine on fakes: slots, retries, costs, the user's commands."""

from dataclasses import replace

import anyio
import pytest

from runner.engine.ports import AgentProgress, StartedContainer
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.ids import JobId
from runner.model.prices import Tokens
from tests.unit.fakes import AUTH, OK, PROVIDER, Deck, FakeLauncher, jobs
from tests.unit.sweeps import ONE, planned, until

pytestmark = pytest.mark.anyio


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


async def test_a_cost_nobody_knows_stays_unknown() -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = [replace(AUTH, failure="unknown", cost_usd=None)]
    deck.cooperbench.seen[ONE] = (AgentProgress("agent1", "llm", 3, None),)
    await deck.run(*planned(1))
    assert deck.board.jobs[ONE].unknown_costs == 1
