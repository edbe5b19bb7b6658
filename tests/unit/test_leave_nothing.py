"""However an attempt ends, what it made in Docker is removed and its strays are looked for, and no result waits."""

from dataclasses import replace

import anyio
import pytest

from runner.engine.ports import AgentProgress, Sighting
from runner.model import commands as cmd
from runner.model import events as ev
from tests.unit.fakes import (
    AUTH,
    OK,
    PROVIDER,
    Deck,
    FakeContainers,
    FakeCooperbench,
    FakeLauncher,
    FakeProgress,
    jobs,
    the_plan,
)
from tests.unit.sweeps import ONE, STARTING, left_by_another_runner, planned, until

pytestmark = pytest.mark.anyio
CRASH = replace(PROVIDER, failure="crash", cost_usd=None)


def tokens(deck: Deck) -> list[str]:
    return [event.token for event in deck.ledger.events(ev.AttemptStarting) if isinstance(event, ev.AttemptStarting)]


def assert_cleared(deck: Deck) -> None:
    """Each attempt by itself, and all of them once more at the end."""
    every = tokens(deck)
    assert every
    for token in every:
        assert frozenset({token}) in deck.containers.removed
        assert any(seen == {token} for seen, _ in deck.launcher.looks)
    assert deck.containers.removed[-1] == frozenset(every)
    assert deck.launcher.looks[-1] == (frozenset(), False)


@pytest.mark.parametrize(
    "outcomes", [[OK], [AUTH], [PROVIDER, OK], [CRASH] * 3], ids=["result", "auth", "again", "crash"]
)
async def test_after_a_result_and_after_failures(outcomes: list[object]) -> None:
    deck = Deck()
    deck.cooperbench.outcomes[ONE] = list(outcomes)  # type: ignore[arg-type]
    await deck.run(*planned(1))
    assert len(tokens(deck)) == len(outcomes)
    assert deck.containers.killed == set()
    assert_cleared(deck)


async def test_after_a_timeout() -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    deck.cooperbench.outcomes[ONE] = [CRASH] * 3
    await deck.run(*planned(1, timeout_s=0.01))
    outcome = deck.board.jobs[ONE].outcome
    assert outcome is not None
    assert outcome.failure == "timeout"
    assert deck.containers.killed == set(tokens(deck))
    assert_cleared(deck)


@pytest.mark.parametrize("command", [cmd.Cancel(ONE), cmd.Stop("now")], ids=["cancelled", "stopped"])
async def test_after_the_users_own_act(command: cmd.Command) -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    deck.cooperbench.outcomes[ONE] = [CRASH]

    async def user(deck: Deck) -> None:
        await until(lambda: deck.board.jobs[ONE].state == "running" and deck.sweep is not None)
        assert deck.containers.removed == []
        assert deck.sweep is not None
        assert (await deck.sweep.obey(command)).ok

    await deck.run(*planned(1), meanwhile=user)
    assert deck.containers.killed == set(tokens(deck))
    assert_cleared(deck)


class InContainers(FakeProgress):
    """What an agent has written in its container; nobody looks there unless they insist, or once it is gone."""

    def __init__(self, deck: Deck) -> None:
        super().__init__((AgentProgress("solo", "llm", 5, 0.75),))
        self._deck = deck

    async def news(self, *, last: bool = False) -> tuple[Sighting, ...]:
        return await super().news() if last and not self._deck.launcher.running[1].ended_by_us else ()


async def test_what_was_written_in_its_container_is_read_before_a_job_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    deck = Deck(launcher=FakeLauncher(holds=True))
    deck.cooperbench.outcomes[ONE] = [CRASH]
    monkeypatch.setattr(deck.cooperbench, "progress", lambda plan, spec, folder: InContainers(deck))

    async def user(deck: Deck) -> None:
        await until(lambda: deck.board.jobs[ONE].state == "running" and deck.sweep is not None)
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Cancel(ONE))).ok

    await deck.run(*planned(1), meanwhile=user)
    assert deck.board.jobs[ONE].attempts[0].cost_usd == pytest.approx(0.75)


async def test_a_result_does_not_wait_for_docker_but_the_slot_does() -> None:
    deck = Deck(containers=FakeContainers(takes_s=0.2))

    async def watch(deck: Deck) -> None:
        await until(lambda: deck.board.total.count("done") == 1)
        assert deck.containers.removed == []
        assert len(deck.launcher.orders) == 1

    await deck.run(*planned(2, slots=1), meanwhile=watch)
    assert deck.board.total.count("done") == 2
    assert_cleared(deck)


async def test_what_was_never_started_left_nothing() -> None:
    deck = Deck(launcher=FakeLauncher(refusals=9))
    await deck.run(*planned(1))
    every = frozenset(tokens(deck))
    assert set(deck.containers.removed) == {every}


async def test_what_ended_while_no_runner_was_there_is_cleared_at_the_start() -> None:
    done = (ev.AttemptEnded(ONE, 1, OK), ev.ResultDelivered(ONE, 1, "/l"), ev.JobSettled(ONE, "done"))
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, *done))
    await deck.run()
    assert deck.launcher.looks[0] == (frozenset({"token-1"}), True)
    assert deck.containers.removed[0] == frozenset({"token-1"})


@pytest.mark.parametrize("outcome", [OK, CRASH], ids=["ended", "lost"])
async def test_what_was_gone_when_the_runner_came_back_is_cleared(outcome: object) -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, ev.AttemptStarted(ONE, 1, 4711, 1)))
    deck.cooperbench.outcomes[ONE] = [outcome]  # type: ignore[list-item]
    await deck.run()
    assert (frozenset({"token-1"}), True) in deck.launcher.looks
    assert_cleared(deck)


async def test_an_adopted_attempt_keeps_its_containers_until_it_is_over() -> None:
    launcher = FakeLauncher(holds=True)
    old = await launcher.start(FakeCooperbench().order(the_plan(), jobs(1)[0], 1, "token-1", None))  # type: ignore[arg-type]
    started = ev.AttemptStarted(ONE, 1, old.pid, old.started_ticks)
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, started), launcher=launcher)

    async def later(deck: Deck) -> None:
        await anyio.sleep(0.02)
        assert deck.containers.removed == []
        assert deck.launcher.looks == []
        old.over.set()

    await deck.run(meanwhile=later)
    # Its strays are children of nobody here.
    assert deck.launcher.looks[0] == (frozenset({"token-1"}), True)
    assert_cleared(deck)
