"""Folding events into the board: total, pure, and as cheap with 10,000 jobs as with 10."""

from dataclasses import replace

from pyrsistent import pmap

from runner.model import events as ev
from runner.model.board import Board, Hold, RunnerRow
from runner.model.ids import JobId
from runner.model.prices import NO_TOKENS
from runner.model.rows import ACTIVE, AgentRow, AttemptRow, ContainerRow, JobRow
from runner.model.tally import Tally, count_row, tally_of

AGAIN = "to be tried again"
MOST_CONTAINERS = 64


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
        case ev.LauncherFellBack(reason):
            if board.runner is None:
                return board
            return replace(board, runner=replace(board.runner, not_warm=reason))
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
    ev.JobSkipped | ev.JobQueued | ev.AttemptStarting | ev.AttemptStarted | ev.AgentSeen | ev.ContainerStarted
    | ev.AttemptEnded | ev.RetryScheduled | ev.ResultDelivered | ev.JobSettled | ev.CancelRequested
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
                requeueing=False,
                delivered=None,
                retries_from=len(row.attempts),
            )
        case ev.AttemptStarting(_, number, token, folder):
            if row.state not in {"queued", "retrying"} or number != len(row.attempts) + 1:
                return row
            attempt = AttemptRow(number, token, folder, at)
            row = replace(row, state="starting", attempts=(*row.attempts, attempt), agents=(), retry_at=None, reason="")
            # Only a wish to try again is met by this: who cancelled just before it has cancelled this attempt too.
            return replace(row, cancelling=row.cancelling and not row.requeueing, requeueing=False)
        case ev.JobSettled(_, state, outcome):
            if row.settled:
                return row
            row = replace(row, state=state, agents=(), retry_at=None, cancelling=False, requeueing=False)
            if outcome is not None:
                return replace(row, outcome=outcome, reason=outcome.evidence)
            if state == "done" and row.attempts and row.attempts[-1].outcome is not None:
                # Also of one whose delivery was given up, and then tried again.
                return replace(row, outcome=row.attempts[-1].outcome, reason="")
            return row
        case ev.CancelRequested(_, again):
            if row.settled:
                return row
            return replace(row, cancelling=True, requeueing=again, reason=AGAIN if again else row.reason)
        case ev.RetryScheduled(_, number, delay_s, reason):
            if row.settled or row.state in ACTIVE or number != len(row.attempts) + 1:
                return row
            return replace(row, state="retrying", retry_at=at + delay_s, reason=reason)
        case ev.ResultDelivered(_, _, path):
            return replace(row, delivered=path)
        case ev.AttemptStarted() | ev.AgentSeen() | ev.ContainerStarted() | ev.AttemptEnded():
            if not row.attempts or row.attempts[-1].number != event.attempt or row.state not in ACTIVE:
                return row
            return _attempt(row, event, at)


AttemptEvent = ev.AttemptStarted | ev.AgentSeen | ev.ContainerStarted | ev.AttemptEnded


def _attempt(row: JobRow, event: AttemptEvent, at: float) -> JobRow:
    attempt = row.attempts[-1]
    earlier = row.attempts[:-1]
    match event:
        case ev.AttemptStarted(_, _, pid, ticks, suspended_s):
            attempt = replace(attempt, pid=pid, started_ticks=ticks, suspended_s=suspended_s)
            return replace(row, state="running", attempts=(*earlier, attempt))
        case ev.AgentSeen():
            others = tuple(other for other in row.agents if other.agent != event.agent)
            agents = tuple(sorted((*others, _seen(event, at)), key=lambda one: one.agent))
            costs = [one.cost_usd for one in agents]
            attempt = replace(
                attempt,
                cost_usd=None if None in costs else sum(cost or 0.0 for cost in costs),
                tokens=sum((one.tokens for one in agents), NO_TOKENS),
                own_prices=any(one.own_prices for one in agents),
            )
            return replace(row, agents=agents, attempts=(*earlier, attempt))
        case ev.ContainerStarted(_, _, agent, name, container):
            started = ContainerRow(agent, name, container)
            if started in attempt.containers or len(attempt.containers) >= MOST_CONTAINERS:
                return row
            return replace(row, attempts=(*earlier, replace(attempt, containers=(*attempt.containers, started))))
        case ev.AttemptEnded(_, _, outcome):
            ended = replace(
                attempt, ended_at=at, outcome=outcome, cost_usd=outcome.cost_usd, own_prices=outcome.own_prices
            )
            return replace(
                row,
                state="delivering",
                attempts=(*earlier, ended),
                agents=(),
                outcome=outcome,
                reason=outcome.evidence if outcome.failure else "",
            )


def _seen(event: ev.AgentSeen, at: float) -> AgentRow:
    """Neither time may lie in the future: a clock that was set back would make an agent seem busy for ever."""
    seen_at = min(event.active_at, at) if event.active_at > 0 else at
    return AgentRow(
        event.agent,
        event.doing,
        event.steps,
        event.cost_usd,
        seen_at,
        event.tokens,
        min(event.since, at) if event.since > 0 else seen_at,
        event.command,
        event.peer,
        event.retry,
        event.own_prices,
    )
