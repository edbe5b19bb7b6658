"""The time of day jumps by a day while a sweep runs: no retry lost or early, no timeout charged."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from runner.adapters.ledger import read_envelopes
from runner.model import events as ev
from tests.faults.bed import Bed, ends, kill, until
from tests.faults.invariants import at_the_end

DAY = 86_400.0
SPEED = 20.0
"""Provider trouble is tried again after 15 to 30 recorded seconds: here after 0.75 to 1.5."""
LATE_S = 30.0
"""Six interpreters start at once then; a jump is of another size."""
END_S = 120.0


def jumps(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Forwards, backwards, both; in one runner's life, or between two."""
    for case in range(cases):
        trouble = {"match": {"attempt": 1}, "fault": "unavailable", "after": 0}
        quick = {"fault": "slow", "factor": 0.001}
        bed = Bed(folder / str(case), 6, slots=6, speed=SPEED, timeout_s=30, faults=[trouble, quick])
        away = seeded.choice([DAY, -DAY])
        at = seeded.uniform(0.2, 1.5)
        try:
            if case % 3 == 2:
                _kill_while_retrying(bed)
                runner = bed.start(clock=[[0, away]])
            else:
                back = [[at + seeded.uniform(0.1, 1.0), 0.0]] if case % 3 else []
                runner = bed.start(clock=[[at, away], *back])
            wrong = []
            if not ends(runner, END_S):
                wrong.append("a retry is lost, or far too late")
            kill(runner)
            wrong += bed.finish() + _on_time(bed, early_counts=case % 3 != 2) + at_the_end(bed)
            yield [f"{away:+.0f} s after {at:.2f}: {one}" for one in wrong]
        finally:
            bed.close()


def _kill_while_retrying(bed: Bed) -> None:
    runner = bed.start()
    until(lambda: any(row.state == "retrying" for row in bed.board().jobs.values()))
    kill(runner)


def _on_time(bed: Bed, *, early_counts: bool) -> list[str]:
    """By the clock of the attempts themselves, which did not jump.

    With no runner up, a jump forwards cannot be told from a night's sleep: a retry that was due may start.
    """
    wrong = []
    for one in (envelope.event for envelope in read_envelopes(bed.ledger)):
        if isinstance(one, ev.AttemptEnded) and one.outcome.failure == "timeout":
            wrong.append(f"{one.job} was charged with a timeout")
        if not isinstance(one, ev.RetryScheduled):
            continue
        folder = bed.sweep_dir / "attempts" / one.job
        again = folder / str(one.attempt) / "probe.jsonl"
        if not again.exists():
            wrong.append(f"{one.job} was never tried again")
            continue
        waited = _begun(again) - (folder / str(one.attempt - 1) / "output.log").stat().st_mtime
        if waited < one.delay_s and early_counts:
            wrong.append(f"{one.job} was tried again after {waited:.2f} s and not {one.delay_s:.2f}")
        if waited > one.delay_s + LATE_S:
            wrong.append(f"{one.job} waited {waited:.1f} s instead of {one.delay_s:.1f}")
    return wrong


def _begun(probe: Path) -> float:
    with open(probe, "rb") as file:
        return float(json.loads(file.readline())["at"])
