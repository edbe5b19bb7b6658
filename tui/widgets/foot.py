"""The bottom line: the keys, or for a few seconds what there is to say."""

from textual.timer import Timer

from styles.themes import Tone
from tui.keys import KEYS, Keymap, Where, keys_for
from tui.reading import Row, folded
from tui.sanitise import clean
from tui.text import Line, Span, fit, join, width_of
from tui.widgets.lines import Lines

SAID_FOR_S = 5.0
MOST_LINES = 3
"""Of a notice: enough for a path, which may be all that there is to copy."""


class Foot(Lines):
    """Keys from the registry, as many as fit; a notice takes their place, and some lines if it needs them, and goes
    by itself."""

    def __init__(self, keymap: Keymap, *places: Where) -> None:
        super().__init__(id="foot")
        self._keymap = keymap
        self._places = places
        self._notice: tuple[str, bool] | None = None
        self._timer: Timer | None = None
        self.leaves = "detach"

    @property
    def notice(self) -> str:
        return self._notice[0] if self._notice else ""

    def on_resize(self) -> None:
        self.draw()

    def say(self, text: str, *, ok: bool = True) -> None:
        """One line for a few seconds; a runner's answer may quote anything."""
        self._notice = (clean(text, ascii_only=self.app.has_class("ascii")), ok)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SAID_FOR_S, self.unsay)
        self.draw()

    def unsay(self) -> None:
        self._notice = None
        self.draw()

    def draw(self) -> None:
        width = self.size.width
        if self._notice is not None:
            text, ok = self._notice
            tone: Tone = "strong" if ok else "alarm"
            more = ".." if self.app.has_class("ascii") else "…"
            lines = ["".join(span.text for span in line) for line in folded(Row((Span(f" {text}"),), 1), width)]
            if len(lines) > MOST_LINES:
                lines[MOST_LINES - 1 :] = [f"{lines[MOST_LINES - 1]}{lines[MOST_LINES].strip()}"]
            self.show([(Span(fit(line, width, more=more), tone),) for line in lines])
            return
        keys = [key for key in keys_for(*self._places) if key.footer]
        last: Line = ()
        kept: list[Line] = []
        for key in keys:
            label = self.leaves if key.id == "detach" else key.label
            shown = " ".join(self._keymap.shown(one) for one in KEYS if one.id in {key.id, key.beside})
            part: Line = (Span(shown, "key"), Span(f" {label}", "muted"))
            if key.id == "help":
                last = part
            else:
                kept.append(part)
        # Whatever does not fit is in the help, so the help itself always fits.
        while kept and width_of(join((*kept, last))) + 2 > width:
            kept.pop()
        self.show([(Span(" "), *join((*kept, last)))])
