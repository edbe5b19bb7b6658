"""A program that is run to its end while its lines are shown."""

import ctypes
import re
import select
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICK_S = 0.2
KEPT = 60
LEAVE_S = 5.0
_BLOCK = 65536
_PR_SET_PDEATHSIG = 1
_PASSWORD = re.compile(r"(?<=://)[^/@\s]+@")


class Ended(NamedTuple):
    status: int
    lines: tuple[str, ...]
    """The last ones that it wrote, on either stream."""


def follow(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    line: Callable[[str], None],
    tick: Callable[[], None],
) -> Ended:
    """Run it; `line` gets every line as it comes, passwords in addresses masked, `tick` is called while it is silent.

    There is no time limit: a download takes what it takes, and the user who waits can end it. It does not outlive us.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(
        command,
        env=dict(environ),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_us,
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    kept: deque[str] = deque(maxlen=KEPT)

    def take(raw: bytes) -> None:
        if text := _PASSWORD.sub("***@", raw.decode(errors="replace").rstrip()):
            kept.append(text)
            line(text)

    rest = b""
    try:
        while True:
            ready, _, _ = select.select([process.stdout], [], [], TICK_S)
            if not ready:
                tick()
                continue
            block = process.stdout.read1(_BLOCK)  # type: ignore[attr-defined]
            if not block:
                break
            # A progress bar returns to the line's beginning.
            *whole, rest = re.split(rb"[\r\n]", rest + block)
            for one in whole:
                take(one)
        take(rest)
        return Ended(process.wait(), tuple(kept))
    finally:
        process.stdout.close()
        _end(process)


def _die_with_us() -> None:
    # What we started for ourselves alone is of no use without us, and two at once would be in each other's way.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
