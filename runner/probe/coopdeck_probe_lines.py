"""The probe's file: one bounded JSON line at a time, and nothing that could hurt the job."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import time
from typing import Any

VERSION = 1
LONGEST_LINE = 8192
MARK = "…[cut]"
HUGE = 10**15
LOW_DESCRIPTORS = 3
MASK = "***"
SHORTEST_SECRET = 6
LONGEST_SECRET = 4096
# As in runner/model/secrets.py, which nobody can import here.
_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH(?!OR)", re.IGNORECASE)
_FOLDERS = ("PWD", "OLDPWD")


def brief(value: object, limit: int) -> str:
    """The text in a message's content without secrets, cut to so many characters and a mark."""
    if isinstance(value, list):
        # A multimodal content: bounded before it is joined.
        parts = (part.get("text") for part in value[:20] if isinstance(part, dict))
        value = "".join(part[: limit + LONGEST_SECRET] for part in parts if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    # Masked before it is cut, or half a secret would be left.
    text = value[: limit + LONGEST_SECRET]
    for secret in _secrets():
        text = text.replace(secret, MASK)
    return text if len(value) <= limit else text[:limit] + MARK


@functools.cache
def _secrets() -> tuple[str, ...]:
    """What the environment's names call secret: some providers quote the key they refuse, some agents print theirs."""
    named = (value.strip() for name, value in os.environ.items() if _SECRET_NAMES.search(name) and name not in _FOLDERS)
    return tuple(sorted((value for value in named if len(value) >= SHORTEST_SECRET), key=len, reverse=True))


def number(value: object) -> float | None:
    """A number that can be one, or None; nobody promises what an answer's usage holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Neither infinite nor NaN, nor an integer of a thousand digits.
    return value if -HUGE < value < HUGE else None


class Lines:
    """Appends lines. What goes wrong is counted here, and told once, at the end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._file: tuple[int, int] | None = None
        self._torn = False
        self.errors = 0
        self._first = ""

    # No lock: each line is one write to an O_APPEND descriptor, and a lock could be held for ever
    # by a thread that was lost in a fork or interrupted by a signal.
    def write(self, kind: str, agent: str | None, fields: dict[str, Any], at: float | None = None) -> None:
        try:
            stamp = time.time() if at is None else at
            head = {"v": VERSION, "at": round(stamp, 6), "type": kind, "agent": agent}
            self._append(_encode({**head, **fields}))
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        self.errors += 1
        if not self._first:
            self._first = type(error).__name__

    def close(self) -> None:
        if self.errors:
            self.write("probe_errors", None, {"count": self.errors, "first": self._first})

    def _append(self, line: bytes) -> None:
        if self._torn:
            # A full disk took half a line: the next one must not be glued to it.
            line = b"\n" + line
        written = os.write(self._open(), line)
        self._torn = written != len(line)
        if self._torn:
            raise OSError("short write")

    def _open(self) -> int:
        if self._descriptor is not None and self._file == _identity(self._descriptor):
            return self._descriptor
        # Never closed: if it is not our file any more, the number belongs to somebody else.
        self._descriptor = None
        # Without O_NONBLOCK a FIFO would hold the job up.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(self._path, flags, 0o600)
        if descriptor < LOW_DESCRIPTORS:
            # The job's own standard streams may be closed; it must not print into our file.
            low, descriptor = descriptor, fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LOW_DESCRIPTORS)
            os.close(low)
        self._descriptor, self._file = descriptor, _identity(descriptor)
        return descriptor


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _encode(fields: dict[str, Any]) -> bytes:
    fields = {key: _plain(value) for key, value in fields.items()}
    while True:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
        # Some readers end a line at these; JSON allows them raw. Inside strings alone do they occur.
        for mark in "\x85\u2028\u2029":
            text = text.replace(mark, f"\\u{ord(mark):04x}")
        line = text.encode("utf-8", "replace") + b"\n"
        if len(line) <= LONGEST_LINE:
            return line
        longest = max((key for key in fields if isinstance(fields[key], str)), key=lambda key: len(fields[key]))
        shorter = fields[longest].removesuffix(MARK)
        fields[longest] = shorter[: len(shorter) * 3 // 4] + MARK


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:LONGEST_LINE]
    return number(value)
