"""What a pane of entries shows: some rows per entry, made when they come into view."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len

from styles.themes import Tone
from tui.glyphs import Glyphs
from tui.job_files import JobFiles
from tui.sanitise import clean
from tui.text import Line, Span

LONGEST = 4096
"""Characters of one row of text, before it is folded."""


class Row(NamedTuple):
    """A line of an entry, however long."""

    line: Line
    indent: int = 0
    """Where it goes on, if it does not fit."""
    whole: bool = True
    """False: what does not fit is left out."""


class Reading:
    """Some entries of a job, read bit by bit; knows no widget."""

    foldable = False
    """Entries have more to show when they are unfolded."""

    def __init__(self, files: JobFiles, glyphs: Glyphs) -> None:
        self.files = files
        self.glyphs = glyphs

    @property
    def count(self) -> int:
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        return True

    @property
    def done(self) -> float:
        """The part that was read, while it is not complete."""
        return 1.0

    @property
    def live(self) -> bool:
        """More may come: its end is what is looked at."""
        return not self.files.ended

    @property
    def says(self) -> str:
        """What stands in an empty pane."""
        return self.files.says

    def path(self, entry: int) -> Path | None:
        """The file that an entry is from."""
        raise NotImplementedError

    def advance(self) -> bool:
        """A few milliseconds of reading; says whether there is anything new to see."""
        raise NotImplementedError

    def rows(self, entry: int, *, unfolded: bool) -> list[Row]:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more is read."""

    def text(self, entry: int) -> str:
        """What the search looks in."""
        return "\n".join("".join(span.text for span in row.line) for row in self.rows(entry, unfolded=True))

    def said(self, text: str) -> str:
        """One line of somebody else's text, inert."""
        return clean(text[:LONGEST], ascii_only=self.glyphs.ascii_only)


def block(reading: Reading, text: str, indent: int, tone: Tone, most: int, first: Line = ()) -> list[Row]:
    """A text of several lines, each a row; at most `most` of them, and a word about the others."""
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    before: Line = first or (Span(" " * indent),)
    rows = []
    for line in lines[:most]:
        cut = (Span(f" {reading.glyphs.more}[cut]", "warn"),) if len(line) > LONGEST else ()
        rows.append(Row((*before, Span(reading.said(line), tone), *cut), indent))
        before = (Span(" " * indent),)
    if len(lines) > most:
        rows.append(Row((*before, Span(f"{reading.glyphs.more} {len(lines) - most} more lines", "muted")), indent))
    return rows


def folded(row: Row, width: int) -> list[Line]:
    """A row as the lines it takes, broken between words where that costs little."""
    text = "".join(span.text for span in row.line)
    indent = min(row.indent, width // 2) if width > 7 else 0
    cuts = _cuts(text, max(1, width), indent)
    if len(cuts) < 2:
        return [row.line]
    pad = (Span(" " * indent),) if indent else ()
    lines: list[Line] = []
    for number, (start, end) in enumerate(cuts):
        piece = _slice(row.line, start, end)
        lines.append((*pad, *piece) if number else piece)
    return lines


@lru_cache(maxsize=512)
def _cuts(text: str, width: int, indent: int) -> tuple[tuple[int, int], ...]:
    """From and to, in characters, of the pieces that fit."""
    cuts: list[tuple[int, int]] = []
    start, room = 0, width
    while start < len(text):
        end, used, space = start, 0, -1
        while end < len(text):
            size = 1 if text[end] < "\x7f" else cell_len(text[end])
            if used + size > room:
                break
            if text[end] == " ":
                space = end
            used += size
            end += 1
        end = max(end, start + 1)
        if end >= len(text):
            cuts.append((start, end))
            break
        if text[end] != " " and space > start + room // 2:
            end = space
        cuts.append((start, end))
        start = end
        while start < len(text) and text[start] == " ":
            start += 1
        room = max(1, width - indent)
    return tuple(cuts)


def _slice(line: Line, start: int, end: int) -> Line:
    spans: list[Span] = []
    at = 0
    for span in line:
        low, high = max(start - at, 0), min(end - at, len(span.text))
        if low < high:
            spans.append(Span(span.text[low:high], span.tone))
        at += len(span.text)
    return tuple(spans)
