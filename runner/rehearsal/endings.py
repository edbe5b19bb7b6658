"""The ways a process can end, or make a noise, without being asked to."""

from __future__ import annotations

import os
import signal
import sys
import time

from runner.rehearsal.console import say
from runner.rehearsal.errors import TRACEBACKS
from runner.rehearsal.faults import Fault

DEATHS = frozenset({"crash", "git-server", "hang", "ignore-sigterm", "kill", "oom"})
NOISES = frozenset({"binary", "flood", "fork-away", "long-line"})
MEGABYTE = 1 << 20
FLOOD_LINE = "E   AssertionError: assert apply(value) == expected, in tests/test_core.py line 17 of the flood\n"
ODD_BYTES = (
    b"nul \x00\x00 byte\n"
    b"invalid utf-8 \xff\xfe\xc3\x28\xed\xa0\x80\n"
    b"colour \x1b[1;31mred\x1b[0m and \x1b[?25l\x1b[2J\x1b[H a cleared screen\n"
    b"title \x1b]0;taken over\x07 clipboard \x1b]52;c;cm0gLXJmIC8=\x07 link \x1b]8;;http://x/\x1b\\y\x1b]8;;\x1b\\\n"
    b"device \x1bP1$r\x1b\\ c1 \xc2\x9b31m \xc2\x85 markup [bold red]not markup[/] [/]\n"
    b"back\x08\x08\x08\rspace \xe2\x80\xae right to left \xe2\x80\xac\n"
)


def traceback(name: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(TRACEBACKS[name])
    sys.stderr.flush()
    return 1


def die(fault: Fault) -> int:
    """Returns an exit status, or does not return at all."""
    if fault.name == "oom":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.name == "kill":
        _no_core()
        number = signal.Signals[fault.word("signal", "SIGSEGV")]
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
    if fault.name == "ignore-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if fault.name in ("hang", "ignore-sigterm"):
        while True:
            signal.pause()
    return traceback(fault.name)


def _no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def make_noise(fault: Fault) -> None:
    sys.stdout.flush()
    if fault.name == "flood":
        _pour(FLOOD_LINE, fault.number("mb", 50))
    elif fault.name == "long-line":
        _pour("long-line-without-an-end ", fault.number("mb", 10))
        say()
    elif fault.name == "binary":
        sys.stdout.buffer.write(ODD_BYTES)
        sys.stdout.buffer.flush()
    elif fault.name == "fork-away":
        say(f"  left a process behind: {_leave_behind(fault.number('seconds', 60))}")


def _pour(text: str, megabytes: float) -> None:
    chunk = (text * (MEGABYTE // len(text) + 1)).encode()
    left = int(megabytes * MEGABYTE)
    while left > 0:
        # The last piece ends where a line does, so that the next message starts its own.
        left -= sys.stdout.buffer.write(chunk if left > len(chunk) else text.encode() * (left // len(text) + 1))
    sys.stdout.buffer.flush()


def _leave_behind(seconds: float) -> int:
    """A grandchild in a session of its own, with no file of ours open; returns its pid."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        grandchild = os.fork()
        if grandchild:
            os.write(writer, str(grandchild).encode())
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.close(reader)
        os.close(writer)
        time.sleep(seconds)
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    pid = int(os.read(reader, 32))
    os.close(reader)
    return pid
