"""The runner is killed: at seeded moments, and at each point between intent, start and acknowledgement."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.adapters.dataset import read_dataset
from runner.model.selection import select_pairs
from tests.faults.bed import Bed, Unready, kill, until
from tests.faults.faulty_daemon import POINTS
from tests.faults.invariants import at_the_end, between

JOBS = 200
KILLS_A_SWEEP = 10
TROUBLES: tuple[dict[str, Any], ...] = (
    {"fault": "unavailable", "spent": True, "after": 0.6},
    {"fault": "rate", "after": 0.3},
    {"fault": "crash", "after": 0.7},
    {"fault": "kill", "after": 0.5},
    {"fault": "truncated"},
    {"fault": "negative"},
    {"fault": "host-enospc", "after": 0.4},
)
"""Of first attempts: what they spent must be counted whoever was up to see it."""
TROUBLED = 0.15
LAST_POINTS = frozenset(point for point in POINTS if "SweepFinished" in point or point == "in run files")
"""Passed once in a runner's life, at its end."""


def at_moments(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Several moments in one sweep: the next runner takes up what the last one left."""
    for sweep in range(-(-cases // KILLS_A_SWEEP)):
        moments = min(KILLS_A_SWEEP, cases - sweep * KILLS_A_SWEEP)
        jobs = JOBS if moments == KILLS_A_SWEEP else JOBS // 2
        bed = Bed(folder / str(sweep), jobs, ("solo", "coop-comm"), attempts=4, faults=_troubles(seeded))
        try:
            for moment in range(moments):
                wrong = _kill_once(bed, seeded)
                if moment == moments - 1:
                    wrong += bed.finish() + at_the_end(bed)
                yield wrong
        finally:
            bed.close()


def _troubles(seeded: random.Random) -> list[dict[str, Any]]:
    pairs = select_pairs(read_dataset(None), subset="lite")
    return [
        {"match": {"repo": pair.repo, "task": pair.task, "features": list(pair.features), "attempt": 1}}
        | seeded.choice(TROUBLES)
        for pair in pairs
        if seeded.random() < TROUBLED
    ]


def _kill_once(bed: Bed, seeded: random.Random) -> list[str]:
    if seeded.random() < 0.25:
        # While it opens its ledger, takes up what it finds, or is not even that far.
        runner = bed.spawn()
        time.sleep(seeded.uniform(0.2, 0.9))
    else:
        runner = bed.start()
        time.sleep(seeded.uniform(0.0, 1.2))
    kill(runner)
    return between(bed)


def at_points(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Each round kills one runner after another of the same sweep, at every point once."""
    played = 0
    while played < cases:
        bed = Bed(folder / str(played), 48, slots=4)
        points = [point for point in POINTS if point not in LAST_POINTS]
        seeded.shuffle(points)
        points += [point for point in POINTS if point in LAST_POINTS]
        points = points[: cases - played]
        try:
            for place, point in enumerate(points):
                wrong = _kill_at(bed, point, 1 if point in LAST_POINTS or place > 5 else seeded.randint(1, 3))
                if place == len(points) - 1:
                    wrong += bed.finish() + at_the_end(bed)
                yield [f"{point}: {one}" for one in wrong]
                played += 1
        finally:
            bed.close()


def _kill_at(bed: Bed, point: str, number: int) -> list[str]:
    try:
        runner = bed.start(kill=[point, number])
    except Unready:
        runner = bed.runners[-1]
    if not until(lambda: runner.poll() is not None):
        kill(runner)
        return ["the runner never passed here", *between(bed)]
    if runner.returncode != -9:
        return [f"the runner ended with {runner.returncode} and was not killed; {bed.last_words()}", *between(bed)]
    return between(bed)
