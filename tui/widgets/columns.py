"""A table's columns, and where they stand in a width."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from styles.themes import Tone
from tui.order import Keyed

ROOMY = 100


class Column(NamedTuple):
    title: str
    width: int
    right: bool = False
    flex: int = 0
    """Share of the room that is left over."""
    from_width: int = 0
    """Shown only in a table at least this wide; never when negative."""
    most: int = 0
    """As wide as its widest cell, up to this; 0 for a fixed width."""
    tight: int = 0
    """The same on a table narrower than `ROOMY`, where a cell that is too long is cut in its middle."""
    leaves: int = 0
    """Shown on a table narrower than `from_width` too, where the flexible columns keep so many cells."""


class Record(Keyed, Protocol):
    @property
    def cells(self) -> tuple[str, ...]: ...
    @property
    def tones(self) -> tuple[Tone, ...]: ...


class Place(NamedTuple):
    """A column that is shown: its number, its first cell, its cells."""

    column: int
    start: int
    width: int


def lay_out(columns: Sequence[Column], rows: Collection[Record], width: int) -> tuple[Place, ...]:
    """The columns that are shown; those that fit their cells are measured by all rows."""
    shown = [(index, column) for index, column in enumerate(columns) if 0 <= column.from_width <= width]
    wide = _wide(shown, rows, width)
    for index, column in enumerate(columns):
        narrow = column.leaves and column.from_width > width
        if narrow and width - sum(wide.values()) - len(shown) - column.width - 1 >= column.leaves:
            shown = sorted([*shown, (index, column)])
            wide[index] = column.width
    spare = max(0, width - sum(wide.values()) - len(shown))  # a gap before each column, none after the last
    shares = sum(column.flex for _, column in shown)
    places: list[Place] = []
    start = 1
    for index, column in shown:
        room = wide[index] + (spare * column.flex // shares if shares else 0)
        places.append(Place(index, start, room))
        start += room + 1
    return tuple(places)


def _wide(shown: Sequence[tuple[int, Column]], rows: Collection[Record], width: int) -> dict[int, int]:
    """How wide each column is before the flexible ones share what is left."""
    wide = {index: column.width for index, column in shown}
    for index, column in shown:
        if column.most:
            longest = max((len(row.cells[index]) for row in rows), default=0)
            most = column.tight if column.tight and width < ROOMY else column.most
            wide[index] = min(max(longest, len(column.title)), most)
    return wide
