"""Looking for a text in a log, a chunk at a time and once around; and marking it in the lines in view."""

from collections.abc import Iterator

from rich.segment import Segment
from rich.style import Style

from tui.log_file import LogFile
from tui.sanitise import Run

NOWHERE = -1


class LogSearch:
    """One search: what for, where it was found last, and how far the one under way is."""

    def __init__(self, needle: str = "") -> None:
        self.needle = needle
        self.hit: int | None = None
        self._steps: Iterator[int | None] | None = None
        self._back = False
        self._around = False

    @property
    def under_way(self) -> bool:
        return self._steps is not None

    def begin(self, file: LogFile, top: int, *, back: bool) -> None:
        """From the last hit on, else from the first line in view."""
        start = top if self.hit is None else self.hit + (0 if back else 1)
        self._back, self._around = back, False
        self._steps = file.search(self.needle, start, back=back)

    def step(self, file: LogFile) -> int | None:
        """One chunk more: a line, None for not yet, or `NOWHERE`."""
        if self._steps is None:
            return NOWHERE
        found = next(self._steps, NOWHERE)
        if found is None:
            return None
        if found >= 0:
            self._steps, self.hit = None, found
            return found
        if self._around:
            self._steps = None
            return NOWHERE
        self._around = True
        self._steps = file.search(self.needle, file.lines if self._back else 0, back=self._back)
        return None


def marked(runs: list[Run], needle: str, base: Style, match: Style) -> list[Segment]:
    """Segments of the runs, with every place of the needle marked."""
    if not needle:
        return [Segment(run.text, base + run.style) for run in runs]
    text = "".join(run.text for run in runs).lower()
    wanted = needle.lower()
    segments: list[Segment] = []
    at = 0
    hit = text.find(wanted)
    for run in runs:
        end = at + len(run.text)
        start = at
        while start < end:
            while hit >= 0 and hit + len(wanted) <= start:
                hit = text.find(wanted, hit + len(wanted))
            if hit < 0 or hit >= end:
                stop, style = end, base + run.style
            elif hit > start:
                stop, style = hit, base + run.style
            else:
                stop, style = min(end, hit + len(wanted)), base + run.style + match
            segments.append(Segment(run.text[start - at : stop - at], style))
            start = stop
        at = end
    return segments
