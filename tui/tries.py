"""Every attempt of a job, as entries of a pane."""

from pathlib import Path

from runner.model.rows import JobRow
from tui.job_files import JobFiles
from tui.reading import Reading, Row
from tui.rows import Eyes, tries_lines
from tui.text import Line

INDENT = 9
_UNFOLDED = 4096


class TriesReading(Reading):
    """Made from the row alone; `show` tells of another one."""

    def __init__(self, files: JobFiles, eyes: Eyes) -> None:
        super().__init__(files, eyes.glyphs)
        self._lines: tuple[Line, ...] = ()
        self._changed = False

    def show(self, row: JobRow, eyes: Eyes) -> None:
        lines = tries_lines(row, eyes, _UNFOLDED)
        self._changed = self._changed or lines != self._lines
        self._lines = lines

    @property
    def count(self) -> int:
        return len(self._lines)

    @property
    def live(self) -> bool:
        return False

    def path(self, entry: int) -> Path | None:
        return self.files.attempt or self.files.results

    def advance(self) -> bool:
        changed, self._changed = self._changed, False
        return changed

    def rows(self, entry: int, *, unfolded: bool) -> list[Row]:
        return [Row(self._lines[entry], INDENT)]
