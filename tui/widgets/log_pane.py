"""A window on a log file: follows its end, folds or cuts long lines, searches; draws only the lines in view."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from styles.themes import PLAIN, tone_styles
from tui.keys import bindings
from tui.log_file import LogFile, LogLine
from tui.log_search import NOWHERE, LogSearch, marked
from tui.sanitise import Run, styled

POLL_S = 0.1
BUDGET_S = 0.01
ACROSS = 16


class LogPane(Widget, can_focus=True):
    """Looks at its file ten times a second while it is on the screen, and never reads more than a window of it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("move", "log")]

    class Said(Message):
        """A sentence for the user."""

        def __init__(self, says: str) -> None:
            super().__init__()
            self.says = says

    class Moved(Message):
        """`status` changed."""

    def __init__(self, *, ascii_only: bool, busy: Callable[[], bool], id: str | None = None) -> None:
        super().__init__(id=id)
        self.follow = True
        self.wrap = True
        self.empty = "no output yet"
        self.status = ""
        self._ascii = ascii_only
        self._busy = busy
        self._file: LogFile | None = None
        self._top, self._sub, self._left = 0, 0, 0
        self._search = LogSearch()
        self._rows: list[Strip] = []

    # -- the file -----------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        return self._file.path if self._file else None

    def open(self, path: Path | None, empty: str = "no output yet") -> None:
        """Look at another file from its end; None shows `empty` alone."""
        self.empty = empty
        if path != self.path:
            self.close()
            self._file = LogFile(path) if path else None
            self.follow = True
            self._top = self._sub = self._left = 0
            self._search = LogSearch(self.needle)
        self.poll(force=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def on_mount(self) -> None:
        self.set_interval(POLL_S, self.poll)

    def on_unmount(self) -> None:
        self.close()

    def poll(self, *, force: bool = False) -> None:
        """Look whether the file grew."""
        if not force and (not self.is_on_screen or not self.screen.is_current or self._busy()):
            return
        grew = self._advance()
        if grew or force:
            self.redraw()

    def _advance(self) -> bool:
        """Index what there is for a few milliseconds: a log of a gigabyte takes a while, and blocks nobody."""
        file = self._file
        if file is None:
            return False
        until = perf_counter() + BUDGET_S
        grew = file.advance()
        while not file.complete and perf_counter() < until and file.advance():
            pass
        return grew

    # -- drawing ------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Work out the lines in view, and have those drawn that differ."""
        rows = self._view() if self.size.height else []
        old, self._rows = self._rows, rows
        width = self.size.width
        regions = [
            Region(0, y, width, 1)
            for y in range(max(len(old), len(rows)))
            if y >= len(old) or y >= len(rows) or old[y] != rows[y]
        ]
        if regions:
            self.refresh(*regions)
        status = self._status()
        if status != self.status:
            self.status = status
            self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        if y < len(self._rows):
            return self._rows[y].adjust_cell_length(self.size.width, self.rich_style)
        return Strip.blank(self.size.width, self.rich_style)

    def on_resize(self) -> None:
        self._rows = []
        self.redraw()
        self.refresh()

    def restyle(self) -> None:
        """Draw everything anew, in another theme."""
        self._rows = []
        self.redraw()
        self.refresh()

    def _status(self) -> str:
        file = self._file
        if file is None or not file.exists:
            return ""
        words = [] if self.wrap else [f"unwrapped +{self._left}" if self._left else "unwrapped"]
        if self.follow:
            words.append("follow")
        elif file.complete:
            words.append(f"line {self._top + 1}/{file.lines}")
        else:
            words.append(f"line {self._top + 1}, read {100 * file.indexed // max(file.size, 1)}%")
        return " ".join(words)

    def _view(self) -> list[Strip]:
        file, height, base = self._file, self.size.height, self.rich_style
        if file is None or not file.size:
            muted = base + tone_styles(self.app.theme)["muted"]
            return [Strip([Segment(f" {self.empty}", muted)])]
        if self.follow and not file.complete:
            return self._flat(file.tail(height))[-height:]
        if self.follow:
            self._top, self._sub = self._end()
        return self._flat(file.window(self._top, height + 1))[self._sub : self._sub + height]

    def _flat(self, lines: list[LogLine]) -> list[Strip]:
        return [strip for line in lines for strip in self._folded(line)]

    def _folded(self, line: LogLine) -> list[Strip]:
        """A line as the rows it takes."""
        base, styles = self.rich_style, tone_styles(self.app.theme)
        runs = styled(line.text, ascii_only=self._ascii)
        if self.app.theme == PLAIN:
            runs = [Run(run.text, Style()) for run in runs]
        segments = marked(runs, self.needle, base, styles["match"])
        if line.cut:
            segments.append(Segment(" [cut]" if self._ascii else " […]", base + styles["warn"]))
        strip, width = Strip(segments), max(1, self.size.width)
        if not self.wrap:
            return [strip.crop(self._left, self._left + width)]
        length = strip.cell_length
        if length <= width:
            return [strip]
        return [strip.crop(at, min(at + width, length)) for at in range(0, length, width)]

    # -- moving -------------------------------------------------------------------------------------------------

    def _end(self) -> tuple[int, int]:
        """The place from which the last page is in view: line, and row of that line."""
        file, height = self._file, self.size.height
        if file is None:
            return 0, 0
        first = max(0, file.lines - height)
        left = height
        for line in reversed(file.window(first, height)):
            rows = len(self._folded(line))
            if rows >= left:
                return line.number, rows - left
            left -= rows
        return first, 0

    def _scroll(self, by: int) -> None:
        file = self._file
        if file is None:
            return
        if self.follow:
            self.follow = False
            self._top, self._sub = self._end()
        while by > 0:
            rows = self._rows_of(self._top)
            step = min(by, rows - self._sub)
            by -= step
            self._sub += step
            if self._sub >= rows:
                self._top, self._sub = self._top + 1, 0
            if self._top >= file.lines:
                break
        while by < 0:
            step = min(-by, self._sub)
            by += step
            self._sub -= step
            if by < 0:
                if self._top == 0:
                    break
                self._top -= 1
                self._sub = self._rows_of(self._top)
        self._top, self._sub = min((self._top, self._sub), self._end())
        self.redraw()

    def _rows_of(self, number: int) -> int:
        lines = self._file.window(number, 1) if self._file else []
        return len(self._folded(lines[0])) if lines else 1

    def action_up(self) -> None:
        self._scroll(-1)

    def action_down(self) -> None:
        self._scroll(1)

    def action_page_up(self) -> None:
        self._scroll(1 - self.size.height)

    def action_page_down(self) -> None:
        self._scroll(self.size.height - 1)

    def action_first(self) -> None:
        self.follow = False
        self._top = self._sub = 0
        self.redraw()

    def action_last(self) -> None:
        """The end, and stay there."""
        self.follow = True
        self.redraw()

    def action_left(self) -> None:
        self._left = max(0, self._left - ACROSS)
        self.redraw()

    def action_right(self) -> None:
        if not self.wrap:
            self._left += ACROSS
            self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    def toggle_follow(self) -> None:
        if not self.follow:
            self.action_last()
        else:
            self._scroll(0)

    def toggle_wrap(self) -> None:
        self.wrap = not self.wrap
        self._sub = self._left = 0
        self.redraw()

    # -- searching ----------------------------------------------------------------------------------------------

    @property
    def needle(self) -> str:
        return self._search.needle

    def search(self, needle: str) -> None:
        """Look for a text from the first line in view on; an empty one takes the marks away."""
        self._search = LogSearch(needle)
        if needle:
            self.search_again()
        self.redraw()

    def search_again(self, *, back: bool = False) -> None:
        if not self.needle:
            self.post_message(self.Said("nothing to search for yet"))
        elif self._file is not None and not self._search.under_way:
            self._search.begin(self._file, self._top, back=back)
            self.call_later(self._seek)

    def _seek(self) -> None:
        """One chunk of the search; keys and repaints come in between."""
        file = self._file
        if file is None or not self._search.under_way:
            return
        found = self._search.step(file)
        if found is None:
            self.call_later(self._seek)
        elif found == NOWHERE:
            self.post_message(self.Said(f"'{self.needle}' is not in this log"))
        else:
            self.follow = False
            self._top, self._sub = min((max(0, found - self.size.height // 3), 0), self._end())
            self.post_message(self.Said(f"'{self.needle}' in line {found + 1}"))
            self.redraw()
