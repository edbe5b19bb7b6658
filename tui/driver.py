"""Textual's Linux driver, with a count of what the terminal has not taken yet.

Textual hands its output to a thread through a queue of 30 entries and blocks the event loop when that is full. A
ticking screen asks `backlog` first, and lets a slow link catch up instead of filling the queue.
"""

from io import TextIOWrapper
from typing import IO, cast

from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver


class _Metered:
    """The terminal, counting the characters that were flushed to it."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._written = 0
        self.flushed = 0

    def write(self, text: str) -> int:
        count = self._file.write(text)
        self._written += len(text)
        return count

    def flush(self) -> None:
        self._file.flush()
        self.flushed = self._written

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()


class MeteredDriver(LinuxDriver):
    """Knows how much output is under way."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        # Of its file Textual calls nothing but what is metered here.
        self._meter = _Metered(cast("IO[str]", self._file))
        self._file = cast("TextIOWrapper", self._meter)
        self._sent = 0

    def write(self, data: str) -> None:
        self._sent += len(data)
        super().write(data)

    @property
    def backlog(self) -> int:
        """Characters that the terminal has not taken."""
        return self._sent - self._meter.flushed


def backlog(driver: Driver | None) -> int:
    """What a driver has under way; 0 for one that does not count, such as a test's."""
    return driver.backlog if isinstance(driver, MeteredDriver) else 0
