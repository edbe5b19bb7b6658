"""The one-line prompt for a filter or a search."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label


class Prompt(Horizontal):
    """Hidden until asked; says what is typed while it is typed, and once more when it is meant."""

    class Typed(Message):
        def __init__(self, text: str, purpose: str) -> None:
            super().__init__()
            self.text = text
            self.purpose = purpose

    class Closed(Message):
        """The text is empty after escape."""

        def __init__(self, text: str, purpose: str) -> None:
            super().__init__()
            self.text = text
            self.purpose = purpose

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", show=False)]

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self.purpose = ""
        self._label = Label("", markup=False)
        self._input = Input(compact=True, select_on_focus=False)

    def compose(self) -> ComposeResult:
        yield self._label
        yield self._input

    def on_mount(self) -> None:
        self.display = False

    def ask(self, purpose: str, text: str = "") -> None:
        self.purpose = purpose
        self._label.update(f" {purpose} /")
        self._input.value = text
        # What is typed takes the old text's place; enter alone keeps it.
        self._input.select_all()
        self.display = True
        # At once: of keys typed together, the next ones are words already.
        self.screen.set_focus(self._input)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.display:
            self.post_message(self.Typed(event.value, self.purpose))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = False
        self.post_message(self.Closed(event.value, self.purpose))

    def action_dismiss(self) -> None:
        self.display = False
        self.post_message(self.Closed("", self.purpose))
