"""What brings the runner down is done twice for a job, and never a third time."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TypeVar

from runner.engine.ports import Quarantined

LIMIT = 2
Done = TypeVar("Done")

_SUSPECTS = threading.Lock()
"""One at a time: of several that were under way when a runner died, only the one that kills again is guilty."""


def guarded(mark: Path, says: str, act: Callable[[], Done]) -> Done:
    """`act()`, with a mark on disk while it is under way: one that is there already is a runner that died in it.

    The mark counts; without it a result that exhausts the memory would be read, and kill, at every start.

    Args:
        says: what is being done, for `the runner died twice while it ...`.

    Raises:
        Quarantined: two runners have died of it; `act` was not called.
        OSError: of `act`; nobody died.
    """
    turn: AbstractContextManager[object] = _SUSPECTS if _deaths(mark) else nullcontext()
    with turn:
        deaths = _deaths(mark)
        if deaths >= LIMIT:
            raise Quarantined(f"the runner died {deaths} times while it {says}")
        with suppress(OSError):
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(str(deaths + 1))
        try:
            done = act()
        except OSError:
            # Nobody died: the host is short of something, and it will be tried again.
            forget(mark)
            raise
        forget(mark)
        return done


def forget(mark: Path) -> None:
    """Nobody has died of it."""
    with suppress(OSError):
        mark.unlink()


def _deaths(mark: Path) -> int:
    try:
        return int(mark.read_text())
    except (OSError, ValueError):
        return 0
