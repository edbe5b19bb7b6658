"""Every key, made from the registry."""

from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from tui.glyphs import Glyphs
from tui.keys import GROUPS, KEYS, Keymap
from tui.text import Line, Span, fit, width_of
from tui.widgets.lines import Lines

ROOMY = 124
SHOWN = 18
"""Cells of an action's keys."""


class Help(ModalScreen[None]):
    """One column, or two where there is room."""

    CSS_PATH: ClassVar[str] = "../../styles/help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "close", show=False),
        Binding("down,j", "scroll('down')", show=False),
        Binding("up,k", "scroll('up')", show=False),
        Binding("pagedown,space", "scroll('page_down')", show=False),
        Binding("pageup", "scroll('page_up')", show=False),
    ]

    def __init__(self, keymap: Keymap, glyphs: Glyphs) -> None:
        super().__init__(classes="ascii" if glyphs.ascii_only else None)
        self._keymap = keymap
        self._glyphs = glyphs
        self._lines = Lines()
        self._scroll = VerticalScroll(self._lines, id="page")

    def compose(self) -> ComposeResult:
        yield self._scroll

    def on_mount(self) -> None:
        self._scroll.border_title = "keys: j k scroll, esc closes"
        self._scroll.focus()
        self.on_resize()

    def on_resize(self) -> None:
        width = self.app.size.width
        lines = help_lines(self._keymap, self._glyphs, width - 6)
        self._lines.show(lines)
        self._lines.styles.height = len(lines)

    def action_close(self) -> None:
        self.dismiss()

    def action_scroll(self, how: str) -> None:
        getattr(self._scroll, f"scroll_{how}")(animate=False)


def help_lines(keymap: Keymap, glyphs: Glyphs, width: int) -> list[Line]:
    """The groups one under the other, or side by side; no line is wider than `width`."""
    half = (width - 4) // 2
    blocks = [_block(group, keymap, width if width < ROOMY else half) for group in GROUPS]
    if width < ROOMY:
        lines = [line for block in blocks for line in (*block, ())]
        return lines[:-1]
    left, right = [*blocks[0], (), *blocks[1]], [*blocks[2], (), *blocks[3], (), *blocks[4]]
    rows = max(len(left), len(right))
    left += [()] * (rows - len(left))
    right += [()] * (rows - len(right))
    pairs = zip(left, right, strict=True)
    return [(*one, Span(" " * max(2, half - width_of(one))), *two) for one, two in pairs]


def _block(group: str, keymap: Keymap, width: int) -> list[Line]:
    lines: list[Line] = [(Span(GROUPS[group], "title"),)]
    for key in KEYS:
        if key.group == group:
            shown = fit(keymap.shown(key, all_of_them=True), SHOWN)
            for text in wrap(key.help, max(20, width - SHOWN - 3)):
                lines.append((Span(f"  {shown}", "key"), Span(f" {text}")))
                shown = " " * SHOWN
    return lines
