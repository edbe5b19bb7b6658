"""A log file seen through a window: bounded reads, a sparse index of lines, and no text kept.

An entry of the index is (line number, byte offset) of a line's start, at least `STRIDE` bytes apart; so an index of a
1 GB file is 1 MB, and any line's start is found within one `STRIDE` of an entry, however long the lines are.
"""

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STRIDE = 16 * 1024
SHOWN = 4096
CHUNK = 2 * 1024 * 1024
_HEAD = 256


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line as far as it is shown; `cut` says that it goes on."""

    number: int
    text: str
    cut: bool


class LogFile:
    """Follows one file by offsets. The file may not exist yet, grow, shrink or be replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.indexed = 0
        """Bytes that the index covers."""
        self._fd = -1
        self._inode = 0
        self._head = b""
        self._numbers = array("Q", [0])
        self._offsets = array("Q", [0])
        self._newlines = 0
        self._ended = 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def exists(self) -> bool:
        return self._fd >= 0

    @property
    def complete(self) -> bool:
        """The index has caught up with the file."""
        return self.indexed >= self.size

    @property
    def lines(self) -> int:
        """Lines that the index knows, an unended last one included."""
        return self._newlines + (self.indexed > self._ended)

    @property
    def index_bytes(self) -> int:
        return (len(self._numbers) + len(self._offsets)) * self._offsets.itemsize

    def advance(self, most: int = CHUNK) -> bool:
        """Look at the file again and index at most `most` bytes more; says whether anything changed."""
        before = (self._fd, self._inode, self.size, self.indexed)
        self._look()
        end = min(self.size, self.indexed + most)
        while self.indexed < end:
            chunk = self._read(self.indexed, min(end - self.indexed, 256 * 1024))
            if not chunk:
                break
            self._index(chunk)
        return before != (self._fd, self._inode, self.size, self.indexed)

    def window(self, first: int, count: int) -> list[LogLine]:
        """Up to `count` lines from line `first` on (from 0), as far as the index goes."""
        shown: list[LogLine] = []
        number = max(0, first)
        while len(shown) < count and number < self.lines:
            start, end = self.offset(number), self.offset(number + 1)
            shown.append(self._line(number, start, end))
            number += 1
            # Lines of ordinary length come from one read of the whole stretch, not from two each.
            if end - start < STRIDE and len(shown) < count:
                number = self._stretch(number, end, count, shown)
        return shown

    def tail(self, count: int, most: int = 64 * 1024) -> list[LogLine]:
        """The last lines without the index, so that the end of a big file is there at once; numbers are -1."""
        start = max(0, self.size - most)
        data = self._read(start, self.size - start)
        parts = data.split(b"\n")
        if parts and not parts[-1]:
            parts.pop()
        if start and len(parts) > 1:
            parts = parts[1:]
        return [_shown(-1, part[:SHOWN], len(part) > SHOWN) for part in parts[-count:]]

    def offset(self, number: int) -> int:
        """Where a line starts; the end of what is indexed for a line beyond it."""
        if number > self._newlines:
            return self.indexed
        entry = bisect_right(self._numbers, number) - 1
        at, missing = self._offsets[entry], number - self._numbers[entry]
        while missing:
            data = self._read(at, STRIDE)
            if not data:
                return self.indexed
            found = -1
            while missing and (next_ := data.find(b"\n", found + 1)) >= 0:
                found = next_
                missing -= 1
            at += len(data) if missing else found + 1
        return at

    def number_at(self, offset: int) -> int:
        """The line that a byte belongs to."""
        entry = bisect_right(self._offsets, offset) - 1
        start, number = self._offsets[entry], self._numbers[entry]
        while start < offset:
            data = self._read(start, min(offset - start, STRIDE))
            if not data:
                break
            number += data.count(b"\n")
            start += len(data)
        return number

    def search(self, needle: str, start: int, *, back: bool = False) -> Iterator[int | None]:
        """Look for a text, case ignored, from line `start` on or back from the line before it.

        Yields None after every chunk without a hit, so that the caller may draw and stop, and line numbers of hits.
        """
        wanted = needle.encode("utf-8", "replace").lower()
        if not wanted:
            return
        edge = self.offset(min(start, self.lines))
        overlap = len(wanted) - 1
        if back:
            while edge > 0:
                low = max(0, edge - CHUNK)
                data = self._read(low, edge - low + (overlap if edge < self.indexed else 0)).lower()
                found = data.rfind(wanted)
                # A hit that begins at the edge or after it belongs to the part looked at before.
                while found >= 0 and low + found >= edge:
                    found = data.rfind(wanted, 0, found + overlap)
                if found < 0:
                    edge = low
                    yield None
                    continue
                number = self.number_at(low + found)
                edge = self.offset(number)
                yield number
            return
        while edge < self.indexed:
            data = self._read(edge, min(CHUNK, self.indexed - edge)).lower()
            found = data.find(wanted)
            if found < 0:
                edge += max(len(data) - overlap, 1)
                yield None
                continue
            number = self.number_at(edge + found)
            edge = self.offset(number + 1)
            yield number

    def _stretch(self, number: int, start: int, count: int, shown: list[LogLine]) -> int:
        """Lines that lie whole in one read from `start`; returns the number of the first that does not."""
        data = self._read(start, min(STRIDE * 4, self.indexed - start))
        at = 0
        while len(shown) < count and (end := data.find(b"\n", at)) >= 0:
            shown.append(_shown(number, data[at : min(end, at + SHOWN)], end - at > SHOWN))
            number += 1
            at = end + 1
        return number

    def _line(self, number: int, start: int, end: int) -> LogLine:
        data = self._read(start, min(SHOWN, end - start))
        return _shown(number, data.removesuffix(b"\n"), end - start > SHOWN + 1)

    def _index(self, chunk: bytes) -> None:
        at, base = 0, self.indexed
        while at < len(chunk):
            # The first line start that is a stride away from the last entry becomes the next one.
            due = max(at, self._offsets[-1] + STRIDE - base - 1)
            end = chunk.find(b"\n", due) if due < len(chunk) else -1
            if end < 0:
                self._newlines += chunk.count(b"\n", at)
                break
            self._newlines += chunk.count(b"\n", at, end + 1)
            self._numbers.append(self._newlines)
            self._offsets.append(base + end + 1)
            at = end + 1
        last = chunk.rfind(b"\n")
        if last >= 0:
            self._ended = base + last + 1
        self.indexed = base + len(chunk)

    def _look(self) -> None:
        """Open the file, or open it again when it is another one or shorter than it was."""
        try:
            there = self.path.stat()
        except OSError:
            if self._fd >= 0:
                self.close()
                self._reset()
            return
        if self._fd >= 0 and (there.st_ino != self._inode or there.st_size < self.indexed or self._rewritten(there)):
            self.close()
            self._reset()
        if self._fd < 0:
            try:
                # A pipe or a device in a log's place would block or never end.
                self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return
            self._inode = there.st_ino
        self.size = there.st_size
        if len(self._head) < _HEAD:
            self._head = self._read(0, min(_HEAD, self.size))

    def _rewritten(self, there: os.stat_result) -> bool:
        """The same file with other contents: shortened and grown again between two looks."""
        return there.st_size != self.size and self._read(0, len(self._head)) != self._head

    def _reset(self) -> None:
        self.size = self.indexed = self._newlines = self._ended = 0
        self._head = b""
        self._numbers = array("Q", [0])
        self._offsets = array("Q", [0])

    def _read(self, start: int, length: int) -> bytes:
        if self._fd < 0 or length <= 0:
            return b""
        with suppress(OSError):
            return os.pread(self._fd, length, start)
        return b""


def _shown(number: int, data: bytes, cut: bool) -> LogLine:
    return LogLine(number, data.removesuffix(b"\r").decode("utf-8", "replace"), cut)
