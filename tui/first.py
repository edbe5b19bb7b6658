"""The app of first contact."""

import os
from pathlib import Path

from styles.themes import theme_for
from tui.glyphs import wants_ascii
from tui.keys import Keymap
from tui.screens.first import FirstScreen
from tui.screens.first import Piece as Piece
from tui.screens.first import Workshop as Workshop
from tui.shell import Shell


class FirstApp(Shell):
    """Ends with `rehearse`, or with nothing when the user leaves."""

    CSS_PATH = "../styles/app.tcss"

    def __init__(self, workshop: Workshop, folder: Path, *, ascii_only: bool = False, theme: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only, theme=theme or theme_for(os.environ, ascii_only), keymap=Keymap())
        self.first = FirstScreen(workshop, folder, self.keymap, self.glyphs, self.busy)

    def on_mount(self) -> None:
        self.push_screen(self.first)

    def action_detach(self) -> None:
        self.first.action_leave()


def open_first(workshop: Workshop, folder: Path) -> str | None:
    """Show it until the user leaves; `rehearse` when they want the rehearsal."""
    return FirstApp(workshop, folder, ascii_only=wants_ascii()).run()
