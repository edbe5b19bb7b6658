"""A few lines of toned text that repaint only what changed in them."""

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from styles.themes import tone_styles
from tui.text import Line, Span, strip_of, width_of


class Lines(Widget):
    """As high as it has lines."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: tuple[Line, ...] = ()

    def show(self, lines: Sequence[Line]) -> None:
        """Draw these lines; a different number of them is a new layout."""
        old, self.lines = self.lines, tuple(lines)
        if len(old) != len(self.lines):
            self.refresh(layout=True)
            return
        regions = [
            Region(start, y, end - start, 1)
            for y, (before, after) in enumerate(zip(old, self.lines, strict=True))
            if before != after
            for start, end in (changed(before, after, self.size.width),)
        ]
        if regions:
            self.refresh(*regions)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self.lines)

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        if y >= len(self.lines):
            return Strip.blank(self.size.width, base)
        return strip_of(self.lines[y], self.size.width, tone_styles(self.app.theme), base)


def changed(before: Sequence[Span], after: Sequence[Span], width: int) -> tuple[int, int]:
    """The cells, from and to, in which two lines differ; whole spans at each end that are alike are left out."""
    start = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        start += 1
    left = width_of(after[:start])
    if width_of(before) != width_of(after):
        return min(left, width), width
    end = 0
    for old, new in zip(reversed(before[start:]), reversed(after[start:]), strict=False):
        if old != new:
            break
        end += 1
    right = width_of(after) - (width_of(after[-end:]) if end else 0)
    return (left, min(right, width)) if left < min(right, width) else (0, width)
