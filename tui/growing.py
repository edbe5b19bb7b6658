"""A file that another process writes: looked at again and again, read by offsets, never as a whole."""

import json
import math
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

AT_ONCE = 128 * 1024
"""Bytes that one look reads: some milliseconds of work."""
LINE_LIMIT = 64 * 1024
"""The probe's longest line is 8 KB; a longer one than this is not the probe's and is passed over."""

_HEAD = 256
_HUGE = 1e15

Record = dict[str, Any]


class Ref(NamedTuple):
    """Where something stands: which file of several, from which byte, how many."""

    file: int
    offset: int
    length: int


class GrowingFile:
    """The file may not exist yet, grow, shrink or be replaced by another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.generation = 0
        """Counts how often the file turned out to be another one: what was read before is void."""
        self._fd = -1
        self._inode = (0, 0)
        self._head = b""

    @property
    def exists(self) -> bool:
        return self._fd >= 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def look(self) -> None:
        """See how large it is now."""
        try:
            there = self.path.stat()
        except OSError:
            self._forget()
            return
        if not stat.S_ISREG(there.st_mode):
            self._forget()
            return
        if self._fd >= 0 and self._another(there):
            self._forget()
        if self._fd < 0:
            try:
                # A pipe or a device in the file's place would block or never end.
                self._fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return
            self._inode = (there.st_dev, there.st_ino)
        self.size = there.st_size
        if len(self._head) < _HEAD:
            self._head = self.read(0, min(_HEAD, self.size))

    def read(self, start: int, length: int) -> bytes:
        if self._fd < 0 or length <= 0:
            return b""
        with suppress(OSError):
            return os.pread(self._fd, length, start)
        return b""

    def _another(self, there: os.stat_result) -> bool:
        if self._inode != (there.st_dev, there.st_ino) or there.st_size < self.size:
            return True
        # Shortened and grown again between two looks.
        return there.st_size != self.size and self.read(0, len(self._head)) != self._head

    def _forget(self) -> None:
        if self._fd >= 0 or self.size:
            self.generation += 1
        self.close()
        self.size, self._head = 0, b""


class JsonLines:
    """The records of a file with a JSON object a line. What is no such line is passed over, never an error."""

    def __init__(self, path: Path) -> None:
        self.file = GrowingFile(path)
        self._generation = 0
        self._at = 0
        self._start = 0
        """Where the line begins that has not ended yet."""
        self._rest = b""
        self._skipping = False

    @property
    def complete(self) -> bool:
        return self._at >= self.file.size

    @property
    def done(self) -> float:
        """The part that was read, from 0 to 1."""
        return self._at / self.file.size if self.file.size else 1.0

    def close(self) -> None:
        self.file.close()

    def advance(self, most: int = AT_ONCE) -> list[tuple[Ref, Record]]:
        """The records in the next `most` bytes. After a change of `file.generation` they are from its beginning."""
        self.file.look()
        if self._generation != self.file.generation:
            self._generation = self.file.generation
            self._at = self._start = 0
            self._rest, self._skipping = b"", False
        data = self.file.read(self._at, min(most, self.file.size - self._at))
        self._at += len(data)
        found: list[tuple[Ref, Record]] = []
        *ended, rest = data.split(b"\n") if data else [b""]
        for part in ended:
            line = self._rest + part
            if not self._skipping and (record := parsed(line)) is not None:
                found.append((Ref(0, self._start, len(line)), record))
            self._start += len(line) + 1
            self._rest, self._skipping = b"", False
        if self._skipping or len(self._rest) + len(rest) > LINE_LIMIT:
            self._start += len(self._rest) + len(rest)
            self._rest, self._skipping = b"", True
        else:
            self._rest += rest
        return found

    def read(self, ref: Ref) -> list[Record]:
        """A record once more."""
        record = parsed(self.file.read(ref.offset, min(ref.length, LINE_LIMIT)))
        return [record] if record is not None else []


def parsed(line: bytes) -> Record | None:
    """The JSON object in a line; None where there is none."""
    if not line.startswith(b"{"):
        return None
    try:
        value = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def number(value: object) -> float | None:
    """A number that can be counted with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_HUGE < value < _HUGE and math.isfinite(value) else None


def words(value: object, most: int = 8192) -> str:
    """A text of bounded length; nothing else counts as one."""
    return value[:most] if isinstance(value, str) else ""
