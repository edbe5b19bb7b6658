"""A job whose files bring the runner down: twice, and the third runner leaves it alone and goes on with the rest."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from runner.model.plan import JobSpec
from tests.faults.bed import SWEEP, Bed, Unready, ends, kill
from tests.faults.faulty_daemon import DEADLY
from tests.faults.invariants import at_the_end, between

JOBS = 6
END_S = 90.0


def brings_down(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """While what an attempt left is read, or delivered; while what is there already is looked at."""
    for case in range(cases):
        doing = tuple(DEADLY)[case % len(DEADLY)]
        bed = Bed(folder / str(case), JOBS, slots=4)
        try:
            wrong = _results_of_another_sweep(bed) if doing == "look" else []
            wrong += _three_runners(bed, doing, seeded.choice(bed.jobs))
            yield [f"{doing}: {one}" for one in wrong + bed.finish() + at_the_end(bed)]
        finally:
            bed.close()


def _results_of_another_sweep(bed: Bed) -> list[str]:
    wrong = bed.finish_with(bed.start())
    shutil.rmtree(bed.sweep_dir)
    return wrong


def _three_runners(bed: Bed, doing: str, deadly: JobSpec) -> list[str]:
    wrong: list[str] = []
    for _ in range(2):
        try:
            runner = bed.start(deadly=[doing, deadly.id])
        except Unready:
            runner = bed.runners[-1]  # it was as quick as that
        if not ends(runner, END_S) or runner.returncode != -9:
            kill(runner)
            return [*wrong, f"the job did not bring the runner down: {runner.returncode}, {bed.last_words()}"]
        wrong += between(bed)
    tries = len(bed.board().jobs[deadly.id].attempts)
    wrong += bed.finish_with(bed.start(deadly=[doing, deadly.id]), END_S)
    board = bed.board()
    row = board.jobs[deadly.id]
    if not row.quarantined or "died 2 times" not in row.reason or len(row.attempts) != tries:
        wrong.append(f"the job is {row.state} after {len(row.attempts)} tries: {row.reason}")
    wrong += [
        f"{other.spec.id} is {other.state}: {other.reason}"
        for other in board.jobs.values()
        if other is not row and other.state not in {"done", "skipped"}
    ]
    told = bed.coopdeck("status", SWEEP).stdout
    if told.count("in quarantine: ") != 1 or f"solo {deadly.pair.short}: the runner died 2 times" not in told:
        wrong.append(f"status does not say so, but: {told}")
    return wrong
