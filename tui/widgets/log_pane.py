"""A window on a log file: follows its end, folds or cuts long lines, searches; draws only the lines in view."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.strip import Strip

from styles.themes import PLAIN, tone_styles
from tui.keys import bindings
from tui.log_file import LogFile, LogLine
from tui.log_search import NOWHERE, LogSearch, marked
from tui.sanitise import Run, styled
from tui.widgets.pane import Pane


class LogPane(Pane):
    """Its entries are the file's lines, of which it never reads more than a window."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("move", "log", "pane")]

    def __init__(self, *, ascii_only: bool, busy: Callable[[], bool], id: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only, busy=busy, id=id)
        self.empty = "no output yet"
        self._file: LogFile | None = None
        self._search = LogSearch()

    # -- the file -----------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        return self._file.path if self._file else None

    @property
    def entries(self) -> int:
        return self._file.lines if self._file else 0

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

    def _read(self) -> bool:
        return self._file is not None and self._file.advance()

    @property
    def _unread(self) -> bool:
        return self._file is not None and not self._file.complete

    # -- drawing ------------------------------------------------------------------------------------------------

    def _words(self) -> list[str]:
        file = self._file
        if file is None or not file.exists:
            return []
        if self.follow:
            return ["follow"]
        if file.complete:
            return [f"line {self._top + 1}/{file.lines}"]
        return [f"line {self._top + 1}, read {100 * file.indexed // max(file.size, 1)}%"]

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
        return [strip for line in lines for strip in self._strips(line)]

    def _folded(self, number: int) -> list[Strip]:
        lines = self._file.window(number, 1) if self._file else []
        return self._strips(lines[0]) if lines else [Strip([])]

    def _strips(self, line: LogLine) -> list[Strip]:
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

    def _end(self) -> tuple[int, int]:
        """As every pane's, with one read."""
        file, height = self._file, self.size.height
        if file is None:
            return 0, 0
        first = max(0, file.lines - height)
        left = height
        for line in reversed(file.window(first, height)):
            rows = len(self._strips(line))
            if rows >= left:
                return line.number, rows - left
            left -= rows
        return first, 0

    # -- searching ----------------------------------------------------------------------------------------------

    @property
    def needle(self) -> str:
        return self._search.needle

    def search(self, needle: str) -> None:
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
