"""Jobs and what they need of the machine: who waits, who goes first, what a supply that failed for good means."""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce as fold

import anyio
import pytest
from pyrsistent import pmap

from runner.engine.turns import Turns
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.board import Board
from runner.model.ids import JobId
from runner.model.plan import Rehearsal
from runner.model.reduce import reduce
from runner.model.supplies import Supply, image_name, lacking, needed, short_image, waiting
from tests.unit.fakes import OK, Deck, FakeLauncher, FakeSupplier, jobs, the_plan

REAL = {"rehearsal": None}
ONE, TWO, THREE = (spec.id for spec in jobs(3))
IMAGES = [image_name(spec.pair.repo, spec.pair.task) for spec in jobs(3)]


def planned(number: int, setting: str = "solo", **changes: object) -> tuple[ev.Event, ...]:
    return ev.SweepPlanned(the_plan(**(REAL | changes))), ev.JobsPlanned(jobs(number, setting))


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(40):
        while not true():
            await anyio.sleep(0.001)


def started(deck: Deck) -> list[str]:
    return [order.argv[1] for order in deck.launcher.orders]


# -- what is needed -----------------------------------------------------------------------------------------------


def test_what_a_job_needs_follows_from_its_setting_and_the_plan() -> None:
    plan, solo, coop = the_plan(rehearsal=None), jobs(1)[0], jobs(1, "coop-comm")[0]
    assert needed(plan, solo) == (("image", "akhatua/cooperbench-toy:task1"),)
    assert needed(plan, coop) == (("image", "akhatua/cooperbench-toy:task1"), ("redis", ""))
    assert needed(replace(plan, git=True), coop)[-1] == ("git", "")
    assert ("git", "") not in needed(replace(plan, git=True), solo)
    assert needed(replace(plan, backend="modal"), solo) == ()
    assert needed(replace(plan, rehearsal=Rehearsal()), coop) == ()


def test_an_image_has_upstreams_name() -> None:
    assert image_name("pallets_jinja_task", 1621) == "akhatua/cooperbench-pallets-jinja:task1621"
    assert short_image("akhatua/cooperbench-pallets-jinja:task1621") == "pallets-jinja:task1621"


def test_what_nobody_watches_over_is_not_waited_for() -> None:
    board = board_of(*planned(1))
    assert lacking(board, jobs(1)[0]) is None
    board = reduce(board, ev.Envelope(9, 0.0, ev.SupplySeen(Supply("image", IMAGES[0]))))
    assert lacking(board, jobs(1)[0]) == Supply("image", IMAGES[0])
    assert waiting(board) == [(Supply("image", IMAGES[0]), 1)]
    board = reduce(board, ev.Envelope(10, 0.0, ev.SupplySeen(Supply("image", IMAGES[0], "there"))))
    assert lacking(board, jobs(1)[0]) is None
    assert waiting(board) == []


def test_a_new_runner_believes_nothing_that_an_earlier_one_saw() -> None:
    board = board_of(*planned(1), ev.SupplySeen(Supply("redis", "", "down", "refused")), ev.RunnerStarted(1, "h", "v"))
    assert board.supplies == pmap()


def board_of(*events: ev.Event) -> Board:
    return fold(reduce, [ev.Envelope(seq, 0.0, event) for seq, event in enumerate(events, 1)], Board())


def test_a_line_says_what_and_how_far() -> None:
    name = "akhatua/cooperbench-pallets-jinja:task1621"
    assert Supply("image", name, "getting", "pulling", 40, 100).line == "image pallets-jinja:task1621: pulling 40%"
    assert Supply("image", name, "getting", "pulling, 1 of 2 layers", 4, 10).line.endswith("pulling 40%, 1 of 2 layers")
    assert Supply("redis", "", "down", "it refuses connections").line == "Redis: it refuses connections"
    assert Supply("git").line == "git server: not looked at yet"


# -- who waits ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_jobs_whose_image_is_there_start_while_others_wait_for_theirs() -> None:
    images = FakeSupplier()
    deck = Deck(suppliers=[images])

    async def pulls(deck: Deck) -> None:
        await images.tell(Supply("image", IMAGES[1], "there"))
        await until(lambda: deck.board.jobs[TWO].state == "done")
        assert started(deck) == [TWO]
        assert deck.board.jobs[ONE].state == "queued"
        await images.tell(Supply("image", IMAGES[0], "getting", "pulling", 1, 2))
        await images.tell(Supply("image", IMAGES[2], "there"))
        await until(lambda: deck.board.jobs[THREE].state == "done")
        await images.tell(Supply("image", IMAGES[0], "there"))

    assert await deck.run(*planned(3), meanwhile=pulls) == "finished"
    assert started(deck) == [TWO, THREE, ONE]
    assert images.ended == 1


@pytest.mark.anyio
async def test_who_waited_has_its_old_place_again() -> None:
    images = FakeSupplier()
    deck = Deck(suppliers=[images], launcher=FakeLauncher(holds=True))

    async def pulls(deck: Deck) -> None:
        await images.tell(Supply("image", IMAGES[2], "there"))
        await until(lambda: started(deck) == [THREE])
        # All at once: the first of the plan goes first, though its image came last.
        for name in (IMAGES[1], IMAGES[0]):
            await images.tell(Supply("image", name, "there"))
        deck.launcher.holds = False
        deck.launcher.running[1].over.set()

    await deck.run(*planned(3, slots=1), meanwhile=pulls)
    assert started(deck) == [THREE, ONE, TWO]


