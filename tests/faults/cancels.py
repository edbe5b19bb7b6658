"""A job is cancelled and its runner killed before it could end it: the next runner ends it, and never buys it again."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from runner.adapters.ledger import read_envelopes
from runner.client import RunningSweep, Update
from runner.model import events as ev
from runner.model.commands import Cancel
from runner.model.ids import JobId
from tests.faults.bed import SWEEP, Bed, attempts_up, ignores_sigterm, kill, until
from tests.faults.invariants import at_the_end, between

JOBS = 4
ANSWER_S = 60.0


def then_killed(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """The cancelled attempt is lost with its runner in one case, and survives it in the next."""
    for case in range(cases):
        stays = case % 2 == 1
        bed = Bed(folder / str(case), JOBS, slots=1)
        pair = bed.jobs[0].pair
        match = {"repo": pair.repo, "task": pair.task, "features": list(pair.features), "attempt": 1}
        bed.faults.append({"match": match, "fault": "ignore-sigterm", "after": 0.9})
        bed.write_faults()
        try:
            wrong = _cancel_and_kill(bed, seeded, stays=stays)
            # Not `run`, which asks for all jobs anew, the cancelled ones too.
            bed.goes_on = True
            yield wrong + bed.finish_with(bed.start()) + _ended(bed) + at_the_end(bed, settled=False)
        finally:
            bed.close()


def _cancel_and_kill(bed: Bed, seeded: random.Random, *, stays: bool) -> list[str]:
    runner = bed.start()
    first, last = bed.jobs[0].id, bed.jobs[-1].id
    until(lambda: bed.board().jobs[first].cost_usd > 0)
    until(lambda: any(ignores_sigterm(pid) for pid in attempts_up(bed.folder)))
    wrong = [f"not cancelled: {says}" for says in anyio.run(_cancel, bed, [last, first])]
    time.sleep(seeded.uniform(0.0, 2.0))
    kill(runner)
    if bed.board().jobs[first].settled:
        wrong.append("the runner was killed too late to tell anything")
    up = attempts_up(bed.folder)
    if stays and not up:
        wrong.append("the attempt did not survive its runner")
    if not stays:
        for pid in up:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not attempts_up(bed.folder))
    return wrong + between(bed)


async def _cancel(bed: Bed, jobs: list[JobId]) -> list[str]:
    """The refusals."""
    source, attached = RunningSweep(bed.places.socket(SWEEP)), anyio.Event()
    refused: list[str] = []

    def seen(_: Update) -> None:
        attached.set()

    with anyio.fail_after(ANSWER_S):
        async with anyio.create_task_group() as following:
            following.start_soon(source.follow, seen)
            await attached.wait()
            for job in jobs:
                reply = await source.ask(Cancel(job))
                refused += [] if reply.ok else [reply.says]
            following.cancel_scope.cancel()
    return refused


def _ended(bed: Bed) -> list[str]:
    board = bed.board()
    cancelled = {bed.jobs[0].id, bed.jobs[-1].id}
    wrong = [
        f"{job} is {board.jobs[job].state}"
        for job in board.order
        if board.jobs[job].state != ("cancelled" if job in cancelled else "done")
    ]
    asked: set[JobId] = set()
    for event in (one.event for one in read_envelopes(bed.ledger)):
        if isinstance(event, ev.CancelRequested):
            asked.add(event.job)
        elif isinstance(event, ev.AttemptStarting) and event.job in asked:
            wrong.append(f"{event.job} was bought again after it was cancelled: attempt {event.attempt}")
    return wrong
