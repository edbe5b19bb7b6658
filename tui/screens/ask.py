"""A small question in the middle of the screen, answered with one key."""

from textwrap import TextWrapper
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.glyphs import Glyphs
from tui.text import Line, Span, width_of
from tui.widgets.lines import Lines


class Choice(NamedTuple):
    key: str
    label: str


class Ask(ModalScreen[str]):
    """Returns the key of the choice; escape and every last choice mean that nothing happens."""

    CSS_PATH: ClassVar[str] = "../../styles/ask.tcss"

    def __init__(self, question: str, choices: tuple[Choice, ...], glyphs: Glyphs, details: str = "") -> None:
        super().__init__(classes="ascii" if glyphs.ascii_only else None)
        self._question = question
        self._details = details
        self._choices = choices
        self._box = Vertical(id="box")
        self._lines = Lines()

    def compose(self) -> ComposeResult:
        with self._box:
            yield self._lines

    def on_mount(self) -> None:
        fold = TextWrapper(max(1, self.app.size.width - 10), break_on_hyphens=False).wrap
        question: list[Line] = [(Span(text, "strong"),) for text in fold(self._question)]
        details: list[Line] = [(Span(text, "muted"),) for text in fold(self._details)]
        answers: list[Line] = [(Span(f" {choice.key} ", "key"), Span(f" {choice.label}")) for choice in self._choices]
        if len(self._choices) == 2:
            answers = [(*answers[0], Span("    "), *answers[1])]
        lines = [*question, *details, (), *answers]
        self._lines.show(lines)
        self._box.styles.width = max(width_of(line) for line in lines) + 6
        self._box.styles.height = len(lines) + 4

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if event.key == "escape" or event.character in {choice.key for choice in self._choices}:
            self.dismiss(self._choices[-1].key if event.key == "escape" else event.character)
