"""What the keys do, and what never happens by itself."""

from pathlib import Path

import pytest
from textual.command import Command, CommandList

from runner.client import Refused
from runner.model import events as ev
from runner.model.commands import Cancel, Pause, Reply, Resume, Retry, RetryFailed, SetSlots, Stop
from runner.model.ids import JobId
from tests.pilot.boards import NOW, FakeSource, begun, failure, middle, recorded
from tests.pilot.seeing import drawn, shows, until
from tui.app import ChooserApp, CoopdeckApp
from tui.screens.ask import Ask
from tui.screens.help import Help
from tui.screens.job import JobScreen
from tui.screens.sweep import SweepScreen
from tui.screens.sweeps import SweepLine
from tui.text import Line

pytestmark = pytest.mark.anyio


def said(lines: tuple[Line, ...]) -> str:
    return "\n".join("".join(span.text for span in line) for line in lines)


def app_for(source: FakeSource, **options: object) -> CoopdeckApp:
    return CoopdeckApp(source, now=lambda: NOW, **options)  # type: ignore[arg-type]


def main(app: CoopdeckApp) -> SweepScreen:
    (screen,) = [screen for screen in app.screen_stack if isinstance(screen, SweepScreen)]
    return screen


def of_state(source: FakeSource, state: str) -> JobId:
    board = source.maker.board
    return next(job for job in board.order if board.jobs[job].state == state)


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    source = FakeSource(middle(), tmp_path)
    for row in source.maker.board.jobs.values():
        for attempt in row.attempts:
            folder = tmp_path / attempt.folder
            folder.mkdir(parents=True)
            (folder / "output.log").write_text("".join(f"{row.spec.id} line {n}\n" for n in range(100)))
    return source


