"""The machine and the session: limits of processes, clocks, the terminal, and what a logout ends."""

import locale
import os
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from runner.adapters.logout import logout
from runner.adapters.places import Places
from runner.checks.wanted import Wanted
from runner.model.check import Finding

FILES, FILES_A_SLOT = 64, 16
"""Open files of a runner: its own, and what each attempt takes of them."""
THREADS_A_SLOT = 80
"""Of one attempt: cooperbench's own threads and its docker programs."""
EARLIEST = 2025
DRIFT_S, WATCH_S = 0.5, 0.3
SMALLEST = (80, 24)


def check_limits(wanted: Wanted) -> list[Finding]:
    """Open files and processes, against the slots that were asked for."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    need = FILES + FILES_A_SLOT * wanted.slots
    if _finite(files) < need:
        return [Finding("limits", "fail", f"{files} open files are allowed, and {wanted.slots} slots need {need}",
                        f"raise it with 'ulimit -n {max(need, 4096)}', or use fewer slots (-c)")]  # fmt: skip
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    # The kernel holds root to no such limit.
    left = _finite(processes) - (_threads() if processes != resource.RLIM_INFINITY else 0)
    need = THREADS_A_SLOT * wanted.slots
    if os.geteuid() != 0 and left < need:
        return [Finding("limits", "fail", f"you may start {max(left, 0):.0f} more threads, "
                        f"and {wanted.slots} slots need about {need}",
                        "raise it with 'ulimit -u', or use fewer slots (-c)")]  # fmt: skip
    shown = "any number of" if processes == resource.RLIM_INFINITY else str(processes)
    return [Finding("limits", "ok", f"{files} open files and {shown} processes are allowed")]


def check_clock(
    wanted: Wanted,
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Finding]:
    """The time of day against the calendar, against what was written before, and against the steady clock."""
    remedy = "set it: timedatectl set-ntp true"
    year = datetime.fromtimestamp(now(), UTC).year
    if year < EARLIEST:
        return [Finding("clock", "fail", f"this machine believes it is {year}: no provider's certificate is valid then",
                        remedy)]  # fmt: skip
    written = _last_written(wanted)
    if written > now() + 60:
        return [Finding("clock", "warn", f"this project's files were written {(written - now()) / 60:.0f} min from now",
                        remedy)]  # fmt: skip
    wall, steady = now(), monotonic()
    sleep(WATCH_S)
    drift = abs((now() - wall) - (monotonic() - steady))
    if drift > DRIFT_S:
        return [Finding("clock", "warn", f"the time of day jumped by {drift:.1f} s while it was watched", remedy)]
    return [Finding("clock", "ok", datetime.fromtimestamp(now(), UTC).strftime("%Y-%m-%d %H:%M UTC, and it is steady"))]


def check_terminal(wanted: Wanted) -> list[Finding]:
    """What the dashboard would have to draw with."""
    size = terminal_size()
    if size is None:
        return [Finding("terminal", "skipped", "there is none here: coopdeck run prints lines without one")]
    term = wanted.caller.get("TERM", "")
    says = f"{term or 'TERM is not set'}, {size[0]}x{size[1]}"
    if term in {"", "dumb"}:
        return [Finding("terminal", "warn", f"{says}: the dashboard cannot be drawn on it",
                        "use another terminal, or --headless")]  # fmt: skip
    if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
        return [Finding("terminal", "warn", says, "make the window 80x24 or larger, or the dashboard is cut")]
    colour = "no colour (NO_COLOR)" if wanted.caller.get("NO_COLOR") else "colour"
    unicode = locale.getpreferredencoding(False).lower().replace("-", "") == "utf8"
    inside = "tmux" if wanted.caller.get("TMUX") else "screen" if wanted.caller.get("STY") else ""
    says += f", {colour}, {'Unicode' if unicode else 'ASCII alone'}" + (f", in {inside}" if inside else "")
    if not unicode:
        return [Finding("terminal", "ok", says, "for Unicode: export LANG=C.UTF-8")]
    return [Finding("terminal", "ok", says)]


def check_logout(wanted: Wanted) -> list[Finding]:
    """Whether a runner would live on when its user leaves."""
    leaving = logout(wanted.caller)
    warning = leaving.warning
    if warning is None:
        how = ": their runners start outside the session" if leaving.within else ""
        return [Finding("logout", "ok", f"sweeps go on when you log out{how}")]
    says, _, remedy = warning.rpartition("; ")
    return [Finding("logout", "warn", says, remedy)]


def terminal_size() -> tuple[int, int] | None:
    """Columns and rows of the terminal that this process belongs to, though its files may be pipes."""
    with suppress(OSError):
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            size = os.get_terminal_size(descriptor)
            return size.columns, size.lines
        finally:
            os.close(descriptor)
    return None


def _finite(limit: int) -> float:
    return float("inf") if limit == resource.RLIM_INFINITY else limit


def _threads() -> int:
    """The threads of this user's processes, which the kernel counts against the limit."""
    count = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with suppress(OSError, StopIteration, ValueError):
            if folder.stat().st_uid == os.getuid():
                lines = (folder / "status").read_text().splitlines()
                count += int(next(line.split()[1] for line in lines if line.startswith("Threads:")))
    return count


def _last_written(wanted: Wanted) -> float:
    places = Places(wanted.root)
    times = [0.0]
    with suppress(OSError):
        times += [places.ledger(sweep).stat().st_mtime for sweep in places.sweeps()]
    return max(times)
