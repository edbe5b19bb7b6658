"""The list of sweeps, to choose one from."""

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from styles.themes import Tone
from tui.glyphs import Glyphs
from tui.keys import Keymap, bindings
from tui.sanitise import clean
from tui.text import Span
from tui.widgets.columns import Column
from tui.widgets.foot import Foot
from tui.widgets.line_table import LineTable
from tui.widgets.lines import Lines


@dataclass(frozen=True, slots=True)
class SweepLine:
    """A sweep as the list shows it; all texts are ready to be read."""

    name: str
    state: str
    """`running`, `finished`, `stopped`, ..."""
    counts: str
    cost: str
    seen: str
    """When something last happened in it."""


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    place: int
    cells: tuple[str, ...]
    tones: tuple[Tone, ...]


_TONES: dict[str, Tone] = {"running": "run", "finished": "ok", "failed": "error"}


class SweepsScreen(Screen[None]):
    """Enter leaves the app with the chosen name."""

    CSS_PATH: ClassVar[str] = "../../styles/sweeps.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("sweeps")]
    COLUMNS = (
        Column("sweep", 18, flex=2),
        Column("state", 10),
        Column("jobs", 22, flex=2),
        Column("cost", 9, right=True),
        Column("last seen", 12, right=True, flex=1),
    )

    def __init__(self, lines: list[SweepLine], keymap: Keymap, glyphs: Glyphs) -> None:
        super().__init__()
        self.head = Lines(id="head")
        self.table = LineTable(self.COLUMNS, lambda row: (row.place,), id="sweeps")
        self.table.more, self.table.mark = glyphs.more, glyphs.cursor
        self.table.empty = "no sweep here yet: coopdeck run starts one, coopdeck demo rehearses one"
        self.foot = Foot(keymap, "any", "sweeps")
        self.foot.leaves = "leave"
        self._rows = [_row(line, place, glyphs) for place, line in enumerate(lines)]

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.table
        yield self.foot

    def on_mount(self) -> None:
        self.head.show(
            [
                (
                    Span(" coopdeck", "title"),
                    Span(f"  {len(self._rows)} {'sweep' if len(self._rows) == 1 else 'sweeps'}", "muted"),
                )
            ]
        )
        self.table.replace(self._rows)
        self.table.focus()

    def say(self, text: str, *, ok: bool = True) -> None:
        self.foot.say(text, ok=ok)

    def action_open(self) -> None:
        if self.table.selected is not None:
            self.app.exit(self.table.selected)

    async def action_doctor(self) -> None:
        await self.run_action("app.doctor")

    def on_line_table_opened(self, message: LineTable.Opened) -> None:
        self.action_open()


def _row(line: SweepLine, place: int, glyphs: Glyphs) -> _Row:
    cells = (line.name, line.state, line.counts, line.cost, line.seen)
    shown = tuple(clean(cell, ascii_only=glyphs.ascii_only) for cell in cells)
    return _Row(line.name, place, shown, ("strong", _TONES.get(line.state, "muted"), "text", "text", "muted"))
