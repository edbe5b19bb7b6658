"""The engine on fakes, with what an earlier runner left behind."""

from dataclasses import replace

import anyio
import pytest

from runner.engine.ports import AgentProgress, LaunchGone, LaunchOrder
from runner.model import events as ev
from tests.unit.fakes import OK, PROVIDER, Deck, FakeCooperbench, FakeLauncher, FakeProcess, jobs, the_plan
from tests.unit.sweeps import ONE, STARTING, left_by_another_runner, planned

pytestmark = pytest.mark.anyio


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
