"""Whether the host has what an attempt needs to begin: some room on the disk, and some file descriptors."""

import errno
import os
from contextlib import ExitStack, suppress
from pathlib import Path

ROOM = 16 * 1024 * 1024
"""For a log, a probe's lines and transcripts: with less than this free, an attempt had better not begin."""
WRITTEN = 64 * 1024
DESCRIPTORS = 12
"""A start takes a log, a pipe and a pidfd; several may start at once, and the ledger and a client need some too."""
_PROBE = ".room"


def make_room(folder: Path) -> None:
    """Make the attempt's folder, and see that something can be written in it.

    Raises:
        OSError: the host is short of something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for _ in range(DESCRIPTORS):
            stack.enter_context(open(os.devnull, "rb"))
        _write(folder / _PROBE)


def no_room(folder: Path) -> str:
    """Why nothing can be written in the folder; empty when something can."""
    try:
        _write(folder / _PROBE)
    except OSError as error:
        return str(error) if error.errno in {errno.ENOSPC, errno.EDQUOT} else ""
    return ""


def _write(path: Path) -> None:
    system = os.statvfs(path.parent)
    if system.f_bavail * system.f_frsize < ROOM:
        raise OSError(errno.ENOSPC, f"less than {ROOM >> 20} MB are free", str(path.parent))
    try:
        with open(path, "wb", buffering=0) as file:
            # Really: a quota is not in those numbers, and some file systems find out late that they had no room.
            os.posix_fallocate(file.fileno(), 0, WRITTEN)
    finally:
        with suppress(OSError):
            path.unlink()
