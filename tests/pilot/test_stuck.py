"""Jobs that hang: seen without being looked for, told in full, and ended with one key."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.model import events as ev
from runner.model.commands import Requeue
from tests.pilot.boards import NOW, FakeSource, begun, hanging
from tests.pilot.seeing import until
from tui.app import CoopdeckApp
from tui.rows import pair_row, stall_line
from tui.screens.job import JobScreen
from tui.screens.sweep import COLUMNS, SweepScreen
from tui.widgets.columns import lay_out
from tui.widgets.lines import Lines

pytestmark = pytest.mark.anyio
SIZE = (100, 30)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def app_of(source: FakeSource, now: Callable[[], float] = lambda: NOW) -> CoopdeckApp:
    return CoopdeckApp(source, now=now)


def table_of(app: CoopdeckApp) -> list[str]:
    screen = app.screen_stack[1] if len(app.screen_stack) > 1 else app.screen
    assert isinstance(screen, SweepScreen)
    return [line.text.rstrip() for y in range(screen.table.size.height) for line in [screen.table.render_line(y)]]


def text_of(app: CoopdeckApp, selector: str) -> str:
    lines = app.screen.query_one(selector, Lines)
    return "\n".join(lines.render_line(y).text.rstrip() for y in range(lines.size.height))


async def test_what_hangs_comes_first_is_marked_counted_and_told_in_full() -> None:
    app = app_of(FakeSource(hanging()))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "4 STUCK" in text_of(app, "#totals"))
        rows = table_of(app)
        assert [row.lstrip("▌ ")[0] for row in rows[1:6]] == ["!", "!", "!", "!", "▶"]
        assert "idle" in rows[0]
        assert "retry 6/10" in rows[1]
        assert "cmd 14m: pytest -q" in rows[2]
        assert rows[2].endswith("4s")
        assert "no live data" in rows[6]
        await pilot.press("j")
        await until(pilot, lambda: "command running 14 m: pytest -q tests/test_big.py" in text_of(app, "#why"))
        await pilot.press("slash", *"stuck", "enter")
        await until(pilot, lambda: len([row for row in table_of(app)[1:] if row.strip()]) == 4)


async def test_a_job_comes_to_hang_while_nothing_happens() -> None:
    clock = [NOW]
    maker = begun(rehearsal=False)
    job = maker.board.order[250]
    maker.start(job, at=NOW)
    maker.happen(ev.AgentSeen(job, 1, "agent1", "exec", 3, 0.1, since=NOW, active_at=NOW, command="make"), at=NOW)
    app = app_of(FakeSource(maker), lambda: clock[0])
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "exec" in table_of(app)[1])
        assert "STUCK" not in text_of(app, "#totals")
        clock[0] = NOW + 601
        await until(pilot, lambda: "1 STUCK" in text_of(app, "#totals"))
        assert "cmd 10m: make" in table_of(app)[1]


async def test_one_key_asks_and_then_ends_and_requeues() -> None:
    source = FakeSource(hanging())
    app = app_of(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "STUCK" in text_of(app, "#totals"))
        await pilot.press("X", "n")
        await pilot.pause()
        assert source.asked == []
        await pilot.press("X")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: bool(source.asked))
        job = next(one for one in source.maker.board.order if one.startswith("coop-comm.") and "f7_f10" in one)
        assert source.asked == [Requeue(job)]
        source.happen(ev.CancelRequested(job, again=True))
        await until(pilot, lambda: any("ending, to be tried again" in row for row in table_of(app)))
        await until(pilot, lambda: "3 STUCK" in text_of(app, "#totals"))


async def test_what_does_not_run_cannot_be_ended() -> None:
    source = FakeSource(begun())
    app = app_of(source)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len([row for row in table_of(app) if row.strip()]) > 3)
        await pilot.press("X", "y")
        await pilot.pause()
        assert source.asked == []


async def test_a_jobs_own_screen_tells_its_agents_and_the_tries_their_containers(tmp_path: Path) -> None:
    app = app_of(FakeSource(hanging(), tmp_path))
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: "STUCK" in text_of(app, "#totals"))
        await pilot.press("j", "j", "j", "j", "enter", "5")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await until(pilot, lambda: "agent2" in text_of(app, "#stand"))
        stand = text_of(app, "#stand")
        assert "idle 3s" in stand.splitlines()[0]
        assert "exec 3s: pytest -q tests/test_core.py" in stand
        assert "1.20M in (880k cached) 31.4k out" in stand
        assert isinstance(app.screen, JobScreen)
        pane = app.screen.view.current
        await until(
            pilot, lambda: "0123456789ab" in "\n".join(pane.render_line(y).text for y in range(pane.size.height))
        )


async def test_without_a_runner_nothing_hangs() -> None:
    app = app_of(FakeSource(hanging(), link="over"))
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: "coop-comm" in "".join(table_of(app)[1:]))
        assert "STUCK" not in text_of(app, "#totals")


@pytest.mark.parametrize("width", [30, 80, 160])
def test_the_key_that_ends_it_is_told_in_any_width(width: int) -> None:
    board = hanging().board
    eyes = replace(app_of(FakeSource(hanging())).session.eyes(), stall_s=600.0)
    lines = [stall_line(row, eyes, "X", width) for row in board.jobs.values()]
    told = ["".join(span.text for span in line) for line in lines if line]
    assert len(told) == 4
    assert all(line.endswith(" X requeues") and len(line) <= width for line in told)


def test_a_small_terminal_has_an_idle_column_and_room_for_two_agents_doings() -> None:
    app = app_of(FakeSource(hanging()))
    eyes = app.session.eyes()
    rows = [pair_row(row, 0, eyes) for row in hanging().board.jobs.values()]
    wide = {width: {place.column: place.width for place in lay_out(COLUMNS, rows, width)} for width in (60, 80, 100)}
    idle, doing = len(COLUMNS) - 1, next(at for at, column in enumerate(COLUMNS) if column.title == "doing")
    assert idle not in wide[60]
    for width in (80, 100):
        assert wide[width][idle] == 4
        assert wide[width][doing] >= len("a1 exec a2 llm")
