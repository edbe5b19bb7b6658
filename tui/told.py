"""A reading of what is told of a try, record by record: what the steps and the talk have in common."""

from functools import lru_cache
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from styles.themes import Tone
from tui.evidence import Evidence
from tui.format import clock
from tui.glyphs import Glyphs
from tui.growing import Record, Ref
from tui.job_files import JobFiles
from tui.reading import Reading, Row
from tui.text import Span

AGENT_TONES: tuple[Tone, ...] = ("run", "soft", "warn", "title")


class Fold(Protocol):
    """What records are folded into."""

    begun: float | None
    more: int
    """Entries beyond the limit."""

    def __len__(self) -> int: ...

    def take(self, ref: Ref, record: Record) -> bool:
        """Whether the entries are different now."""

    def sort(self) -> None:
        """Records of several files come one file after the other."""


F = TypeVar("F", bound=Fold)


class ToldReading(Reading, Generic[F]):
    """Folds the evidence's records as they come, and anew when their source is another one."""

    def __init__(self, files: JobFiles, glyphs: Glyphs, *, talk: bool, kept: int) -> None:
        super().__init__(files, glyphs)
        self._evidence = Evidence(files, talk=talk)
        self._fold = self._fresh()
        self._sorted = False
        self._read = lru_cache(maxsize=kept)(self._evidence.read)

    def _fresh(self) -> F:
        """A fold of nothing."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        return len(self._fold) + bool(self._fold.more)

    @property
    def complete(self) -> bool:
        return self._evidence.complete

    @property
    def done(self) -> float:
        return self._evidence.done

    def path(self, entry: int) -> Path | None:
        return self._evidence.path

    def close(self) -> None:
        self._evidence.close()

    def advance(self) -> bool:
        self._evidence.files = self.files
        news = self._evidence.advance()
        changed = news.anew
        if news.anew:
            self._fold, self._sorted = self._fresh(), False
            self._read.cache_clear()
        for ref, record in news.records:
            changed = self._fold.take(ref, record) or changed
        if not self._evidence.sorted and self.complete and not self._sorted:
            self._sorted = changed = True
            self._fold.sort()
        return changed

    def _since(self, at: float) -> Span:
        """When it was, counted from the first record, in nine cells."""
        return Span(f" {clock(max(0.0, at - (self._fold.begun or at)) * self._evidence.speed):>7} ", "muted")

    def _beyond(self) -> list[Row]:
        return [Row((Span(f" and {self._fold.more} more: they are in {self.said(str(self.path(0)))}", "warn"),))]
