"""A table over plain records, drawn line by line: a change costs the cells that changed, however many rows there are.

Cells are plain text and never parsed. The selection is a record's key, so it stays with its record while others come,
go and change places.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from styles.themes import tone_styles
from tui.keys import bindings
from tui.order import Order
from tui.text import fit, fit_middle
from tui.widgets.columns import Column, Place, Record, lay_out


class LineTable(ScrollView, can_focus=True):
    """Records in, strips out."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("move")]
    DEFAULT_CSS = "LineTable { scrollbar-size: 0 0; overflow-x: hidden; }"

    class Selected(Message):
        """Another record is selected."""

        def __init__(self, table: "LineTable", key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Opened(Message):
        """The selected record was clicked twice."""

        def __init__(self, table: "LineTable", key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

    def __init__(
        self, columns: Iterable[Column], sort: Callable[[Any], tuple[Any, ...]], *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.order: Order[Any] = Order(sort)
        self.selected: str | None = None
        self.anchored = True
        """The first record is the selected one, whichever it is: so until the user moves, and again after `g`."""
        self.empty = ""
        self.more = "…"
        self.mark = "▌"
        self._laid_out: tuple[Place, ...] = ()
        self._painted: dict[int, tuple[Any, bool]] = {}
        self._cursor_at = 0

    # -- records ------------------------------------------------------------------------------------------------

    def replace(self, rows: Iterable[Record]) -> None:
        """All records anew."""
        self.order.replace(rows)
        self._lay_out()
        self._rearranged()

    def set_column(self, index: int, *, from_width: int) -> None:
        """Show a column from another width on; takes effect with the next `replace`."""
        column = self.columns[index]._replace(from_width=from_width)
        self.columns = (*self.columns[:index], column, *self.columns[index + 1 :])

    def put(self, rows: Iterable[Record]) -> None:
        """Some records anew."""
        if self.order.put(rows):
            self._rearranged()
        else:
            self._repaint()

    def sort_by(self, sort: Callable[[Any], tuple[Any, ...]]) -> None:
        self.order.sort_by(sort)
        self._rearranged()
        self._to_cursor()

    def keep(self, wanted: Callable[[Any], bool] | None) -> None:
        """Show only the wanted records; None shows all."""
        self.order.keep(wanted)
        self._rearranged()
        self._to_cursor()

    @property
    def in_view(self) -> list[Any]:
        """The records on the screen now."""
        first = self.scroll_offset.y
        return [self.order.rows[key] for key in self.order.shown[first : first + self._page]]

    @property
    def cursor(self) -> int | None:
        """Where the selected record stands."""
        return self.order.place(self.selected)

    def select(self, key: str) -> None:
        place = self.order.place(key)
        if place is not None:
            self._move_to(place)

    @property
    def _page(self) -> int:
        return max(1, self.size.height - 1)

    def _rearranged(self) -> None:
        shown = self.order.shown
        size = Size(self.size.width, len(shown) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        place = self.cursor
        if place is None or (self.anchored and place):
            place = 0 if self.anchored else min(self._cursor_at, len(shown) - 1)
            key = shown[place] if shown else None
            if key != self.selected:
                self.selected = key
                self.post_message(self.Selected(self, key))
        self._cursor_at = max(place, 0)
        self._repaint()

    # -- moving -------------------------------------------------------------------------------------------------

    def _move_to(self, place: int) -> None:
        shown = self.order.shown
        self.anchored = False
        if not shown:
            return
        self._cursor_at = min(max(place, 0), len(shown) - 1)
        key = shown[self._cursor_at]
        moved, self.selected = key != self.selected, key
        self._to_cursor()
        self._repaint()
        if moved:
            self.post_message(self.Selected(self, key))

    def _to_cursor(self) -> None:
        place, first = self.cursor, self.scroll_offset.y
        if place is None:
            return
        if place < first:
            self.scroll_to(y=place, animate=False)
        elif place >= first + self._page:
            self.scroll_to(y=place - self._page + 1, animate=False)

    def _step(self, by: int) -> None:
        place, first = self.cursor, self.scroll_offset.y
        if place is None:
            return
        if not first <= place < first + self._page:
            # The record went out of view by itself: the first key comes back to what the user is looking at.
            self._move_to(first if by > 0 else first + self._page - 1)
        else:
            self._move_to(place + by)

    def action_up(self) -> None:
        self._step(-1)

    def action_down(self) -> None:
        self._step(1)

    def action_page_up(self) -> None:
        self._step(-self._page)

    def action_page_down(self) -> None:
        self._step(self._page)

    def action_first(self) -> None:
        self._move_to(0)
        self.anchored = True

    def action_last(self) -> None:
        self._move_to(len(self.order.shown) - 1)

    def on_click(self, event: events.Click) -> None:
        place = event.y - 1 + self.scroll_offset.y
        if event.y > 0 and 0 <= place < len(self.order.shown):
            self._move_to(place)
            if event.chain == 2 and self.selected is not None:
                self.post_message(self.Opened(self, self.selected))

    # -- drawing ------------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._painted.clear()
        self._lay_out()
        self.virtual_size = Size(self.size.width, len(self.order.shown) + 1)
        self._to_cursor()
        self.refresh()

    def on_focus(self) -> None:
        self._repaint(cursor=True)

    def on_blur(self) -> None:
        self._repaint(cursor=True)

    def _lay_out(self) -> None:
        """Give every column its place; columns that fit their cells are measured when all rows come anew."""
        places = lay_out(self.columns, self.order.rows.values(), self.size.width)
        if places != self._laid_out:
            self._laid_out = places
            self._painted.clear()
            self.refresh()

    def _now_at(self, y: int) -> tuple[Any, bool]:
        row = self.order.at(y - 1 + self.scroll_offset.y)
        return row, row is not None and row.key == self.selected

    def _repaint(self, *, cursor: bool = False) -> None:
        """Have the cells drawn that differ from what was drawn before."""
        regions: list[Region] = []
        for y in range(1, self.size.height):
            before, now = self._painted.get(y), self._now_at(y)
            if before is None or before[1] != now[1] or (cursor and now[1]):
                regions.append(Region(0, y, self.size.width, 1))
            elif before[0] is not now[0]:
                regions.extend(self._differing(before[0], now[0], y))
            self._painted[y] = now
        if regions:
            self.refresh(*regions)

    def _differing(self, before: Record | None, now: Record | None, y: int) -> Iterable[Region]:
        if before is None or now is None:
            yield Region(0, y, self.size.width, 1)
            return
        for place in self._laid_out:
            index, start, wide = place
            if before.tones[index] != now.tones[index]:
                yield Region(start, y, wide, 1)
            elif before.cells[index] != now.cells[index]:
                old, new = self._cell(before, place), self._cell(now, place)
                if old.isascii() and new.isascii():
                    # A second more is one character more on the wire.
                    unlike = [at for at in range(wide) if old[at] != new[at]]
                    if unlike:
                        yield Region(start + unlike[0], y, unlike[-1] - unlike[0] + 1, 1)
                else:
                    yield Region(start, y, wide, 1)

    def _cell(self, row: Record, place: Place) -> str:
        column = self.columns[place.column]
        cut = fit_middle if column.tight else fit
        return cut(row.cells[place.column], place.width, right=column.right, more=self.more)

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        styles = tone_styles(self.app.theme)
        if y == 0:
            head = base + styles["muted"]
            text = " " + " ".join(
                fit(self.columns[index].title, wide, right=self.columns[index].right)
                for index, _, wide in self._laid_out
            )
            return Strip([Segment(text, head)]).adjust_cell_length(width, base)
        row, at_cursor = self._painted[y] = self._now_at(y)
        if row is None:
            if y == 2 and not self.order.shown:
                return Strip([Segment("  " + self.empty, base + styles["muted"])]).adjust_cell_length(width, base)
            return Strip.blank(width, base)
        if at_cursor:
            base += styles["cursor" if self.has_focus else "shade"]
        segments = [Segment(self.mark if at_cursor else " ", base + styles["key"] if at_cursor else base)]
        for place in self._laid_out:
            text = self._cell(row, place)
            segments.append(Segment(text, base + styles[row.tones[place.column]]))
            segments.append(Segment(" ", base))
        return Strip(segments).adjust_cell_length(width, base)