@pytest.mark.anyio
async def test_what_failed_for_good_ends_its_jobs_without_a_try_and_retry_asks_again() -> None:
    images = FakeSupplier()
    deck = Deck(suppliers=[images])

    async def user(deck: Deck) -> None:
        with deck.hub.subscribe():
            await images.tell(Supply("image", IMAGES[0], "failed", "the registry has no such tag"))
            await images.tell(Supply("image", IMAGES[1], "there"))
            await until(lambda: deck.board.finished_at is not None)
            row = deck.board.jobs[ONE]
            assert (row.state, row.attempts, row.outcome and row.outcome.failure) == ("failed", (), "image")
            assert "no such tag" in row.reason
            assert deck.sweep is not None
            assert (await deck.sweep.obey(cmd.RetryFailed())).ok
            assert images.wanted == [IMAGES[0]]
            assert deck.board.supplies["image", IMAGES[0]].state == "unknown"
            await images.tell(Supply("image", IMAGES[0], "there"))
            await until(lambda: deck.board.jobs[ONE].state == "done")

    assert await deck.run(*planned(2), meanwhile=user) == "finished"
    assert len(deck.board.jobs[ONE].attempts) == 1
    assert deck.board.total.cost_usd == pytest.approx(1.0)


@pytest.mark.anyio
async def test_what_is_down_holds_its_jobs_alone_until_it_is_back() -> None:
    images, redis = FakeSupplier(at_once=True), FakeSupplier("redis")
    deck = Deck(suppliers=[images, redis])
    coop = jobs(2, "coop-comm")
    plan = the_plan(rehearsal=None)

    async def outage(deck: Deck) -> None:
        await redis.tell(Supply("redis", "", "down", "it does not answer"))
        await until(lambda: deck.board.total.count("done") == 2)
        assert {deck.board.jobs[spec.id].state for spec in coop} == {"queued"}
        await redis.tell(Supply("redis", "", "there"))

    await deck.run(ev.SweepPlanned(plan), ev.JobsPlanned((*coop, *jobs(2))), meanwhile=outage)
    assert deck.board.total.count("done") == 4
    assert started(deck)[:2] == [ONE, TWO]


@pytest.mark.anyio
async def test_a_job_that_waits_can_be_cancelled_and_the_sweep_stopped() -> None:
    deck = Deck(suppliers=[FakeSupplier()])

    async def user(deck: Deck) -> None:
        await until(lambda: deck.sweep is not None and bool(deck.board.supplies))
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Cancel(ONE))).ok
        assert (await deck.sweep.obey(cmd.Stop("drain"))).ok

    assert await deck.run(*planned(2), meanwhile=user) == "drained"
    assert [deck.board.jobs[job].state for job in (ONE, TWO)] == ["cancelled", "queued"]
    assert deck.suppliers[0].ended == 1


@pytest.mark.anyio
async def test_settled_jobs_need_nothing_until_they_are_asked_for_again() -> None:
    images = FakeSupplier()
    deck = Deck(suppliers=[images])
    deck.cooperbench.there[ONE] = OK

    async def user(deck: Deck) -> None:
        with deck.hub.subscribe():
            await images.tell(Supply("image", IMAGES[1], "there"))
            await until(lambda: deck.board.finished_at is not None)
            assert images.names == [IMAGES[1]]
            assert deck.sweep is not None
            assert (await deck.sweep.obey(cmd.Retry(ONE, force=True))).ok
            assert images.wanted == [IMAGES[0]]
            await images.tell(Supply("image", IMAGES[0], "there"))
            await until(lambda: len(deck.board.jobs[ONE].attempts) == 1)

    await deck.run(*planned(2), meanwhile=user)


@pytest.mark.anyio
async def test_a_supplier_that_breaks_is_said_and_begins_again(capfd: pytest.CaptureFixture[str]) -> None:
    images = FakeSupplier(at_once=True)
    images.breaks = 1
    deck = Deck(suppliers=[images])
    assert await deck.run(*planned(2)) == "finished"
    seen = [event.supply for event in deck.ledger.events(ev.SupplySeen) if isinstance(event, ev.SupplySeen)]
    assert any(supply.state == "down" and "the supplier has a bug" in supply.says for supply in seen)
    assert "broke" in capfd.readouterr().err
    assert deck.board.total.count("done") == 2


# -- what it costs ------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_progress_is_an_event_at_most_once_a_second_and_once_a_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    images = FakeSupplier()
    deck = Deck(suppliers=[images])
    times = iter(range(100_000))

    async def pulls(deck: Deck) -> None:
        await until(lambda: bool(deck.board.supplies))
        monkeypatch.setattr("runner.engine.supplying.anyio.current_time", lambda: next(times) / 50)
        for done in range(10_000):
            await images.tell(Supply("image", IMAGES[0], "getting", "pulling", done, 10_000))
        monkeypatch.undo()
        await images.tell(Supply("image", IMAGES[0], "there"))

    await deck.run(*planned(1), meanwhile=pulls)
    getting = [
        event.supply
        for event in deck.ledger.events(ev.SupplySeen)
        if isinstance(event, ev.SupplySeen) and event.supply.state == "getting"
    ]
    assert 10 < len(getting) <= 101
    assert deck.board.total.count("done") == 1


def test_a_decision_costs_the_same_with_10000_jobs_that_wait() -> None:
    turns, tried = Turns(), 0

    def lacks(job: JobId) -> tuple[str, str] | None:
        nonlocal tried
        tried += 1
        return None if job == "9999" else ("image", str(int(job) % 26))

    async def decide() -> None:
        for number in range(10_000):
            turns.add(JobId(str(number)))
        assert turns.take(lambda _: True, lacks) == "9999"  # type: ignore[arg-type]
        for _ in range(100):
            assert turns.take(lambda _: True, lacks) is None  # type: ignore[arg-type]
        assert tried == 10_000
        assert len(turns.waited_for) == 26

    anyio.run(decide)
