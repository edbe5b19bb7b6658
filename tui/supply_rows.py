"""Pure presentation of what jobs need: a row for each image, and the lines above them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap

from runner.model.board import Board
from runner.model.ids import OWNERS
from runner.model.sizes import size
from runner.model.supplies import Supply, SupplyKey, SupplyState, needed, waiting
from styles.themes import Tone
from tui.format import bar
from tui.glyphs import Glyphs
from tui.sanitise import clean
from tui.text import Line, Span, join

BAR = 10
_ORDER: dict[SupplyState, int] = {"failed": 0, "down": 1, "getting": 2, "unknown": 3, "there": 4}
_TONES: dict[SupplyState, Tone] = {
    "failed": "error", "down": "warn", "getting": "run", "unknown": "faint", "there": "ok",
}  # fmt: skip
_WORDS: dict[SupplyState, str] = {"there": "here", "getting": "on its way", "unknown": "not looked at yet"}


@dataclass(frozen=True, slots=True)
class SupplyRow:
    """A row of the images table."""

    key: str
    place: tuple[int, str]
    """What needs a look first, then by name."""
    cells: tuple[str, ...]
    tones: tuple[Tone, ...]


def jobs_by_supply(board: Board) -> Mapping[SupplyKey, int]:
    """How many jobs of the plan need each; looks at every job."""
    if board.plan is None:
        return {}
    return Counter(key for row in board.jobs.values() for key in needed(board.plan, row.spec))


def supply_rows(board: Board, jobs: Mapping[SupplyKey, int], glyphs: Glyphs) -> list[SupplyRow]:
    """One for each thing that jobs need."""
    return [_row(supply, jobs.get(supply.key, 0), glyphs) for supply in board.supplies.values()]


def row_key(supply: Supply) -> str:
    return ":".join(supply.key)


def _row(supply: Supply, jobs: int, glyphs: Glyphs) -> SupplyRow:
    state, percent = supply.state, supply.percent
    tone = _TONES[state]
    drawn = "".join(span.text for span in bar([(percent or 0, glyphs.done, tone)], 100, BAR, glyphs))
    moving = state == "getting" and percent is not None
    says = clean(supply.says, ascii_only=glyphs.ascii_only) or _WORDS.get(state, state)
    cells = (
        clean(_name(supply), ascii_only=glyphs.ascii_only),
        drawn if moving else "",
        f"{percent}%" if moving else "",
        size(supply.total_bytes) if supply.total_bytes else "",
        str(jobs),
        says,
    )
    tones: tuple[Tone, ...] = ("text", tone, tone, "muted", "muted", tone)
    return SupplyRow(row_key(supply), (_ORDER[state], supply.name), cells, tones)


def detail_lines(supply: Supply, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """All that is known of one, in two lines below its name."""
    says = clean(supply.says, ascii_only=glyphs.ascii_only) or _WORDS.get(supply.state, supply.state)
    folded = wrap(says, max(20, width - 2), max_lines=2, placeholder=glyphs.more)
    name = clean(supply.name or supply.label, ascii_only=glyphs.ascii_only)
    lines = [(Span(f" {line}", _TONES[supply.state]),) for line in folded]
    return ((Span(f" {name}", "strong"),), *lines, *([()] * (2 - len(lines))))


def _name(supply: Supply) -> str:
    """As a pair is called in the pairs table: without the owner of the repo."""
    name = supply.label.removeprefix("image ")
    for owner in OWNERS:
        name = name.removeprefix(owner.replace("_", "-"))
    return name


def supplies_line(board: Board) -> Line:
    """How many of each state, and how many jobs wait for them."""
    counts = Counter(supply.state for supply in board.supplies.values() if supply.kind == "image")
    waits = sum(number for _, number in waiting(board))
    words: list[tuple[SupplyState, str]] = [
        ("failed", "failed"), ("down", "held up"), ("getting", "on their way"), ("unknown", "not looked at"),
        ("there", "here"),
    ]  # fmt: skip
    parts: list[Line] = [(Span(f"{counts[state]} {word}", _TONES[state]),) for state, word in words if counts[state]]
    if waits:
        parts.append((Span(f"{waits} {'job waits' if waits == 1 else 'jobs wait'}", "warn"),))
    total: Line = (Span(f" {sum(counts.values())} images", "strong"),)
    return join([total, *parts], "   ")
