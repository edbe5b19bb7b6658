"""Lines of toned text, fitted to a width in cells. No markup: a tone is a name beside the text, never in it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from styles.themes import Tone


class Span(NamedTuple):
    text: str
    tone: Tone = "text"


Line = tuple[Span, ...]


def width_of(line: Iterable[Span]) -> int:
    return sum(cell_len(span.text) for span in line)


def fit(text: str, width: int, *, right: bool = False, more: str = "…") -> str:
    """The text in exactly `width` cells, its end replaced by a mark where it is too long."""
    if text.isascii():
        length = len(text)
        if length <= width:
            return text.rjust(width) if right else text.ljust(width)
        return text[: width - len(more)] + more if width > len(more) else text[:width]
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - len(more)) + more if width > len(more) else set_cell_size(text, width)
    return " " * (width - length) + text if right else text + " " * (width - length)


def fit_middle(text: str, width: int, *, right: bool = False, more: str = "…") -> str:
    """Like `fit`, but a text that is too long keeps its end, where a pair says its task and features."""
    slash = text.rfind("/")
    if slash > 0 and cell_len(text) > width > len(text) - slash + len(more):
        text = set_cell_size(text[:slash], width - cell_len(text[slash:]) - len(more)) + more + text[slash:]
    return fit(text, width, right=right, more=more)


def spread(left: Line, right: Line, width: int, *, more: str = "…") -> Line:
    """One line with a part at each end; the right one stays whole."""
    room = max(0, width - width_of(right))
    left = clip(left, max(0, room - 1), more=more)
    return (*left, Span(" " * (room - width_of(left))), *right)


def clip(line: Line, width: int, *, more: str = "…") -> Line:
    """The line in at most `width` cells."""
    kept: list[Span] = []
    for span in line:
        length = cell_len(span.text)
        if length <= width:
            kept.append(span)
            width -= length
            continue
        if width > 0:
            kept.append(Span(fit(span.text, width, more=more), span.tone))
        break
    return tuple(kept)


def join(parts: Iterable[Line], gap: str = "  ") -> Line:
    """Parts one after the other; empty ones leave no gap."""
    spans: list[Span] = []
    for part in parts:
        if not part:
            continue
        if spans:
            spans.append(Span(gap))
        spans.extend(part)
    return tuple(spans)


def strip_of(line: Line, width: int, styles: Mapping[Tone, Style], base: Style) -> Strip:
    segments = [Segment(span.text, base + styles[span.tone]) for span in line if span.text]
    return Strip(segments).adjust_cell_length(width, base)
