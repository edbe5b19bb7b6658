"""An attempt whose files bring the runner down is read twice, and never a third time."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from runner.model.outcome import Outcome

MARK = "reading"
LIMIT = 2


def read_guarded(folder: Path, read: Callable[[], Outcome]) -> Outcome:
    """`read()`, with a mark on disk while it is under way: a mark that is there already is a runner that died in it.

    The mark counts; without it a result that exhausts the memory would be read, and kill, at every start.
    """
    mark = folder / MARK
    deaths = _deaths(mark)
    if deaths >= LIMIT:
        says = f"the runner died {deaths} times while it read what this attempt left; its files are in {folder}"
        return Outcome("quarantine", "", says, None)
    with suppress(OSError):
        mark.write_text(str(deaths + 1))
    try:
        outcome = read()
    except OSError:
        # Nobody died: the host is short of something, and the read will be tried again.
        _unmark(mark)
        raise
    _unmark(mark)
    return outcome


def _unmark(mark: Path) -> None:
    with suppress(OSError):
        mark.unlink()


def _deaths(mark: Path) -> int:
    try:
        return int(mark.read_text())
    except (OSError, ValueError):
        return 0
