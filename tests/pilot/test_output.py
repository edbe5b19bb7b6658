"""What reaches the terminal: little, and after any number of partial repaints exactly the screen."""

import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pyte
import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from runner.model import events as ev
from tests.pilot.boards import NOW, FakeSource, middle, recorded
from tests.pilot.seeing import shows, until
from tui.app import CoopdeckApp
from tui.driver import backlog

pytestmark = pytest.mark.anyio

Pressed = Callable[[Pilot[object]], Awaitable[None]]


class Terminal(HeadlessDriver):
    """A driver with a terminal at its end that keeps what it shows."""

    screen = pyte.Screen(80, 24)
    stream = pyte.Stream(screen)
    sent = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        Terminal.sent += len(data.encode())
        Terminal.stream.feed(data)


async def run(app: CoopdeckApp, size: tuple[int, int], script: Pressed) -> None:
    Terminal.screen = pyte.Screen(*size)
    Terminal.stream = pyte.Stream(Terminal.screen)
    Terminal.sent = 0
    app.driver_class = Terminal
    failed: list[BaseException] = []

    async def pilot_script(pilot: Pilot[object]) -> None:
        try:
            await shows(pilot, "REHEARSAL")
            await shows_the_screen(pilot)
            await script(pilot)
        except BaseException as error:
            failed.append(error)
        finally:
            app.exit("detached")

    await app.run_async(headless=False, size=size, auto_pilot=pilot_script)
    if failed:
        raise failed[0]


async def shows_the_screen(pilot: Pilot[object]) -> None:
    """Wait until the terminal shows what the app means."""

    def alike() -> bool:
        return list(Terminal.screen.display) == [line.text for line in pilot.app.screen._compositor.render_strips()]

    await until(pilot, alike)


async def test_partial_repaints_add_up_to_the_screen(tmp_path: Path) -> None:
    source, now = FakeSource(middle(), tmp_path), NOW
    app = CoopdeckApp(source, now=lambda: now)
    dice = random.Random(7)
    jobs = recorded()

    async def script(pilot: Pilot[object]) -> None:
        nonlocal now
        board = source.maker.board
        for round_ in range(25):
            board = source.maker.board
            running = [job for job in board.order if board.jobs[job].state == "running"]
            job = dice.choice(running)
            attempt = board.jobs[job].attempts[-1].number
            source.happen(ev.AgentSeen(job, attempt, "agent1", dice.choice(["llm", "exec"]), round_ * 7, round_ * 0.3))
            if round_ % 5 == 0:
                source.happen(ev.AttemptEnded(job, attempt, jobs[job][1]), ev.JobSettled(job, "done"))
                queued = next(one for one in board.order if board.jobs[one].state == "queued")
                source.maker.start(queued)
                source.tell(whole=True)
            if round_ == 12:
                source.happen(ev.QueuePaused())
            now += 0.7
            app._tick()
            await pilot.press(dice.choice(["j", "k", "G", "g", "s", "5", "1", "tab", "pagedown"]))
            await pilot.pause(0.11)
            await shows_the_screen(pilot)

    await run(app, (80, 24), script)


async def test_a_changed_row_costs_a_few_hundred_bytes(tmp_path: Path) -> None:
    source = FakeSource(middle(), tmp_path)
    app = CoopdeckApp(source, now=lambda: NOW)

    async def script(pilot: Pilot[object]) -> None:
        board = source.maker.board
        job = [job for job in board.order if board.jobs[job].state == "running"][1]
        before = Terminal.sent
        for steps in range(10):
            source.happen(ev.AgentSeen(job, 1, "agent1", "llm", 50 + steps, 0.5 + steps / 100))
            await until(pilot, lambda: app.session.board.seq == source.maker.board.seq)
            await shows_the_screen(pilot)
        assert 0 < Terminal.sent - before < 10 * 500

    await run(app, (120, 40), script)


async def test_a_line_more_in_a_job_full_screen_costs_that_line(tmp_path: Path) -> None:
    source = FakeSource(middle(), tmp_path)
    board = source.maker.board
    job = next(job for job in board.order if board.jobs[job].state == "running")
    log = tmp_path / board.jobs[job].attempts[-1].folder / "output.log"
    log.parent.mkdir(parents=True)
    log.write_text("the first line\n")
    app = CoopdeckApp(source, now=lambda: NOW)

    async def script(pilot: Pilot[object]) -> None:
        await pilot.press("enter")
        await shows(pilot, "esc back", "the first line", "follow")
        await shows_the_screen(pilot)
        before = Terminal.sent
        for number in range(5):
            with log.open("a") as out:
                out.write(f"another line {number}\n")
            await shows(pilot, f"another line {number}")
            await shows_the_screen(pilot)
        # The screen of the table, below, is drawn no more.
        assert 0 < Terminal.sent - before < 5 * 400
        await pilot.press("question_mark")
        await shows(pilot, "keys: j k scroll")
        await shows_the_screen(pilot)
        await pilot.press("escape", "escape")
        await shows(pilot, "pairs")
        await shows_the_screen(pilot)

    await run(app, (120, 40), script)


@pytest.mark.parametrize("ascii_only", [True, False])
async def test_without_colour_every_cell_has_the_terminals_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ascii_only: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = CoopdeckApp(FakeSource(middle(), tmp_path), now=lambda: NOW, ascii_only=ascii_only)

    async def script(pilot: Pilot[object]) -> None:
        for keys in (["j"], ["question_mark"], ["escape", "x"], ["n", "ctrl+p"], ["p"], ["escape", "slash", "a"]):
            await pilot.press(*keys)
            await shows_the_screen(pilot)
            cells = [cell for line in Terminal.screen.buffer.values() for cell in line.values()]
            assert {(cell.fg, cell.bg) for cell in cells} == {("default", "default")}
        await pilot.press("enter")
        await shows_the_screen(pilot)
        rows = [Terminal.screen.buffer[y] for y in range(7, 16)]
        assert sum(all(cell.reverse for cell in row.values()) for row in rows) == 1

    await run(app, (80, 24), script)


async def test_a_driver_that_does_not_count_is_never_behind() -> None:
    assert backlog(None) == 0
