"""The five panes of a job: switching, live growth, unfolding, searching, copying paths."""

import re
import time
from functools import partial
from pathlib import Path

import pytest

from runner.model import events as ev
from tests.pilot.boards import FakeSource, middle, recorded
from tests.pilot.seeing import drawn, shows, until
from tests.pilot.test_dashboard import app_for, main, of_state
from tests.pilot.tries import Probe, patched, talking
from tui.app import CoopdeckApp
from tui.screens.job import JobScreen
from tui.widgets.entry_pane import EntryPane
from tui.widgets.job_view import PANES

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    """The first job in the table runs; its pair talks."""
    source = FakeSource(middle(), tmp_path)
    board = source.maker.board
    row = board.jobs[of_state(source, "running")]
    folder = tmp_path / row.attempts[-1].folder
    talking(folder)
    (folder / "output.log").write_text("raw output\n")
    pair = row.spec.pair
    patched(folder / "logs" / row.spec.run_name / "coop" / pair.repo / str(pair.task) / pair.folder)
    return source


def probe_of(source: FakeSource) -> Probe:
    row = source.maker.board.jobs[of_state(source, "running")]
    assert source.sweep_dir is not None
    return Probe(source.sweep_dir / row.attempts[-1].folder)


def pane(app: CoopdeckApp) -> EntryPane:
    view = app.screen.view  # type: ignore[attr-defined]
    assert isinstance(view.current, EntryPane)
    return view.current


async def test_keys_1_to_5_switch_the_panes_in_both_screens(source: FakeSource) -> None:
    app = app_for(source)
    words = {"1": "raw output", "2": "sleep 100", "3": "not read yet", "4": "agent1.patch", "5": "try 1"}
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for opened in (False, True):
            if opened:
                await pilot.press("enter")
                assert isinstance(app.screen, JobScreen)
            for key, name in zip("12345", PANES, strict=True):
                await pilot.press(key)
                assert app.screen.view.pane == name  # type: ignore[attr-defined]
                await shows(pilot, words[key])
                assert [one.display for one in main(app).view.panes.values()].count(True) == 1


