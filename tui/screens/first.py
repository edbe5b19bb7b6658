"""First contact: what a sweep would need that is not here yet, and the keys that do something about it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerError

from styles.themes import Tone
from tui.format import clock
from tui.glyphs import Glyphs
from tui.keys import KEYS, Keymap, Where, bindings
from tui.sanitise import clean
from tui.screens.ask import Ask, Choice
from tui.text import Line, Span, clip, fit, spread, width_of
from tui.widgets.foot import Foot
from tui.widgets.lines import Lines
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane

REHEARSE = "rehearse"
TICK_S = 1.0
OFFERS = {
    "set-up": "sets up what is missing: cooperbench (about 1 GB), the dataset, settings",
    "doctor": "asks the doctor: everything that a sweep needs, and how to mend it",
    REHEARSE: "rehearses a recorded sweep of 300 jobs: no Docker, no key, no money",
}
READY = "ready: coopdeck run first --subset lite --smoke 5 -m MODEL --budget 20"


@dataclass(frozen=True, slots=True)
class Piece:
    """One of the things that a sweep needs; all texts are ready to be read."""

    name: str
    there: bool
    says: str


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the screen can have done."""

    look: Callable[[], Awaitable[Sequence[Piece]]]
    set_up: Callable[[], Awaitable[int]]
    """The exit status of `coopdeck setup`, run to its end; cancelled, it is ended."""
    log: Path
    """Where its lines are written."""


class FirstScreen(Screen[None]):
    """The pieces above, what is being done below."""

    CSS_PATH: ClassVar[str] = "../../styles/first.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("first")]
    AUTO_FOCUS = None
    WHERE: ClassVar[Where] = "first"

    def __init__(
        self, workshop: Workshop, folder: Path, keymap: Keymap, glyphs: Glyphs, busy: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._workshop = workshop
        self._folder = folder
        self._keymap = keymap
        self._glyphs = glyphs
        self.head = Lines(id="head")
        self.body = Lines(id="pieces")
        self.rule = Lines(id="work-rule")
        self.pane = LogPane(ascii_only=glyphs.ascii_only, busy=busy, id="work")
        self.foot = Foot(keymap, "any", "first")
        self.foot.leaves = "leave"
        self._pieces: Sequence[Piece] | None = None
        self._began = 0.0
        self._worker: Worker[None] | None = None
        self._told = ""

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.body
        yield self.rule
        yield self.pane
        yield self.foot

    def on_mount(self) -> None:
        self.pane.display = self.rule.display = False
        self._draw()
        self.run_worker(self._look(), group="look", exit_on_error=False)
        self.set_interval(TICK_S, self._draw_rule)

    def on_resize(self) -> None:
        self._draw()

    def restyle(self) -> None:
        self.pane.restyle()
        self.refresh()

    def say(self, text: str, *, ok: bool = True) -> None:
        self.foot.say(text, ok=ok)

    def on_pane_said(self, message: Pane.Said) -> None:
        self.say(message.says)

    def on_pane_save_asked(self) -> None:
        self.say(f"all of it is in {clean(str(self.pane.path), ascii_only=self._glyphs.ascii_only)}")

    # -- what is there ------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        self._pieces = await self._workshop.look()
        self._draw()

    def _draw(self) -> None:
        width = self.app.size.width
        title: Line = (Span(" coopdeck", "title"), Span("  first contact", "muted"))
        folder = clean(str(self._folder), ascii_only=self._glyphs.ascii_only)
        self.head.show([spread(title, (Span(f"{folder} ", "muted"),), width, more=self._glyphs.more)])
        self.body.show([(), *self._piece_lines(width), (), *self._offer_lines(width), ()])
        self._draw_rule()

    def _piece_lines(self, width: int) -> list[Line]:
        if self._pieces is None:
            return [(Span(" looking ...", "muted"),)]
        missing = sum(not piece.there for piece in self._pieces)
        says = READY if not missing else f"a sweep needs {'one thing' if missing == 1 else f'{missing} things'} more:"
        lines: list[Line] = [(Span(f" {says}", "strong"),)]
        for piece in self._pieces:
            mark, tone = self._glyphs.states["done" if piece.there else "failed"], _TONES[piece.there]
            text = clean(piece.says, ascii_only=self._glyphs.ascii_only)
            line: Line = (Span(f"   {mark} ", tone), Span(fit(piece.name, 13)), Span(text, "muted"))
            lines.append(clip(line, width, more=self._glyphs.more))
        return lines

    def _offer_lines(self, width: int) -> list[Line]:
        keys = {key.id: self._keymap.shown(key) for key in KEYS}
        return [
            clip((Span(f"   {keys[offer]} ", "key"), Span(text)), width, more=self._glyphs.more)
            for offer, text in OFFERS.items()
        ]

    # -- what is being done -------------------------------------------------------------------------------------

    def _draw_rule(self) -> None:
        if not self.rule.display:
            return
        width, rule = self.app.size.width, self._glyphs.rule
        state = f" {clock(monotonic() - self._began)} " if self._worker is not None else f" {self._told} "
        left: Line = (Span(f"{rule} ", "bar"), Span("coopdeck setup ", "strong"))
        right: Line = (Span(state, "muted"), Span(rule, "bar"))
        fill = rule * max(0, width - width_of(left) - width_of(right))
        self.rule.show([(*left, Span(fill, "bar"), *right)])

    async def action_doctor(self) -> None:
        await self.app.run_action("doctor")

    def action_set_up(self) -> None:
        if self._worker is not None:
            self.say("coopdeck setup is at work: wait for it, or leave, which ends it", ok=False)
            return
        self._began = monotonic()
        self._worker = self.run_worker(self._set_up(), group="work", exit_on_error=False)

    async def _set_up(self) -> None:
        try:
            self.pane.close()
            self.pane.open(self._workshop.log, "nothing said yet")
            self.pane.display = self.rule.display = True
            self.pane.focus()
            self._draw_rule()
            status = await self._workshop.set_up()
            self._told = "done" if status == 0 else f"ended with exit status {status}"
        except OSError as error:
            self._told = f"cannot be run: {error.strerror or error}"
        finally:
            self._worker = None
        self._draw_rule()
        await self._look()

    def action_rehearse(self) -> None:
        self._leave(REHEARSE)

    def action_leave(self) -> None:
        """As `detach` has it on every screen."""
        self._leave(None)

    def _leave(self, result: str | None) -> None:
        worker = self._worker
        if worker is None:
            self.app.exit(result)
            return
        if isinstance(self.app.screen, Ask):
            return

        async def ended() -> None:
            # Whoever leaves while it is cancelled would leave it behind.
            worker.cancel()
            with suppress(WorkerError):
                await worker.wait()
            self.app.exit(result)

        def answered(key: str | None) -> None:
            if key == "e":
                self.app.run_worker(ended(), exit_on_error=False)

        choices = (Choice("e", "end it and leave; repeated, it goes on with what is there"), Choice("b", "back"))
        self.app.push_screen(Ask("coopdeck setup is at work.", choices, self._glyphs), answered)


_TONES: dict[bool, Tone] = {True: "ok", False: "error"}
