"""A real file system that is really full for a while: the queue waits and goes on, and who stops is obeyed at once."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.faults.bed import Bed, attempts_up, ends, until
from tests.faults.host import END_S, JOBS, SHORT_S, SPEED, goes_on, in_time, says_why, too_late
from tests.faults.invariants import at_the_end
from tests.faults.suite import Skipped

DISK_MB = 64
SLOW = 60
"""Jobs of some seconds: there is something to end."""
FEW = 8


def goes_on_later(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Room comes back by itself."""
    for case in range(cases):
        settled = seeded.randint(0, 4)
        yield in_time(partial(_wait, folder / f"disk{case}", settled))


def _wait(place: Path, settled: int, again: int) -> list[str] | None:
    with _small_disk(place / str(again)) as disk:
        bed = Bed(disk / "s", JOBS, slots=2, attempts=2, speed=SPEED)
        try:
            runner = bed.start()
            bed.settles(settled)
            with _full(disk):
                if too_late(bed):
                    return None
                wrong = says_why(bed)
                time.sleep(SHORT_S)
            return wrong + goes_on(runner, bed)
        finally:
            bed.close()


def stopped(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """SIGTERM drains and a second one ends what runs, though neither can be written; the next run finishes."""
    for case in range(cases):
        settled = seeded.randint(0, 1)
        yield in_time(partial(_stop, folder / f"stop{case}", settled, case % 2 == 0))


def _stop(place: Path, settled: int, now: bool, again: int) -> list[str] | None:
    with _small_disk(place / str(again)) as disk:
        bed = Bed(disk / "s", FEW, slots=2, attempts=2, speed=SLOW)
        try:
            runner = bed.start()
            bed.settles(settled)
            until(lambda: attempts_up(bed.folder))
            with _full(disk):
                if too_late(bed):
                    return None
                wrong = says_why(bed)
                runner.send_signal(signal.SIGTERM)
                if now:
                    time.sleep(0.5)
                    runner.send_signal(signal.SIGTERM)
                if not until(lambda: not attempts_up(bed.folder), END_S):
                    wrong.append("what runs is not ended")
                time.sleep(SHORT_S)
                if attempts_up(bed.folder):
                    wrong.append("something was started after the stop")
            if not ends(runner, END_S):
                wrong.append("the runner does not end")
            elif runner.returncode:
                wrong.append(f"the runner went down with {runner.returncode}: {bed.last_words()}")
            board = bed.board()
            if board.stopping is None or not board.runner or not board.runner.stopped_because:
                wrong.append("the ledger was never told of the stop")
            return wrong + bed.finish() + at_the_end(bed)
        finally:
            bed.close()


@contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "coopdeck-faults", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        raise Skipped(f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


@contextmanager
def _full(disk: Path) -> Iterator[None]:
    ballast = disk / "ballast"
    _fill(ballast)
    try:
        yield
    finally:
        ballast.unlink()


def _fill(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(descriptor, bytes(1 << 16))
    with suppress(OSError):
        while True:
            os.write(descriptor, bytes(64))
    os.close(descriptor)