async def test_it_shows_the_sweep(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = drawn(app)
        for piece in ("command-a", "REHEARSAL x60", "100/100", "slots 4/4", "a1 exec a2 llm", "docker:", "line 99"):
            assert piece in text


async def test_moving_and_opening(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        table = main(app).table
        first = table.selected
        await pilot.press("j", "down")
        assert table.cursor == 2
        await pilot.press("k")
        assert table.cursor == 1
        await pilot.press("G")
        assert table.cursor == 299
        await pilot.press("pageup")
        assert 280 < (table.cursor or 0) < 299
        await pilot.press("g")
        assert table.selected == first
        await pilot.press("enter")
        screen = app.screen
        assert isinstance(screen, JobScreen)
        assert screen.job is not None
        assert screen.job.spec.id == first
        await pilot.press("escape")
        assert app.screen is main(app)


async def test_the_log_follows_the_selected_job(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = main(app)
        await pilot.press("j")
        path = screen.view.log_pane.path
        assert path is not None
        assert screen.job is not None
        assert screen.job.attempts[-1].folder in str(path)
        with path.open("a") as out:
            out.write("something new \x1b[31mred\x1b[0m\n")
        await shows(pilot, "something new red")
        assert screen.view.log_pane.status == "follow"


async def test_the_selection_stays_with_its_job(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        table = main(app).table
        await pilot.press("j", "j")
        chosen = JobId(table.selected or "")
        outcome = recorded()[chosen][1]
        source.happen(ev.AttemptEnded(chosen, 1, outcome), ev.JobSettled(chosen, "done"))
        await until(pilot, lambda: table.cursor != 2)
        assert table.selected == chosen
        # The view stayed where the user looks; the next key comes back there.
        assert table.scroll_offset.y == 0
        await pilot.press("j")
        assert table.cursor == 0
        for _ in range(5):
            before = table.selected
            await pilot.press("s")
            assert table.selected == before


async def test_until_the_user_moves_the_first_job_is_the_selected_one(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        table = main(app).table
        jobs = [JobId(key) for key in table.order.shown[:3]]

        async def finish(job: JobId) -> None:
            source.happen(ev.AttemptEnded(job, 1, recorded()[job][1]), ev.JobSettled(job, "done"))
            await until(pilot, lambda: app.session.board.seq == source.maker.board.seq)

        await finish(jobs[0])
        assert table.selected == jobs[1]
        await until(pilot, lambda: jobs[1] in str(main(app).view.log_pane.path))
        await pilot.press("tab", "tab")
        await finish(jobs[1])
        assert table.selected == jobs[1]
        await pilot.press("g")
        assert table.selected == jobs[2]
        await finish(jobs[2])
        assert table.cursor == 0


async def test_sorts(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen, table = main(app), main(app).table
        states = [source.maker.board.jobs[JobId(key)].state for key in table.order.shown]
        assert states[:6] == ["running"] * 4 + ["failed", "retrying"]
        await pilot.press("s")
        assert screen.sort == "plan"
        assert table.order.shown == list(source.maker.board.order)
        await pilot.press("s")
        costs = [table.order.rows[key].cost_usd for key in table.order.shown]
        assert costs == sorted(costs, reverse=True)
        await pilot.press("s")
        assert [row.ticks for row in table.in_view[:4]] == [True] * 4
        await pilot.press("s")
        steps = [table.order.rows[key].steps for key in table.order.shown]
        assert steps == sorted(steps, reverse=True)
        await pilot.press("s")
        assert screen.sort == "state"


async def test_the_filter(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen, table = main(app), main(app).table
        await pilot.press("slash", *"nocomm jinja")
        assert table.order.shown
        assert all("coop-nocomm" in key and "jinja" in key for key in table.order.shown)
        assert table.selected == table.order.shown[0]
        await pilot.press("enter")
        assert app.focused is table
        assert screen.filter == "nocomm jinja"
        await pilot.press("escape")
        assert len(table.order.shown) == 300
        await pilot.press("slash", *"docker", "escape")
        assert len(table.order.shown) == 300
        await pilot.press("slash", *"no such thing", "enter")
        assert "no job matches" in drawn(app)
        await pilot.press("x", "r", "enter", "j", "G", "1", "5")
        assert source.asked == []


async def test_tab_goes_to_the_log_and_back(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen, log = main(app), main(app).view.log_pane
        await pilot.press("tab")
        assert app.focused is log
        await pilot.press("k")
        assert not log.follow
        await pilot.press("g")
        assert "line 0" in drawn(app)
        await pilot.press("f")
        assert log.follow
        await pilot.press("w")
        assert not log.wrap
        await pilot.press("right")
        assert log.status == "unwrapped +16 follow"
        await pilot.press("left", "w", "slash", *"line 7", "enter")
        await until(pilot, lambda: "'line 7' in line" in said(screen.foot.lines))
        await pilot.press("n", "N", "escape", "escape")
        assert app.focused is screen.table


async def test_tries(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 30)) as pilot:
        await pilot.pause()
        screen = main(app)
        screen.table.select(of_state(source, "failed"))
        await pilot.press("5")
        await pilot.pause()
        assert "try 1" in drawn(app)
        assert "exit 125" in drawn(app)
        await pilot.press("1", "left_square_bracket")
        assert str(screen.view.log_pane.path).endswith("/2/output.log")
        await pilot.press("right_square_bracket")
        assert str(screen.view.log_pane.path).endswith("/3/output.log")
        await pilot.press("right_square_bracket")
        await shows(pilot, "there is no newer try")
        await pilot.press(*["left_square_bracket"] * 3)
        await shows(pilot, "there is no older try")
        assert str(screen.view.log_pane.path).endswith("/1/output.log")


async def test_a_running_job_is_cancelled_only_after_a_yes(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        job = of_state(source, "running")
        await pilot.press("x")
        assert isinstance(app.screen, Ask)
        for key in ("n", "escape", "enter", "d"):
            if not isinstance(app.screen, Ask):
                await pilot.press("x")
            await pilot.press(key)
            assert source.asked == []
        await pilot.press("y")
        await pilot.pause()
        assert source.asked == [Cancel(job)]
        main(app).table.select(of_state(source, "queued"))
        await pilot.press("x")
        assert source.asked[1:] == [Cancel(of_state(source, "queued"))]


async def test_a_result_is_bought_again_only_after_a_yes(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        done, failed = of_state(source, "done"), of_state(source, "failed")
        main(app).table.select(done)
        await pilot.press("r", "n")
        assert source.asked == []
        await pilot.press("r", "y")
        main(app).table.select(failed)
        await pilot.press("r")
        main(app).table.select(of_state(source, "running"))
        await pilot.press("r", "R")
        await pilot.pause()
        assert source.asked == [Retry(done, force=True), Retry(failed), RetryFailed()]


async def test_pause_slots_and_what_the_runner_says(source: FakeSource) -> None:
    source.reply = Reply(False, "the runner will not [red]do[/] that")
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("p", "plus", "minus")
        await pilot.pause()
        assert source.asked == [Pause(), SetSlots(5), SetSlots(3)]
        assert "will not [red]do[/] that" in drawn(app)
        source.happen(ev.QueuePaused())
        await shows(pilot, "PAUSED")
        await pilot.press("p")
        assert source.asked[-1] == Resume()


async def test_leaving_sends_nothing(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("ctrl+c")
        await pilot.press("ctrl+q")
        assert "d leaves" in said(main(app).foot.lines)
        await pilot.press("d")
    assert app.return_value == "detached"
    assert source.asked == []


async def test_stopping_asks_how(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("Q", "b")
        assert source.asked == []
        await pilot.press("Q", "w")
        await pilot.press("Q", "n")
        await pilot.pause()
        assert source.asked == [Stop("drain"), Stop("now")]
        await pilot.press("d")
    assert app.return_value == "stopped"


async def test_the_runner_goes_away_and_comes_back(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        source.tell(link="reconnecting")
        await shows(pilot, "RECONNECTING")
        source.tell(whole=True)
        await until(pilot, lambda: "RECONNECTING" not in drawn(app))


async def test_a_sweep_that_is_over_stays_until_the_user_leaves(tmp_path: Path) -> None:
    maker = middle()
    maker.happen(ev.StopRequested("now"), ev.RunnerStopped("stopped"))
    source = FakeSource(maker, tmp_path, link="over")
    source.reply = Reply(False, "no runner is up for this sweep")
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "STOPPED: 159 of 300 jobs settled" in drawn(app)
        assert "d leave" in drawn(app)
        for key in "Qxr":
            await pilot.press(key)
            # Said at once, without a question first.
            await shows(pilot, "no runner is up for this sweep")
            app.screen.foot.unsay()  # type: ignore[attr-defined]
        await pilot.press("d")
    assert app.return_value == "over"


@pytest.mark.parametrize("error", [Refused("it speaks another protocol"), FileNotFoundError("nobody listens")])
async def test_a_refusal_ends_the_app_with_its_sentence(source: FakeSource, error: Exception) -> None:
    source.fails = error
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
    assert app.return_value == str(error)


async def test_hostile_text_stays_text(tmp_path: Path) -> None:
    maker = begun()
    source = FakeSource(maker, tmp_path)
    job = maker.board.order[0]
    nasty = "[red]x[/] \x1b]52;c;ZXZpbA==\x07 \u202eevil\u2066 \x9b2J {escaped} [@click=app.detach]d[/]"
    maker.start(job)
    folder = tmp_path / maker.board.jobs[job].attempts[0].folder
    folder.mkdir(parents=True)
    (folder / "output.log").write_text(nasty + "\n", encoding="utf-8")
    maker.end(job, failure("provider", nasty))
    maker.happen(ev.QueueHeld("disk", nasty))
    app = app_for(source)
    async with app.run_test(size=(200, 40)) as pilot:
        await shows(pilot, "[red]x[/]")
        await pilot.press("5")
        text = await shows(pilot, "try 1")
        await pilot.press("1", "enter")
        text += await shows(pilot, "esc back", "[@click=app.detach]d[/]")
        for character in "\x1b\x07\x9b\u202e\u2066":
            assert character not in text
        assert text.count("[red]x[/] ␛]52;c;ZXZpbA==␇ <u+202e>evil<u+2066> <9b>2J") >= 3
        assert "[@click=app.detach]d[/]" in text


def hits(app: CoopdeckApp) -> list[str]:
    """What the palette offers."""
    shown = [option for commands in app.screen.query(CommandList) for option in commands.options]
    return [str(option.hit.text) for option in shown if isinstance(option, Command)]


def pictures(folder: Path) -> list[Path]:
    return list(folder.glob("*.svg"))


async def test_help_palette_theme_and_screenshot(source: FakeSource, tmp_path: Path) -> None:
    app = app_for(source, screenshots=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("escape")
        before = app.theme
        await pilot.press("ctrl+t")
        assert app.theme != before
        await pilot.press("ctrl+p")
        await pilot.press(*"pause")
        await until(pilot, lambda: "pause" in hits(app) and "theme" not in hits(app))
        await pilot.press("enter")
        await until(pilot, lambda: source.asked == [Pause()])
        await pilot.press("ctrl+s")
        assert "saved" in said(main(app).foot.lines)
    (picture,) = pictures(tmp_path)
    assert picture.read_text().startswith("<svg")


async def test_nothing_is_drawn_but_ascii_when_asked(source: FakeSource) -> None:
    app = app_for(source, ascii_only=True, theme="coopdeck-plain")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screens = [drawn(app)]
        for keys in (
            ["question_mark"],
            ["escape", "x"],
            ["n", "Q"],
            ["b", "j", "j", "j", "j", "5"],
            ["enter"],
            ["slash", "a"],
            ["escape", "ctrl+p"],
            ["p"],
        ):
            await pilot.press(*keys)
            await pilot.pause()
            screens.append(drawn(app))
        for text in screens:
            assert text.isascii(), {character for character in text if not character.isascii()}


async def test_a_small_terminal_and_growing(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.pause()
        assert "REHEARSAL" in drawn(app)
        for size in ((20, 5), (160, 45), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert "a1 exec a2 llm" in drawn(app)


async def test_the_clock_moves_only_what_is_in_view(source: FakeSource) -> None:
    now = NOW
    app = CoopdeckApp(source, now=lambda: now)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        table = main(app).table
        assert table.in_view[0].cells[8] == "06:12"
        before = {row.key: row for row in table.order.rows.values()}
        now += 1
        app._tick()
        assert table.in_view[0].cells[8] == "07:12"
        assert sum(before[key] is not row for key, row in table.order.rows.items()) == 5


async def test_choosing_a_sweep() -> None:
    lines = [SweepLine(f"sweep-{n}", "running", "1 of 3", "$1.00", "now") for n in range(3)]
    app = ChooserApp(lines)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("j", "enter")
    assert app.return_value == "sweep-1"
    app = ChooserApp([])
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "d")
    assert app.return_value is None
