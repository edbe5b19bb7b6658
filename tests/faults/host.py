"""The host runs short: of room at some operation, of file descriptors. The queue waits, nobody pays, and it goes on."""

import errno
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from runner.adapters.ledger import read_envelopes
from runner.model import events as ev
from tests.faults.bed import SWEEP, Bed, ends, until
from tests.faults.invariants import at_the_end

JOBS = 12
OPERATIONS = 150
"""About as many file operations of the kind a sweep of JOBS makes."""
SHORT_S = 1.2
SPEED = 800
"""Jobs of a fifth of a second and more: the trouble comes while there is something to start."""
TRIES = 5
END_S = 120.0
UNSAID = "nobody says why nothing starts"


def at_operation(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """From the n-th operation on, every one fails for a second, wherever in the runner it is."""
    for case in range(cases):
        number = (errno.ENOSPC, errno.EMFILE)[case % 2]
        after = seeded.randint(1, OPERATIONS)
        bed = Bed(folder / str(case), JOBS, slots=3, attempts=2, settings=("solo", "coop-comm"))
        try:
            runner = bed.spawn(short={"errno": number, "after": after, "for_s": SHORT_S})
            wrong = []
            if not ends(runner, END_S):
                wrong.append("the sweep does not go on")
            elif runner.returncode not in {0, 2}:
                wrong.append(f"the runner went down with {runner.returncode}: {bed.last_words()}")
            # A refusal to begin (2) is a sentence; everything else must have come to its end by itself.
            if runner.returncode == 2 or not bed.ledger.exists():
                wrong += bed.finish()
            wrong += uncharged(bed) + at_the_end(bed)
            yield [f"errno {number} at operation {after}: {one}" for one in wrong]
        finally:
            bed.close()


def uncharged(bed: Bed) -> list[str]:
    """No attempt ended for another reason than the host, and the queue was let go again."""
    if not bed.ledger.exists():
        return ["there is no ledger"]
    events = [one.event for one in read_envelopes(bed.ledger)]
    wrong = [
        f"{one.job} ended as {one.outcome.failure}: {one.outcome.evidence}"
        for one in events
        if isinstance(one, ev.AttemptEnded) and one.outcome.failure not in {None, "host"}
    ]
    held_now: set[str] = set()
    for one in events:
        if isinstance(one, ev.QueueHeld):
            held_now.add(one.cause)
            if not one.reason:
                wrong.append("the queue was held for no reason")
        elif isinstance(one, ev.QueueReleased):
            held_now.discard(one.cause)
        elif isinstance(one, ev.RunnerStarted):
            held_now.clear()
    if held_now:
        wrong.append(f"the queue is still held: {held_now}")
    return wrong


def in_time(play: Callable[[int], list[str] | None]) -> list[str]:
    """What was wrong; played once more where the sweep was nearly over before its trouble began."""
    for again in range(TRIES):
        wrong = play(again)
        if wrong is not None:
            return wrong
    return ["the sweep was over too soon each time"]


def too_late(bed: Bed) -> bool:
    return sum(row.state == "queued" for row in bed.board().jobs.values()) < 4


def goes_on(runner: "subprocess.Popen[bytes]", bed: Bed) -> list[str]:
    wrong = []
    if not ends(runner, END_S):
        wrong.append("the sweep does not go on")
    elif runner.returncode:
        wrong.append(f"the runner went down with {runner.returncode}: {bed.last_words()}")
    return wrong + uncharged(bed) + at_the_end(bed)


def says_why(bed: Bed) -> list[str]:
    """As `status` tells it: in the ledger, or in the lock where the ledger takes nothing."""
    return [] if until(lambda: _said(bed), END_S) else [UNSAID]


def _was_held(bed: Bed) -> bool:
    return any(isinstance(one.event, ev.QueueHeld) for one in read_envelopes(bed.ledger))


def _said(bed: Bed) -> bool:
    return bool(bed.board().holds or bed.places.runner_trouble(SWEEP))


def no_descriptors(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """A running runner's own limit is lowered under what it needs, and raised again."""
    for case in range(cases):
        settled, spare = seeded.randint(0, 4), -seeded.randint(-3, 3)
        yield in_time(partial(_lower_limit, folder / str(case), settled, spare))


def _lower_limit(place: Path, settled: int, spare: int, again: int) -> list[str] | None:
    bed = Bed(place / str(again), JOBS, slots=3, attempts=2, speed=SPEED)
    try:
        runner = bed.start()
        bed.settles(settled)
        if runner.poll() is not None:
            return None
        before = resource.prlimit(runner.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{runner.pid}/fd").iterdir()))
        resource.prlimit(runner.pid, resource.RLIMIT_NOFILE, (used + spare - again, before[1]))
        if too_late(bed):
            return None
        # A client at the door needs a descriptor, too.
        asked = subprocess.Popen(
            ["timeout", "5", "python3", "-c", _KNOCK, str(bed.places.socket(SWEEP))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        said = until(lambda: _said(bed) or runner.poll() is not None, END_S)
        asked.wait()
        if runner.poll() is not None and not _was_held(bed):
            return None  # it got along with what it was left
        wrong = [] if said else [UNSAID]
        if runner.poll() is None:
            resource.prlimit(runner.pid, resource.RLIMIT_NOFILE, before)
        return wrong + goes_on(runner, bed)
    finally:
        bed.close()


_KNOCK = """
import socket, sys, time
for _ in range(5):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(sys.argv[1])
            client.sendall(b"x")
            time.sleep(0.1)
        except OSError:
            pass
"""
