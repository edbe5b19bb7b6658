"""Whether the host has what an attempt needs to begin: some room on the disk, and some file descriptors."""

import errno
import os
from contextlib import ExitStack, suppress
from pathlib import Path

ROOM = 256 * 1024
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
    try:
        with open(path, "wb", buffering=0) as file:
            # Real room: some file systems take bytes and find out later that they had none.
            os.posix_fallocate(file.fileno(), 0, ROOM)
    finally:
        with suppress(OSError):
            path.unlink()
