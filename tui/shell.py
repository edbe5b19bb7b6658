"""The part of the app that has nothing to do with sweeps: themes, keys, help, palette, screenshots."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from textual._compositor import ChopsUpdate
from textual.app import App
from textual.binding import BindingType
from textual.command import CommandPalette
from textual.driver import Driver
from textual.screen import Screen

from styles.themes import PLAIN, THEMES
from tui.commands import KeyCommands
from tui.driver import MeteredDriver, backlog
from tui.examination import doctor_command
from tui.glyphs import ASCII, UNICODE
from tui.keys import Keymap, bindings
from tui.output import CroppedUpdate
from tui.screens.help import Help


class Shell(App[str], inherit_bindings=False):
    """Neither ctrl+q nor ctrl+c ends anything: leaving and stopping have keys of their own."""

    TITLE = "coopdeck"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("any")]
    ENABLE_COMMAND_PALETTE = False  # its key would be beside the registry: action_palette opens it

    def __init__(self, *, ascii_only: bool, theme: str, keymap: Keymap, folder: Path | None = None) -> None:
        # Told at once, or Textual answers NO_COLOR with greys that it mixes from colours the terminal keeps to itself.
        super().__init__(ansi_color=True if theme == PLAIN else None)
        self.keymap = keymap
        self.glyphs = ASCII if ascii_only else UNICODE
        self._folder = folder
        for one in THEMES.values():
            self.register_theme(one)
        self.theme = theme
        self.animation_level = "none"
        self.set_keymap(keymap.changes)
        if ascii_only:
            self.add_class("ascii")

    def get_driver_class(self) -> type[Driver]:
        """The stock driver is the one that can be metered; a test's or a user's own choice stays."""
        chosen = super().get_driver_class()
        return MeteredDriver if chosen is MeteredDriver.__mro__[1] else chosen

    @property
    def _background_screens(self) -> list[Screen[Any]]:
        """What is seen through the screen in front.

        Textual counts the screen below an opaque one as well, and then draws all of both, twice, for every change.
        """
        return super()._background_screens if self.screen.is_modal else []

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if type(renderable) is ChopsUpdate:
            renderable = CroppedUpdate(renderable.chops, renderable.spans, renderable.chop_ends)
        super()._display(screen, renderable)

    @property
    def busy(self) -> Callable[[], bool]:
        return lambda: backlog(self._driver) > 0

    def say(self, text: str, *, ok: bool = True) -> None:
        """One line at the bottom of whichever screen is in front."""
        for screen in reversed(self.screen_stack):
            say: Callable[..., None] | None = getattr(screen, "say", None)
            if say is not None:
                say(text, ok=ok)
                return

    def action_help(self) -> None:
        self.push_screen(Help(self.keymap, self.glyphs))

    def action_doctor(self) -> None:
        from tui.screens.doctor import DoctorScreen

        self.push_screen(DoctorScreen(self.doctor_command(), self.keymap, self.glyphs, rehearsal=self.rehearses))

    def doctor_command(self) -> tuple[str, ...]:
        """What looks at the machine; for the project's own settings, where no sweep is in view."""
        return doctor_command(None)

    @property
    def rehearses(self) -> bool:
        """Whether what is in view needs nothing of the machine."""
        return False

    def action_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(providers=[KeyCommands], placeholder="an action by its name"))

    def action_theme(self) -> None:
        names = list(THEMES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        for screen in self.screen_stack:
            restyle: Callable[[], None] | None = getattr(screen, "restyle", None)
            if restyle is not None:
                self.call_after_refresh(restyle)

    def action_screenshot(self, filename: str | None = None, path: str | None = None) -> None:
        folder = Path(path) if path else self._folder or Path.cwd()
        try:
            self.say(f"saved {self.save_screenshot(filename, str(folder))}")
        except OSError as error:
            self.say(f"the screenshot was not saved: {error}", ok=False)

    def action_interrupt(self) -> None:
        keys = {binding.id: binding.key for binding in bindings("any", "app", keymap=self.keymap)}
        self.say(f"ctrl+c ends nothing here: {keys['detach']} leaves (the runner goes on), {keys['stop']} stops it")
