"""Every key of the panes in all five of them, of a job that runs and of one that is over; and what `s` saves."""

import re
from pathlib import Path

import pytest
from textual.pilot import Pilot

from runner.model import events as ev
from runner.model.ids import JobId
from tests.pilot.boards import NOW, FakeSource, middle
from tests.pilot.seeing import drawn, until
from tests.pilot.test_dashboard import main, of_state
from tests.pilot.tries import patched, talking
from tui.app import CoopdeckApp
from tui.sanitise import _BAD
from tui.screens.sweep import SweepScreen

pytestmark = pytest.mark.anyio

LOG = b"plain\n\x1b[32mgreen\x1b[0m \x1b]52;c;ZXZpbA==\x07\nbad \xff utf-8 \x00\n" + b"needle in the log\n" * 40
# A pane, a text that stands in it, and one that stands in its saved file alone as such.
PANES = {
    "1": ("log", "needle", "needle in the log"),
    "2": ("steps", "no remote", "Then I plan."),
    "3": ("talk", "anybody", "I only touch help.py and its tests."),
    "4": ("patch", "dashes", "+    return value"),
    "5": ("tries", "attempts", "try 1"),
}


@pytest.fixture
def source(tmp_path: Path, state: str) -> FakeSource:
    """The first job of a state has all the files there are."""
    source = FakeSource(middle(), tmp_path / "sweep")
    row = source.maker.board.jobs[of_state(source, state)]
    folder, pair = tmp_path / "sweep" / row.attempts[-1].folder, row.spec.pair
    talking(folder)
    (folder / "output.log").write_bytes(LOG)
    mode = "solo" if row.spec.setting == "solo" else "coop"
    own = folder / "logs" / row.spec.run_name / mode / pair.repo / str(pair.task) / pair.folder
    if row.delivered:
        source.maker.happen(ev.ResultDelivered(row.spec.id, 1, str(own / "result.json")))
    patched(own)
    return source


def app_for(source: FakeSource, saves: Path) -> CoopdeckApp:
    saves.mkdir(exist_ok=True)
    return CoopdeckApp(source, now=lambda: NOW, screenshots=saves)


async def opened(pilot: Pilot[str], job: JobId) -> None:
    """The job with the files, full screen."""
    await pilot.pause()
    assert isinstance(pilot.app, CoopdeckApp)
    main(pilot.app).table.select(job)
    await pilot.pause()
    await pilot.press("enter")


async def said(pilot: Pilot[str], words: str) -> None:
    await until(pilot, lambda: words in pilot.app.screen.foot.notice)  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", PANES)
@pytest.mark.parametrize("state", ["running", "done"])
async def test_every_key_of_a_pane_does_its_work(source: FakeSource, tmp_path: Path, state: str, key: str) -> None:
    name, needle, kept = PANES[key]
    app = app_for(source, tmp_path / "saves")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, of_state(source, state))
        await pilot.press(key)
        view = app.screen.view  # type: ignore[attr-defined]
        await until(pilot, lambda: view.current.entries > 0)
        pane = view.current
        assert view.pane == name
        await pilot.press("slash", *("space" if letter == " " else letter for letter in needle), "enter")
        await said(pilot, f"'{needle}' in ")
        assert needle in drawn(app).replace(f"'{needle}'", "")
        for again in "nN":
            app.screen.foot.unsay()  # type: ignore[attr-defined]
            await pilot.press(again)
            await said(pilot, f"'{needle}' in ")
        await pilot.press("w")
        assert pane.status.startswith("unwrapped")
        await pilot.press("w")
        before = pane.follow
        await pilot.press("f")
        assert pane.follow is not before
        await pilot.press("y")
        assert app.clipboard == str(pane.path)
        await pilot.press("s")
        await said(pilot, "saved ")
        (saved,) = (tmp_path / "saves").iterdir()
        assert saved.name in drawn(app)
        assert saved.suffix == (".log" if name == "log" else ".txt")
        content = saved.read_bytes()
        if name == "log":
            assert content == LOG
        else:
            assert not _BAD.search(content.decode().replace("\n", ""))
        assert kept in content.decode(errors="replace")
        await pilot.press("s")
        await until(pilot, lambda: len(list((tmp_path / "saves").iterdir())) == 2)
        assert sorted(path.stem for path in (tmp_path / "saves").iterdir()) == [saved.stem, f"{saved.stem}-2"]
        assert saved.read_bytes() == content


async def test_s_sorts_the_table_and_saves_the_pane_that_has_the_focus(tmp_path: Path) -> None:
    source = FakeSource(middle(), tmp_path)
    app = app_for(source, tmp_path / "saves")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, SweepScreen)
        await pilot.press("s")
        assert screen.sort == "plan"
        assert not list((tmp_path / "saves").iterdir())
        await pilot.press("5", "tab", "s")
        await said(pilot, "saved ")
        assert screen.sort == "plan"
        (saved,) = (tmp_path / "saves").iterdir()
        assert re.fullmatch(r"[\w.-]+\.try1\.tries\.txt", saved.name)
        # A letter of the search text, typed before the prompt has the focus.
        await pilot.press("slash")
        screen.set_focus(screen.view.current)
        await pilot.press("s")
        await pilot.pause()
        assert len(list((tmp_path / "saves").iterdir())) == 1


async def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    source = FakeSource(middle(), tmp_path)
    app = app_for(source, tmp_path / "saves")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("1", "enter", "s")
        await said(pilot, "not saved: there is no output.log")
        (tmp_path / "saves").rmdir()
        await pilot.press("5", "s")
        await said(pilot, "not saved: No such file or directory")
