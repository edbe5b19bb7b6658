"""What the jobs need of the machine, live: every image, how far its pull is, how many jobs need it."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from runner.model.board import Board
from runner.model.ids import JobId
from runner.model.supplies import Supply, SupplyKey
from tui.keys import bindings
from tui.link import Change
from tui.screens.base import Follower
from tui.session import Session
from tui.supply_rows import BAR, detail_lines, jobs_by_supply, row_key, supplies_line, supply_rows
from tui.text import Span
from tui.widgets.columns import Column
from tui.widgets.line_table import LineTable
from tui.widgets.lines import Lines

COLUMNS = (
    Column("image", 20, most=24),
    Column("", BAR, from_width=66),
    Column("", 4, right=True),
    Column("size", 7, right=True),
    Column("jobs", 4, right=True),
    Column("", 0, flex=1),
)
NOTHING = "this sweep needs no image"
UNKNOWN = "nobody has looked at this sweep's images yet"


class ImagesScreen(Follower):
    """Drawn from the board alone: whoever gets the images, a dashboard anywhere sees it."""

    CSS_PATH: ClassVar[str] = "../../styles/images.tcss"
    WHERE = "page"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("page")]

    def __init__(self, session: Session) -> None:
        super().__init__(session, self.WHERE, "any", "app")
        self.counts = Lines(id="counts")
        self.table = LineTable(COLUMNS, lambda row: row.place, id="images")
        self.table.more, self.table.mark = session.glyphs.more, session.glyphs.cursor
        self.detail = Lines(id="detail")
        self._jobs: Mapping[SupplyKey, int] = {}
        self._counted: tuple[JobId, ...] | None = None
        self._drawn: Board | None = None

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.banner
        yield self.counts
        yield self.table
        yield self.detail
        yield self.foot

    def on_mount(self) -> None:
        self.table.focus()
        self.changed(self.session.change)

    def on_resize(self) -> None:
        self._draw_lines()

    def changed(self, change: Change) -> None:
        board = change.board
        if board.order is not self._counted:
            self._jobs, self._counted = jobs_by_supply(board), board.order
        if self._drawn is None or board.supplies is not self._drawn.supplies:
            self.table.empty = UNKNOWN if self._jobs else NOTHING
            self.table.replace(supply_rows(board, self._jobs, self.session.glyphs))
            self._drawn = board
        self._draw_lines()

    def tick(self) -> None:
        self._draw_lines()

    def _draw_lines(self) -> None:
        board, width = self.session.board, self.size.width
        if not width:
            return
        self.draw_frame()
        self.counts.show([supplies_line(board) if board.supplies else (Span(" images", "strong"),)])
        supply = self._selected(board)
        self.detail.show(detail_lines(supply, width, self.session.glyphs) if supply is not None else ())

    def _selected(self, board: Board) -> Supply | None:
        key = self.table.selected
        return next((one for one in board.supplies.values() if row_key(one) == key), None)

    def on_line_table_selected(self, message: LineTable.Selected) -> None:
        self._draw_lines()

    def restyle(self) -> None:
        """Another theme."""
        self.refresh()

    def action_close_page(self) -> None:
        self.dismiss()
