"""Folding events into the board: total, pure, and as cheap with 10,000 jobs as with 10."""

from dataclasses import replace

from pyrsistent import pmap

from runner.model import events as ev
from runner.model.board import Board, Hold, RunnerRow
from runner.model.ids import JobId
from runner.model.rows import ACTIVE, AgentRow, AttemptRow, JobRow
from runner.model.tally import Tally, count_row, tally_of


def reduce(board: Board, envelope: ev.Envelope) -> Board:
    """The board after one more event.

    An event that does not fit (of an unknown job, of an attempt that is over, of a later version) moves `seq`
    and `at` alone: a ledger of any origin folds into some board and never into an exception.
    """
    last_at, at = board.at, envelope.at
    board = replace(board, seq=envelope.seq, at=at)
    match envelope.event:
        case ev.SweepPlanned(plan):
            return replace(board, plan=plan, slots=plan.slots)
        case ev.JobsPlanned(jobs):
            return _planned(board, tuple(JobRow(spec) for spec in jobs))
        case ev.RunnerStarted(pid, host, version):
            # A runner that was killed said no last word: the last event's time stands for it.
            previous = board.runner
            ran_s = board.ran_s
            if previous is not None:
                end = previous.stopped_at if previous.stopped_at is not None else last_at
                ran_s += max(0.0, min(end, at) - previous.started_at)
            runner = RunnerRow(pid, host, version, at)
            # What an earlier runner knew of the machine may be true no more: this one looks again.
            board = replace(board, stopping=None, paused=False, holds=(), supplies=pmap(), finished_at=None)
            return replace(board, runner=runner, ran_s=ran_s)
        case ev.RunnerStopped(reason):
            if board.runner is None:
                return board
            return replace(board, runner=replace(board.runner, stopped_at=at, stopped_because=reason))
        case ev.SlotsSet(slots):
            return replace(board, slots=slots)
        case ev.QueuePaused():
            return replace(board, paused=True)
        case ev.QueueResumed():
            return replace(board, paused=False)
        case ev.QueueHeld(cause, reason):
            return replace(board, holds=(*_without(board, cause), Hold(cause, reason, at)))
        case ev.QueueReleased(cause):
            return replace(board, holds=_without(board, cause))
        case ev.SupplySeen(supply):
            return replace(board, supplies=board.supplies.set(supply.key, supply))
        case ev.StopRequested(mode):
            return replace(board, stopping=mode)
        case ev.SweepFinished():
            return replace(board, finished_at=at)
        case ev.ForeignEvent():
            return board
        case event:
            row = board.jobs.get(event.job)
            if row is None:
                return board
            if isinstance(event, ev.JobQueued):
                board = replace(board, finished_at=None)
            return with_row(board, _job(row, event, at))


def with_row(board: Board, row: JobRow) -> Board:
    """The board with one job's row replaced, and counted anew."""
    old = board.jobs.get(row.spec.id)
    if old is row:
        return board
    tally = board.tallies.get(row.spec.setting, Tally())
    if old is not None:
        tally = count_row(tally, old, -1)
    return replace(
        board,
        jobs=board.jobs.set(row.spec.id, row),
        tallies=board.tallies.set(row.spec.setting, count_row(tally, row, 1)),
    )


def with_rows(board: Board, rows: tuple[JobRow, ...]) -> Board:
    """The board made of these rows, in this order, counted from nothing."""
    settings: dict[str, list[JobRow]] = {}
    for row in rows:
        settings.setdefault(row.spec.setting, []).append(row)
    return replace(
        board,
        order=tuple(row.spec.id for row in rows),
        jobs=pmap({row.spec.id: row for row in rows}),
        tallies=pmap({setting: tally_of(members) for setting, members in settings.items()}),
    )


