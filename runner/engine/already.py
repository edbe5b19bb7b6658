"""What stands at the jobs' places already: bought before, and skipped."""

from dataclasses import replace
from functools import partial

from runner.engine.dispatcher import Dispatcher
from runner.engine.patience import patiently, record
from runner.engine.ports import Clock, Cooperbench, Quarantined
from runner.model import events as ev
from runner.model.outcome import Outcome
from runner.model.rows import JobRow

SKIPS_A_BATCH = 100


async def skip_delivered(dispatcher: Dispatcher, clock: Clock, cooperbench: Cooperbench, *, recheck: bool) -> None:
    """Mark the jobs whose sound result is there already.

    With `recheck`, for a sweep that was finished and is run again, what was done is looked for too: a result that
    somebody has removed is bought again, one that is there is skipped.
    """
    board = dispatcher.board
    if board.plan is None or board.plan.force:
        return
    found: list[ev.Event] = []
    for job in board.order:
        row = board.jobs[job]
        fresh = row.state == "queued" and not row.again and not row.attempts
        if not fresh and not (recheck and row.state in {"done", "skipped"}):
            continue
        look = partial(cooperbench.delivered, board.plan, row.spec)
        try:
            # A result that cannot be looked at now must not be bought again.
            delivered = await patiently(dispatcher, clock, look, lambda: dispatcher.stopping is not None)
        except Quarantined as error:
            found.append(_not_looked_at(row, str(error)))
            continue
        if dispatcher.stopping is not None:
            break
        if delivered is not None:
            found.append(ev.JobSkipped(job, *delivered))
        elif not fresh:
            found.append(ev.JobQueued(job, "its delivered result is gone or not sound"))
    for start in range(0, len(found), SKIPS_A_BATCH):
        await record(dispatcher, clock, *found[start : start + SKIPS_A_BATCH])


def _not_looked_at(row: JobRow, says: str) -> ev.JobSkipped | ev.JobSettled:
    """What the ledger knows of a result holds without a look; of any other nothing is known."""
    if row.outcome is not None and row.delivered is not None:
        return ev.JobSkipped(row.spec.id, replace(row.outcome, evidence=f"in quarantine: {says}"), row.delivered)
    outcome = Outcome("quarantine", "", f"{says}; run again, the job is bought anew", None)
    return ev.JobSettled(row.spec.id, "failed", outcome)
