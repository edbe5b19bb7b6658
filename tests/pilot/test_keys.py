"""One registry: bindings, footer, help and palette cannot disagree."""

import pytest

from tests.pilot.boards import FakeSource, middle
from tui.app import ChooserApp, CoopdeckApp
from tui.glyphs import UNICODE
from tui.keys import GROUPS, KEYS, Key, Keymap, bindings
from tui.screens.base import JobActions
from tui.screens.doctor import DoctorScreen
from tui.screens.first import FirstScreen
from tui.screens.help import help_lines
from tui.screens.images import ImagesScreen
from tui.screens.job import JobScreen
from tui.screens.sweep import SweepScreen
from tui.screens.sweeps import SweepsScreen
from tui.text import width_of
from tui.widgets.entry_pane import EntryPane
from tui.widgets.line_table import LineTable
from tui.widgets.log_pane import LogPane

OWNERS: dict[str, list[type]] = {
    "any": [CoopdeckApp, ChooserApp],
    "app": [CoopdeckApp],
    "sweep": [SweepScreen],
    "job": [JobScreen],
    "move": [LineTable, LogPane, EntryPane],
    "log": [LogPane, EntryPane],
    "entries": [EntryPane],
    "pane": [LogPane, EntryPane],
    "sweeps": [SweepsScreen],
    "first": [FirstScreen],
    "page": [ImagesScreen],
    "doctor": [DoctorScreen],
}


def test_ids_are_unique_and_in_a_group() -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))
    assert {key.group for key in KEYS} == set(GROUPS)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.id)
def test_every_action_is_there_where_it_is_bound(key: Key) -> None:
    for where in key.where:
        for owner in OWNERS[where]:
            assert callable(getattr(owner, f"action_{key.action}")), f"{owner.__name__} lacks action_{key.action}"


def test_no_key_needs_what_a_terminal_cannot_send() -> None:
    for key in KEYS:
        assert "shift+" not in key.keys


def test_help_names_every_action() -> None:
    lines = ["".join(span.text for span in line) for line in help_lines(Keymap(), UNICODE, 74)]
    text = " ".join(" ".join(lines).split())
    for key in KEYS:
        assert key.help in text


@pytest.mark.parametrize("width", [54, 74, 124, 154, 234])
def test_no_line_of_the_help_is_cut(width: int) -> None:
    assert all(width_of(line) <= width for line in help_lines(Keymap(), UNICODE, width))


def test_a_keymap_is_checked() -> None:
    with pytest.raises(ValueError, match="there is no action 'fly'"):
        Keymap({"fly": "z"})
    with pytest.raises(ValueError, match="'x' is given to both"):
        Keymap({"retry": "x"})
    assert Keymap({"retry": "?", "help": "z"}).changes == {"retry": "question_mark", "help": "z"}
    keymap = Keymap({"detach": "ctrl+x"})
    assert next(one.key for one in bindings("any", keymap=keymap) if one.id == "detach") == "ctrl+x"


@pytest.mark.anyio
async def test_a_changed_key_works_and_is_shown() -> None:
    app = CoopdeckApp(FakeSource(middle()), keymap=Keymap({"sort": "z", "pause": "P"}), now=lambda: 0.0)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, SweepScreen)
        await pilot.press("s")
        assert screen.sort == "state"
        await pilot.press("z")
        assert screen.sort == "plan"
        foot = "".join(span.text for span in screen.foot.lines[0])
        assert "z sort" in foot
        assert "P pause" in foot
        assert isinstance(screen, JobActions)
