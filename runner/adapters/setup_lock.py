"""One `coopdeck setup` at a time in a project."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.adapters.places import Places


@contextmanager
def setup_lock(root: Path, waits: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; where another process has it, tell `waits` who that is, once, and wait for its end.

    There is no time limit, for the other may be downloading; the user who waits can end it.
    """
    folder = Places(root).state
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "setup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            waits(f"pid {pid}" if pid.isdigit() else "another process")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
