"""A window on a reading's entries: a cursor where they unfold, else plain scrolling; draws what is in view."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from rich.segment import Segment
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.strip import Strip

from styles.themes import tone_styles
from tui.job_files import JobFiles
from tui.keys import bindings
from tui.log_search import marked
from tui.reading import Reading, Row, folded
from tui.sanitise import Run
from tui.text import Line, width_of
from tui.widgets.pane import BUDGET_S, Pane


class EntryPane(Pane):
    """What it shows is made by a `Reading`; it knows rows alone."""

    # Unfolding comes first: space pages down where there is nothing to unfold.
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("entries"), *bindings("move", "log", "pane")]

    def __init__(self, *, ascii_only: bool, busy: Callable[[], bool], id: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only, busy=busy, id=id)
        self.reading: Reading | None = None
        self.cursor = 0
        self.unfolded: set[int] = set()
        self._key: object = None
        self._needle = ""
        self._hit: int | None = None
        self._seeking: range | None = None

    # -- the reading --------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        reading = self.reading
        if reading is None:
            return None
        return reading.path(self.cursor if reading.foldable else self._top)

    @property
    def entries(self) -> int:
        return self.reading.count if self.reading else 0

    def open(self, key: object, files: JobFiles, make: Callable[[], Reading]) -> None:
        """Look at the reading `key`: the one there is, or one made anew. Its files may have changed meanwhile."""
        if self.reading is None or key != self._key:
            self.close()
            self._key = key
            self.reading = make()
            self.follow = self.reading.live
            self._top = self._sub = self._left = self.cursor = 0
            self.unfolded = set()
            self._hit = self._seeking = None
        self.reading.files = files
        self.poll(force=True)

    def close(self) -> None:
        if self.reading is not None:
            self.reading.close()
            self.reading = None

    def _read(self) -> bool:
        reading = self.reading
        if reading is None or not reading.advance():
            return False
        if reading.count <= max(self.cursor, self._top):
            # It began anew, and is shorter.
            self.cursor = self._top = self._sub = 0
            self.unfolded = set()
        return True

    @property
    def _unread(self) -> bool:
        return self.reading is not None and not self.reading.complete

    # -- drawing ------------------------------------------------------------------------------------------------

    def _words(self) -> list[str]:
        reading = self.reading
        if reading is None or not reading.count:
            return []
        read = [] if reading.complete else [f"read {100 * reading.done:.0f}%"]
        if self.follow:
            return ["follow", *read]
        return [f"{(self.cursor if reading.foldable else self._top) + 1}/{reading.count}", *read]

    def _view(self) -> list[Strip]:
        reading, height = self.reading, self.size.height
        if reading is None or not reading.count:
            muted = self.rich_style + tone_styles(self.app.theme)["muted"]
            says = "reading" if self._unread else reading.says if reading else ""
            return [Strip([Segment(f" {says}", muted)])]
        if self.follow:
            self.cursor = reading.count - 1
            self._top, self._sub = self._end()
        rows: list[Strip] = []
        number, sub = self._top, self._sub
        while len(rows) < height and number < reading.count:
            rows += self._folded(number)[sub:]
            number, sub = number + 1, 0
        return rows[:height]

    def _folded(self, number: int) -> list[Strip]:
        reading = self.reading
        if reading is None or number >= reading.count:
            return [Strip([])]
        width, strips = max(1, self.size.width), []
        for row in reading.rows(number, unfolded=number in self.unfolded):
            if self.wrap and row.whole:
                strips += [self._strip(line) for line in folded(row, width)]
            else:
                strips.append(self._cut(row, width))
        if reading.foldable and number == self.cursor:
            strips[:1] = [self._marked(strips[0], width)]
        return strips

    def _cut(self, row: Row, width: int) -> Strip:
        strip = self._strip(row.line)
        left = 0 if self.wrap else self._left
        if not row.whole and strip.cell_length > left + width:
            # Only what is never folded says that it goes on; an unwrapped row can be moved along.
            more = ".." if self._ascii else "…"
            end = Strip([Segment(more, self.rich_style + tone_styles(self.app.theme)["muted"])])
            return Strip.join([strip.crop(left, left + width - len(more)), end])
        return strip.crop(left, left + width)

    def _marked(self, strip: Strip, width: int) -> Strip:
        tone = tone_styles(self.app.theme)["cursor" if self.has_focus else "shade"]
        full = strip.adjust_cell_length(width, self.rich_style)
        return Strip([Segment(segment.text, (segment.style or self.rich_style) + tone) for segment in full], width)

    def _strip(self, line: Line) -> Strip:
        styles = tone_styles(self.app.theme)
        runs = [Run(span.text, styles[span.tone]) for span in line if span.text]
        return Strip(marked(runs, self._needle, self.rich_style, styles["match"]), width_of(line))

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    # -- moving -------------------------------------------------------------------------------------------------

    @property
    def _has_cursor(self) -> bool:
        return self.reading is not None and self.reading.foldable

    def _scroll(self, by: int) -> None:
        if not self._has_cursor or not self.entries:
            super()._scroll(by)
            return
        self.follow = False
        direction = 1 if by > 0 else -1
        for _ in range(abs(by)):
            if not self._within(direction) and not self._step(direction):
                break
        self.redraw()

    def _within(self, direction: int) -> bool:
        """An entry larger than what is in view is moved through, a row at a time."""
        above, below = self._span()
        if direction > 0 and below > self.size.height:
            super()._scroll(1)
            return True
        if direction < 0 and above < 0:
            super()._scroll(-1)
            return True
        return False

    def _step(self, direction: int) -> bool:
        """The entry before or after."""
        place = self.cursor + direction
        if not 0 <= place < self.entries:
            return False
        self.cursor = place
        self._show_cursor()
        return True

    def _span(self) -> tuple[int, int]:
        """The rows of the view in which the cursor's entry begins, and after which it ends."""
        start = -self._sub if self.cursor >= self._top else -1
        for number in range(self._top, self.cursor):
            start += len(self._folded(number))
            if start > self.size.height:
                break
        return start, start + len(self._folded(self.cursor))

    def _show_cursor(self) -> None:
        """Scroll just so far that the cursor's entry is in view, its beginning at least."""
        if self.cursor < self._top or (self.cursor == self._top and self._sub):
            self._top, self._sub = self.cursor, 0
            return
        _, end = self._span()
        height = self.size.height
        if end > height:
            number, left = self.cursor, height - len(self._folded(self.cursor))
            while left > 0 and number > 0:
                number -= 1
                left -= len(self._folded(number))
            self._top, self._sub = (number, max(0, -left)) if number < self.cursor else (self.cursor, 0)

    def action_first(self) -> None:
        self.cursor = 0
        super().action_first()

    def action_unfold(self) -> None:
        """Show all of the entry under the cursor, or its beginning again."""
        if not self._has_cursor or not self.entries:
            raise SkipAction
        if self.follow:
            self._top, self._sub = self._end()
        self.follow = False
        self.unfolded ^= {self.cursor}
        self._show_cursor()
        self.redraw()

    # -- searching ----------------------------------------------------------------------------------------------

    @property
    def needle(self) -> str:
        return self._needle

    def search(self, needle: str) -> None:
        self._needle, self._hit, self._seeking = needle, None, None
        if needle:
            self.search_again()
        self.redraw()

    def search_again(self, *, back: bool = False) -> None:
        count = self.entries
        if not self._needle:
            self.post_message(self.Said("nothing to search for yet"))
        elif self._seeking is None and count:
            start = (self.cursor if self._has_cursor else self._top) if self._hit is None else self._hit
            first = 1 if self._hit is not None or back else 0
            places = (
                range(start - first, start - first - count, -1) if back else range(start + first, start + first + count)
            )
            self._seeking = places
            self.call_later(self._seek)
        elif not count:
            self.post_message(self.Said(f"'{self._needle}' is not in this pane"))

    def _seek(self) -> None:
        """A few milliseconds of the search, once around; keys and repaints come in between."""
        reading, places = self.reading, self._seeking
        if reading is None or places is None:
            return
        until, wanted = perf_counter() + BUDGET_S, self._needle.lower()
        for done, place in enumerate(places):
            number = place % max(reading.count, 1)
            if wanted in reading.text(number).lower():
                self._seeking = None
                self._found(number)
                return
            if perf_counter() > until:
                self._seeking = places[done + 1 :]
                self.call_later(self._seek)
                return
        self._seeking = None
        self.post_message(self.Said(f"'{self._needle}' is not in this pane"))

    def _found(self, number: int) -> None:
        reading = self.reading
        if reading is None:
            return
        self.follow, self._hit = False, number
        if reading.foldable:
            rows = reading.rows(number, unfolded=False)
            seen = "\n".join("".join(span.text for span in row.line) for row in rows if row.whole)
            if self._needle.lower() not in seen.lower():
                self.unfolded.add(number)
            self.cursor = number
            self._top, self._sub = number, 0
        self._top, self._sub = min((max(0, number - self.size.height // 3), 0), self._end())
        if reading.foldable:
            self._show_cursor()
        self.post_message(self.Said(f"'{self._needle}' in {number + 1} of {reading.count}"))
        self.redraw()
