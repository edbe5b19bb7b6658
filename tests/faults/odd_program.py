"""A `cooperbench` that misbehaves in a way the rehearsal's double cannot, and then does the double's work.

`python -P -m tests.faults.odd_program ODDITY ...cooperbench's arguments`
"""

import os
import signal
import sys
import time

from runner.rehearsal.cli import main

GIGABYTE = 1 << 30


def sparse() -> None:
    """10 GB of log that take no room on the disk."""
    os.ftruncate(1, 10 * GIGABYTE)


def long_line() -> None:
    os.ftruncate(1, 100 << 20)
    os.write(1, b"\xff\xfe the end of a very long line\n")


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def forked() -> None:
    """Two processes that leave the group, one of them deaf to SIGTERM."""
    for deaf in (False, True):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            if deaf:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            time.sleep(600)
            os._exit(0)


def binary() -> None:
    os.write(1, b"nul \x00 and \xff\xfe\xc3\x28 and \x1b[2J\x1b]0;mine\x07\n" * 1000)


if __name__ == "__main__":
    oddity = sys.argv.pop(1)
    {"sparse": sparse, "long-line": long_line, "stubborn": stubborn, "forked": forked, "binary": binary}[oddity]()
    sys.exit(main(sys.argv[1:]))
