"""What happens in a sweep, a line at a time: for a terminal without a dashboard, a log file or a pipe."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from functools import reduce as fold

from runner.model import events as ev
from runner.model.board import Board
from runner.model.hidden import plain
from runner.model.outcome import Outcome
from runner.model.plan import Plan
from runner.model.reduce import reduce
from runner.model.rows import JobRow
from runner.model.summary import span
from runner.model.supplies import Supply
from runner.wire.codec import dump_envelope

MOST_SKIPS_NAMED = 3
PLAIN = "attempts start by the plain command, which costs more"


def json_line(envelope: ev.Envelope) -> str:
    """The envelope as one flat JSON object: `{"type": ..., "seq": ..., "at": ..., the event's own fields}`."""
    body = dump_envelope(envelope)["event"]
    fields = {name: value for name, value in body.items() if name not in {"type", "seq", "at"}}
    return json.dumps({"type": body.get("type", "?"), "seq": envelope.seq, "at": envelope.at, **fields})


def spent(plan: Plan | None) -> str:
    """What happened to the money: a rehearsal only says what it would have been."""
    return "rehearsed" if plan is not None and plan.rehearsal is not None else "spent"


def narrate(before: Board, envelopes: Sequence[ev.Envelope], zone: tzinfo | None = None) -> Iterator[str]:
    """A line for every change that a person cares for, of a batch that happened after `before`."""
    told: set[int] = set()
    skips = sum(isinstance(envelope.event, ev.JobSkipped) for envelope in envelopes)
    board = before
    after = fold(reduce, envelopes, before)
    mark = "[rehearsal] " if after.plan and after.plan.rehearsal else ""
    for index, envelope in enumerate(envelopes):
        previous, board = board, reduce(board, envelope)
        event = envelope.event
        if envelope.seq in told:
            continue
        if isinstance(event, ev.JobSkipped) and skips > MOST_SKIPS_NAMED:
            says = f"{skips} jobs skipped: their results are there already" if skips else ""
            told |= {other.seq for other in envelopes if isinstance(other.event, ev.JobSkipped)}
        elif isinstance(event, ev.AttemptEnded):
            follows = _verdict(event, envelopes[index + 1 :])
            told |= {follows.seq} if follows else set()
            says = _ended(board, event, follows.event if follows else None)
        else:
            says = _says(previous, board, event)
        if says:
            time = datetime.fromtimestamp(envelope.at, zone).strftime("%H:%M:%S")
            yield f"{time} {mark}{plain(says)}"


def _verdict(ended: ev.AttemptEnded, later: Sequence[ev.Envelope]) -> ev.Envelope | None:
    """What became of the job, when that happened in the same batch."""
    for envelope in later:
        event = envelope.event
        if isinstance(event, ev.RetryScheduled | ev.JobSettled) and event.job == ended.job:
            return envelope
        if isinstance(event, ev.AttemptStarting) and event.job == ended.job:
            return None
    return None


def _says(before: Board, after: Board, event: ev.Event) -> str:
    match event:
        case ev.SweepPlanned(plan):
            limits = f"{plan.slots} slots, {plan.attempts} tries each"
            budget = f", budget ${plan.budget_usd:,.2f}" if plan.budget_usd is not None else ""
            kind = f"; a rehearsal at x{plan.speed:g}: no agent works, nothing is spent" if plan.rehearsal else ""
            return f"sweep {plan.sweep}: {limits}{budget}{kind}"
        case ev.JobsPlanned():
            added = len(after.order) - len(before.order)
            return f"{added} jobs planned" if added else ""
        case ev.RunnerStarted(pid, host, _):
            return f"runner started on {host}, pid {pid}"
        case ev.RunnerStopped(reason):
            return f"runner stopped: {reason}"
        case ev.LauncherFellBack(reason):
            return f"{PLAIN}: {reason}"
        case ev.SlotsSet(slots):
            return f"slots {before.slots} -> {slots}"
        case ev.QueuePaused():
            return "paused: nothing new starts"
        case ev.QueueResumed():
            return "resumed"
        case ev.QueueHeld(_, reason):
            return f"held: {reason}"
        case ev.QueueReleased(cause):
            return f"released: {cause}"
        case ev.SupplySeen(supply):
            return _supply(before.supplies.get(supply.key), supply)
        case ev.StopRequested(mode):
            return "stopping: what runs may finish" if mode == "drain" else "stopping now: what runs is ended"
        case ev.SweepFinished():
            total = after.total
            failed = f", {total.count('failed')} failed" if total.count("failed") else ""
            cost = f"${total.cost_usd:,.2f} {spent(after.plan)}"
            return f"finished: {total.results} of {total.jobs} jobs have results{failed}, {cost}"
        case (
            ev.ForeignEvent()
            | ev.AgentSeen()
            | ev.ContainerStarted()
            | ev.AttemptStarting()
            | ev.ResultDelivered()
            | ev.AttemptEnded()
        ):
            return ""
        case _:
            row = after.jobs.get(event.job)
            return f"{job_name(after, row)}  {said}" if row and (said := _of_job(after, row, event)) else ""


def _supply(before: Supply | None, supply: Supply) -> str:
    """Changes of state alone: how far a pull is would be a line a second."""
    if supply.state == "unknown" or (before is not None and before.state == supply.state):
        return ""
    if supply.state == "there" and (before is None or before.state == "unknown"):
        return ""  # it was there all along
    return supply.line


def _of_job(
    board: Board,
    row: JobRow,
    event: ev.JobSkipped | ev.JobQueued | ev.AttemptStarted | ev.RetryScheduled | ev.JobSettled | ev.CancelRequested,
) -> str:
    match event:
        case ev.JobSkipped(_, outcome):
            return f"skipped: a result is there already ({outcome.label})"
        case ev.JobQueued(_, reason):
            return f"queued again: {reason}"
        case ev.AttemptStarted(_, number):
            return f"{_try(board, row, number)} started"
        case ev.RetryScheduled(_, number, delay_s):
            return f"{_try(board, row, number)} in {delay_s:.0f} s"
        case ev.JobSettled(_, state, outcome):
            if outcome is not None:
                tried = "" if outcome.failure == "quarantine" else "; not tried"
                return f"failed {outcome.failure}: {outcome.evidence}{tried}"
            return state if state == "cancelled" else ""
        case ev.CancelRequested(_, again):
            return "to be ended and tried again" if again else "cancel asked for"


def _ended(board: Board, event: ev.AttemptEnded, follows: ev.Event | None) -> str:
    row = board.jobs.get(event.job)
    if row is None:
        return ""
    outcome = event.outcome
    said = _result(outcome) if outcome.is_result else f"failed {outcome.failure}: {outcome.evidence}"
    match follows:
        case ev.RetryScheduled(_, number, delay_s):
            said += f"; {_try(board, row, number)} in {delay_s:.0f} s"
        case ev.JobSettled(_, "failed", given_up) if given_up is not None:
            said += f"; failed {given_up.failure}: {given_up.evidence}"
        case ev.JobSettled(_, "failed"):
            said += "; not tried again"
        case ev.JobSettled(_, "cancelled"):
            said = "cancelled"
    return f"{job_name(board, row)}  {said}"


def _result(outcome: Outcome) -> str:
    label = "Submitted without a patch" if outcome.label == "no-patch" else outcome.label
    own = " by own prices" if outcome.own_prices else ""
    cost = "$?" if outcome.cost_usd is None else f"${outcome.cost_usd:.3f}{own}"
    took = "" if outcome.duration_s is None else f"  {span(outcome.duration_s)}"
    tests = f"  {outcome.tested.label}" if outcome.tested is not None else ""
    why = f": {outcome.tested.error}" if outcome.tested is not None and outcome.tested.error else ""
    return f"{label}  {outcome.steps} steps  {cost}{took}{tests}{why}"


def job_name(board: Board, row: JobRow) -> str:
    """Setting and pair, with the model and the repeat where a sweep has several."""
    spec = row.spec
    model = f" {spec.model}" if board.plan and len(board.plan.models) > 1 else ""
    repeat = f" r{spec.repeat}" if spec.repeat > 1 else ""
    return f"{spec.setting} {spec.pair.short}{model}{repeat}"


def _try(board: Board, row: JobRow, number: int) -> str:
    limit = f"/{board.plan.attempts}" if board.plan else ""
    return f"try {number - row.retries_from}{limit}"