async def test_a_message_is_in_the_talk_within_a_second(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("3")
        await shows(pilot, "not read yet")
        took = []
        for number in range(5):
            probe_of(source).letter("message_sent", "agent2", "agent1", 50, f"brand new words {number}", wait=False)
            begun = time.monotonic()
            await shows(pilot, f"brand new words {number}")
            took.append(time.monotonic() - begun)
        # The machine may be kept from it now and then.
        assert min(took) < 1
        assert pane(app).status == "follow"


async def test_steps_unfold_with_enter_and_space(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "2", "g")
        assert "Then I plan." not in await shows(pilot, "esc back", "1/")
        await pilot.press("enter")
        assert isinstance(app.screen, JobScreen)
        assert "Then I plan." in drawn(app)
        await pilot.press("space")
        assert "Then I plan." not in drawn(app)
        await pilot.press("j", "space")
        assert "20 more lines" not in drawn(app)
        for _ in range(45):
            await pilot.press("j")
        assert pane(app).cursor > 1
        for _ in range(60):
            await pilot.press("k")
        assert (pane(app).cursor, pane(app)._top, pane(app)._sub) == (0, 0, 0)
        await pilot.press("4")
        await shows(pilot, "agent1.patch")
        top = pane(app)._top
        await pilot.press("space")
        assert pane(app)._top > top


async def test_an_unfolded_step_stays_while_steps_come(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "2", "g", "space")
        await shows(pilot, "Then I plan.")
        before = pane(app).entries
        probe_of(source).step("agent1", 6, 60, "a step that comes")
        await until(pilot, lambda: pane(app).entries > before)
        assert "Then I plan." in drawn(app)
        await pilot.press("f")
        await shows(pilot, "a step that comes")
        assert pane(app).status == "follow"


@pytest.mark.parametrize(
    ("key", "word"), [("2", "no remote"), ("2", "I agree"), ("3", "anybody"), ("4", "dashes"), ("5", "attempts/")]
)
async def test_search_works_in_every_pane(source: FakeSource, key: str, word: str) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", key, "g", "slash", *(("space" if c == " " else c) for c in word if c != "/"))
        needle = word.replace("/", "")
        await pilot.press("enter")
        shown = await shows(pilot, f"'{needle}' in ")
        assert needle in shown.replace(f"'{needle}'", "")
        assert pane(app).needle == needle
        await pilot.press("n", "N")
        await pilot.press("escape")
        assert isinstance(app.screen, JobScreen)
        assert pane(app).needle == ""


async def test_a_second_search_takes_the_first_ones_place_and_enter_alone_keeps_it(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "2", "g", "slash", *"agree", "enter")
        assert pane(app).needle == "agree"
        await pilot.press("slash", "enter")
        assert pane(app).needle == "agree"
        await pilot.press("slash", *"remote", "enter")
        assert pane(app).needle == "remote"


async def test_a_search_that_finds_nothing_says_so(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "3", "n")
        await shows(pilot, "nothing to search for")
        await pilot.press("slash", "q", "q", "x", "enter")
        await shows(pilot, "'qqx' is not in this pane")


def has_copied(app: CoopdeckApp, name: str) -> bool:
    return app.clipboard.endswith(name)


async def test_the_path_is_copied_and_said(source: FakeSource) -> None:
    app = app_for(source)
    names = {"1": "output.log", "2": "probe.jsonl", "3": "probe.jsonl", "4": "agent1.patch", "5": "/1"}
    async with app.run_test(size=(400, 24)) as pilot:
        await pilot.pause()
        for key, name in names.items():
            await pilot.press(key)
            await until(pilot, lambda: main(app).view.current.path is not None)
            await pilot.press("y")
            await until(pilot, partial(has_copied, app, name))
            await shows(pilot, f"copied: {app.clipboard}")


async def test_a_long_path_is_said_whole_on_a_small_terminal(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "raw output")
        await pilot.press("y")
        await until(pilot, lambda: has_copied(app, "output.log"))
        foot = main(app).foot
        said = [[span.text.strip() for span in line] for line in foot.lines]
        assert len(app.clipboard) > 80
        assert "".join(text for line in said for text in line) == f"copied: {app.clipboard}"
        await until(pilot, lambda: foot.size.height == len(foot.lines) == len(said))
        foot.unsay()
        await until(pilot, lambda: foot.size.height == 1)
        assert "? help" in drawn(app).splitlines()[-1]


async def test_wrap_and_sideways(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(60, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "3", "g")
        await shows(pilot, "help page")
        await pilot.press("w")
        await until(pilot, lambda: "Tell me what" not in drawn(app))
        assert pane(app).status.startswith("unwrapped")
        await pilot.press(*["right"] * 4)
        await shows(pilot, "Tell me what")


async def test_panes_follow_the_selected_job_and_its_tries(source: FakeSource) -> None:
    app = app_for(source)
    board = source.maker.board
    failed = board.jobs[of_state(source, "failed")]
    assert source.sweep_dir is not None
    for number in (1, 3):
        Probe(source.sweep_dir / f"attempts/{failed.spec.id}/{number}").step("agent1", 1, 1, f"this is try {number}")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("2", *["j"] * 4)
        await shows(pilot, "this is try 3")
        assert main(app).job is failed
        await pilot.press("left_square_bracket", "left_square_bracket")
        await shows(pilot, "this is try 1")
        await pilot.press("G")
        await shows(pilot, "no steps were told of this try")


async def test_a_pane_goes_on_when_its_job_is_delivered(source: FakeSource, tmp_path: Path) -> None:
    app = app_for(source)
    job = of_state(source, "running")
    patched(tmp_path / "delivered")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter", "2", "g", "space")
        source.happen(
            ev.AttemptEnded(job, 1, recorded()[job][1]),
            ev.ResultDelivered(job, 1, str(tmp_path / "delivered")),
            ev.JobSettled(job, "done"),
        )
        await until(pilot, lambda: app.session.board.jobs[job].settled)
        assert "Then I plan." in drawn(app)
        await pilot.press("4")
        await until(pilot, lambda: pane(app).path == tmp_path / "delivered" / "agent1.patch")


@pytest.mark.parametrize("size", [(80, 24), (30, 10), (160, 45), (20, 17)])
async def test_nothing_hostile_reaches_the_screen(source: FakeSource, size: tuple[int, int]) -> None:
    app = app_for(source)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        for key in "2345":
            await pilot.press(key, "g")
            await until(pilot, lambda: pane(app).entries > 0)
            for _ in range(4):
                await pilot.press("space", "pagedown")
                text = drawn(app)
                assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


async def test_hidden_panes_read_nothing(source: FakeSource) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("2", "3", "1")
        await shows(pilot, "raw output")
        assert all(one.reading is None for one in main(app).view._entries.values())


@pytest.mark.parametrize("opened", [False, True])
async def test_what_is_typed_before_the_prompt_has_the_focus_does_nothing_else(
    source: FakeSource, opened: bool
) -> None:
    app = app_for(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("2", "enter" if opened else "tab")
        await pilot.press("slash")
        app.screen.set_focus(pane(app))
        await pilot.press("p", "x", "R", "d", "Q", "3")
        await pilot.pause()
        assert source.asked == []
        assert app.screen.prompt.display  # type: ignore[attr-defined]
        assert app.screen.view.pane == "steps"  # type: ignore[attr-defined]
        app.screen.prompt._input.focus()  # type: ignore[attr-defined]
        await pilot.press("p", "q", "escape", "p")
        await pilot.pause()
        assert len(source.asked) == 1


async def test_the_panes_are_ascii_and_tell_all_without_colour(source: FakeSource) -> None:
    app = app_for(source, ascii_only=True, theme="coopdeck-plain")
    words = {"2": "exit 128", "3": "LOST", "4": "both agents", "5": "try 1"}
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        for key, word in words.items():
            await pilot.press(key, "g")
            text = await shows(pilot, word)
            assert text.isascii(), {character for character in text if not character.isascii()}
        await pilot.press("4")
        await until(pilot, lambda: re.search(r"^ -    return None", drawn(app), re.MULTILINE) is not None)
        assert re.search(r"^ \+    return value", drawn(app), re.MULTILINE)
