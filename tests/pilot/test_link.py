"""Many updates become few changes, and none gets lost."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.client import Refused, Update
from runner.model import events as ev
from runner.model.commands import Command, Reply
from tests.pilot.boards import Maker, begun
from tui import link as link_module
from tui.link import BoardLink, Change

pytestmark = pytest.mark.anyio


class Scripted:
    """Says what the test tells it, then ends."""

    def __init__(self, script: Callable[[Callable[[Update], None]], object]) -> None:
        self._script = script

    @property
    def sweep_dir(self) -> Path | None:
        return None

    async def follow(self, seen: Callable[[Update], None]) -> None:
        result = self._script(seen)
        if asyncio.iscoroutine(result):
            await result

    async def ask(self, command: Command) -> Reply:
        raise NotImplementedError


def steps(maker: Maker, count: int) -> list[Update]:
    """Updates of one event each, each of another job."""
    updates: list[Update] = []
    for job in maker.board.order[:count]:
        maker.happen(ev.CancelRequested(job))
        updates.append(Update(maker.board, tuple(maker.envelopes[-1:]), False, "attached", 3))
    return updates


async def test_a_burst_is_two_changes() -> None:
    changes: list[Change] = []
    updates = steps(begun(), 50)

    def burst(seen: Callable[[Update], None]) -> None:
        for update in updates:
            seen(update)

    await BoardLink(Scripted(burst), changes.append).run()
    assert len(changes) == 2
    first, rest = changes
    assert first.jobs is not None
    assert rest.jobs is not None
    assert len(first.jobs) == 1
    assert len(rest.jobs) == 49
    assert rest.board is updates[-1].board
    assert rest.attached == 3


async def test_at_most_ten_changes_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "INTERVAL_S", 0.05)
    changes: list[Change] = []
    updates = steps(begun(), 100)

    async def stream(seen: Callable[[Update], None]) -> None:
        for update in updates:
            seen(update)
            await asyncio.sleep(0.002)

    loop = asyncio.get_running_loop()
    start = loop.time()
    await BoardLink(Scripted(stream), changes.append).run()
    assert len(changes) <= (loop.time() - start) / 0.05 + 2
    assert changes[-1].board is updates[-1].board
    jobs = [job for change in changes for job in change.jobs or ()]
    assert len(jobs) == len(set(jobs)) == 100


async def test_a_whole_board_covers_what_was_pending() -> None:
    changes: list[Change] = []
    maker = begun()
    one, two, three = steps(maker, 3)

    def script(seen: Callable[[Update], None]) -> None:
        seen(one)
        seen(two)
        seen(Update(maker.board, (), True, "attached", 1))
        seen(three)

    await BoardLink(Scripted(script), changes.append).run()
    assert [change.jobs for change in changes] == [frozenset(maker.board.order[:1]), None]


async def test_it_waits_while_the_terminal_is_behind_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "INTERVAL_S", 0.01)
    monkeypatch.setattr(link_module, "PATIENCE_S", 600.0)
    changes: list[Change] = []
    busy = True
    (update,) = steps(begun(), 1)

    async def come(number: int) -> None:
        async with asyncio.timeout(40):
            while len(changes) < number:
                await asyncio.sleep(0.01)
        assert len(changes) == number

    async def script(seen: Callable[[Update], None]) -> None:
        nonlocal busy
        seen(update)
        await asyncio.sleep(0.05)
        assert changes == []
        busy = False
        await come(1)
        busy = True
        monkeypatch.setattr(link_module, "PATIENCE_S", 0.1)
        seen(update)
        await come(2)

    link = BoardLink(Scripted(script), changes.append, busy=lambda: busy)
    link._posted_at = asyncio.get_running_loop().time()
    await link.run()


@pytest.mark.parametrize("error", [Refused("another protocol"), ConnectionRefusedError("nobody there")])
async def test_a_refusal_reaches_the_caller(error: Exception) -> None:
    def script(seen: Callable[[Update], None]) -> None:
        raise error

    with pytest.raises(type(error)):
        await BoardLink(Scripted(script), lambda change: None).run()
