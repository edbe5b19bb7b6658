"""The dashboard app, and the two ways into it."""

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import ClassVar

from textual.binding import BindingType

from runner.client import Refused, Source
from runner.model.commands import Command, Pause, Resume, RetryFailed, SetSlots, Stop
from styles.themes import theme_for
from tui.examination import doctor_command
from tui.glyphs import wants_ascii
from tui.keys import Keymap, bindings
from tui.link import BoardLink, Change
from tui.screens.ask import Ask, Choice
from tui.screens.base import Follower, JobActions
from tui.screens.sweep import SweepScreen
from tui.screens.sweeps import SweepLine as SweepLine
from tui.screens.sweeps import SweepsScreen
from tui.session import Session
from tui.shell import Shell

TICK_S = 1.0
MOST_SLOTS = 256

DETACHED, STOPPED, OVER = "detached", "stopped", "over"


class CoopdeckApp(Shell):
    """A client of one sweep. Closing it sends the runner nothing."""

    # The first screen's sheet with the app's own: one that comes later has Textual parse all of them again.
    CSS_PATH: ClassVar[list[str | PurePath]] = ["../styles/app.tcss", "../styles/sweep.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]

    def __init__(
        self,
        source: Source,
        *,
        ascii_only: bool = False,
        theme: str | None = None,
        keymap: Keymap | None = None,
        now: Callable[[], float] = time.time,
        screenshots: Path | None = None,
    ) -> None:
        keymap = keymap or Keymap()
        theme = theme or theme_for(os.environ, ascii_only)
        super().__init__(ascii_only=ascii_only, theme=theme, keymap=keymap, folder=screenshots)
        self.session = Session(source, now, self.glyphs, keymap, self.send, self.busy, screenshots or Path.cwd())
        self._stopped = False

    def on_mount(self) -> None:
        self.push_screen(SweepScreen(self.session))
        self.run_worker(self._follow(), exit_on_error=False)
        self.set_interval(TICK_S, self._tick)

    async def _follow(self) -> None:
        try:
            await BoardLink(self.session.source, self._changed, busy=self.busy).run()
        except (Refused, OSError) as error:
            self.exit(str(error) or type(error).__name__)

    def _changed(self, change: Change) -> None:
        self.session.change = change
        for screen in self.screen_stack:
            if isinstance(screen, Follower) and screen.is_mounted:
                screen.changed(change)
        if change.jobs is None:
            self.call_after_refresh(gc.enable)  # dashboard.py has turned it off for the start

    def _tick(self) -> None:
        if self.session.over or self.busy():
            return
        if isinstance(self.screen, Follower):
            self.screen.tick()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(screen, JobActions) and not screen.check_action(action, parameters):
            return False
        return super().check_action(action, parameters)

    def doctor_command(self) -> tuple[str, ...]:
        return doctor_command(self.session.board)

    @property
    def rehearses(self) -> bool:
        plan = self.session.board.plan
        return plan is not None and plan.rehearsal is not None

    # -- asking the runner --------------------------------------------------------------------------------------

    def send(self, command: Command) -> None:
        """Ask, and say what is answered."""
        self.run_worker(self._ask(command), group="ask", exit_on_error=False)

    async def _ask(self, command: Command) -> None:
        reply = await self.session.source.ask(command)
        if reply.ok and isinstance(command, Stop):
            self._stopped = True
        self.say(reply.says, ok=reply.ok)

    def action_detach(self) -> None:
        self.exit(OVER if self.session.over else STOPPED if self._stopped else DETACHED)

    def action_pause(self) -> None:
        self.send(Resume() if self.session.board.paused else Pause())

    def action_more_slots(self) -> None:
        self._set_slots(1)

    def action_fewer_slots(self) -> None:
        self._set_slots(-1)

    def _set_slots(self, by: int) -> None:
        slots = self.session.board.slots + by
        if self.session.over or 1 <= slots <= MOST_SLOTS:
            self.send(SetSlots(slots))
        else:
            self.say(f"slots go from 1 to {MOST_SLOTS}", ok=False)

    def action_images(self) -> None:
        from tui.screens.images import ImagesScreen

        if not isinstance(self.screen, ImagesScreen):
            self.push_screen(ImagesScreen(self.session))

    def action_retry_failed(self) -> None:
        self.send(RetryFailed())

    def action_stop(self) -> None:
        if self.session.over:
            self.send(Stop("drain"))  # the answer says that there is no runner
            return
        running = self.session.board.total.count("starting", "running")
        choices = (
            Choice("w", "wait: what runs may finish, nothing new starts (drain)"),
            Choice("n", "now: end what runs; it stays resumable"),
            Choice("b", "back: go on"),
        )

        def answered(key: str | None) -> None:
            if key in {"w", "n"}:
                self.send(Stop("drain" if key == "w" else "now"))

        details = f"{running} jobs run now. To leave the runner alone and only close this screen, go back and press d."
        self.push_screen(Ask("Stop the runner?", choices, self.glyphs, details), answered)


class ChooserApp(Shell):
    """Shows the sweeps, and ends with the name of the chosen one."""

    CSS_PATH = "../styles/app.tcss"

    def __init__(self, lines: list[SweepLine], *, ascii_only: bool = False, theme: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only, theme=theme or theme_for(os.environ, ascii_only), keymap=Keymap())
        self._lines = lines

    def on_mount(self) -> None:
        self.push_screen(SweepsScreen(self._lines, self.keymap, self.glyphs))

    def action_detach(self) -> None:
        self.exit(None)


def open_dashboard(source: Source) -> str:
    """Show a sweep until the user leaves; returns `detached`, `stopped`, `over`, or a sentence about why not."""
    return CoopdeckApp(source, ascii_only=wants_ascii()).run() or DETACHED


def choose_sweep(lines: list[SweepLine]) -> str | None:
    """The name of the sweep that the user chose; None when they left."""
    return ChooserApp(lines, ascii_only=wants_ascii()).run()