def _planned(board: Board, rows: tuple[JobRow, ...]) -> Board:
    fresh: dict[JobId, JobRow] = {}
    for row in rows:
        if row.spec.id not in board.jobs:
            fresh.setdefault(row.spec.id, row)
    if not board.order:
        return with_rows(board, tuple(fresh.values()))
    for row in fresh.values():
        board = with_row(board, row)
    return replace(board, order=board.order + tuple(fresh))


def _without(board: Board, cause: str) -> tuple[Hold, ...]:
    return tuple(hold for hold in board.holds if hold.cause != cause)


JobEvent = (
    ev.JobSkipped | ev.JobQueued | ev.AttemptStarting | ev.AttemptStarted | ev.AgentSeen | ev.AttemptEnded
    | ev.RetryScheduled | ev.ResultDelivered | ev.JobSettled | ev.CancelRequested
)  # fmt: skip


def _job(row: JobRow, event: JobEvent, at: float) -> JobRow:
    match event:
        case ev.JobSkipped(_, outcome, path):
            if row.state not in {"queued", "done", "skipped"}:
                return row
            return replace(row, state="skipped", outcome=outcome, delivered=path, reason="a result was there")
        case ev.JobQueued(_, reason):
            if not row.settled and row.state != "delivering":
                return row
            return replace(
                row,
                state="queued",
                again=True,
                retry_at=None,
                reason=reason,
                cancelling=False,
                delivered=None,
                retries_from=len(row.attempts),
            )
        case ev.AttemptStarting(_, number, token, folder):
            if row.state not in {"queued", "retrying"} or number != len(row.attempts) + 1:
                return row
            attempt = AttemptRow(number, token, folder, at)
            return replace(
                row, state="starting", attempts=(*row.attempts, attempt), agents=(), retry_at=None, reason=""
            )
        case ev.JobSettled(_, state, outcome):
            if row.settled:
                return row
            row = replace(row, state=state, agents=(), retry_at=None, cancelling=False)
            return row if outcome is None else replace(row, outcome=outcome, reason=outcome.evidence)
        case ev.CancelRequested():
            return row if row.settled else replace(row, cancelling=True)
        case ev.RetryScheduled(_, number, delay_s, reason):
            if row.settled or row.state in ACTIVE or number != len(row.attempts) + 1:
                return row
            return replace(row, state="retrying", retry_at=at + delay_s, reason=reason)
        case ev.ResultDelivered(_, _, path):
            return replace(row, delivered=path)
        case ev.AttemptStarted() | ev.AgentSeen() | ev.AttemptEnded():
            if not row.attempts or row.attempts[-1].number != event.attempt or row.state not in ACTIVE:
                return row
            return _attempt(row, event, at)


def _attempt(row: JobRow, event: ev.AttemptStarted | ev.AgentSeen | ev.AttemptEnded, at: float) -> JobRow:
    attempt = row.attempts[-1]
    earlier = row.attempts[:-1]
    match event:
        case ev.AttemptStarted(_, _, pid, ticks):
            return replace(row, state="running", attempts=(*earlier, replace(attempt, pid=pid, started_ticks=ticks)))
        case ev.AgentSeen(_, _, agent, doing, steps, cost_usd):
            seen = AgentRow(agent, doing, steps, cost_usd, at)
            others = tuple(other for other in row.agents if other.agent != agent)
            agents = tuple(sorted((*others, seen), key=lambda one: one.agent))
            costs = [one.cost_usd for one in agents]
            spent = None if None in costs else sum(cost or 0.0 for cost in costs)
            return replace(row, agents=agents, attempts=(*earlier, replace(attempt, cost_usd=spent)))
        case ev.AttemptEnded(_, _, outcome):
            ended = replace(attempt, ended_at=at, outcome=outcome, cost_usd=outcome.cost_usd)
            return replace(
                row,
                state="delivering",
                attempts=(*earlier, ended),
                agents=(),
                outcome=outcome,
                reason=outcome.evidence if outcome.failure else "",
            )
