"""What happened, in the past tense and frozen. The ledger, the wire and the board are made of these alone."""

from typing import Literal

from msgspec import Struct

from runner.model.ids import JobId
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan
from runner.model.prices import NO_TOKENS, Tokens
from runner.model.supplies import Supply

StopMode = Literal["drain", "now"]
Doing = Literal["starting", "llm", "exec", "waiting", "retrying", "ended", "unseen"]
"""`waiting` is for a colleague's message. `unseen`: it works where the probe cannot look, in its container."""


class ApiRetry(Struct, frozen=True):
    """A call of the model that failed and is made again after `wait_s` seconds."""

    number: int
    """From 1, in a row."""
    of: int | None
    """How many tries upstream allows a call, where that is known."""
    failure: str
    """The exception's class."""
    wait_s: float = 0.0


class SweepPlanned(Struct, frozen=True):
    """The sweep was asked for, or asked for again with other limits."""

    plan: Plan
    type: Literal["SweepPlanned"] = "SweepPlanned"


class JobsPlanned(Struct, frozen=True):
    jobs: tuple[JobSpec, ...]
    type: Literal["JobsPlanned"] = "JobsPlanned"


class RunnerStarted(Struct, frozen=True):
    pid: int
    host: str
    version: str
    type: Literal["RunnerStarted"] = "RunnerStarted"


class RunnerStopped(Struct, frozen=True):
    """The runner ended on purpose; `reason` is `finished`, `drained`, `stopped` or a sentence."""

    reason: str
    type: Literal["RunnerStopped"] = "RunnerStopped"


class JobSkipped(Struct, frozen=True):
    """A sound result was there already; it counts as a result, and its cost was paid before."""

    job: JobId
    outcome: Outcome
    path: str
    type: Literal["JobSkipped"] = "JobSkipped"


class JobQueued(Struct, frozen=True):
    """A settled job goes back into the queue, with all its tries before it; `reason` says who asked and why."""

    job: JobId
    reason: str
    type: Literal["JobQueued"] = "JobQueued"


class AttemptStarting(Struct, frozen=True):
    """Durable before the process exists; `token` is in the process's environment too."""

    job: JobId
    attempt: int
    token: str
    folder: str
    """The attempt's own folder, relative to the sweep's."""
    type: Literal["AttemptStarting"] = "AttemptStarting"


class AttemptStarted(Struct, frozen=True):
    """`pid` with `started_ticks` (clock ticks since boot, /proc/PID/stat field 22) names a process for good."""

    job: JobId
    attempt: int
    pid: int
    started_ticks: int
    suspended_s: float = 0.0
    """How long the machine had been suspended since its boot."""
    type: Literal["AttemptStarted"] = "AttemptStarted"


class AgentSeen(Struct, frozen=True):
    """What one agent was last seen doing; steps, cost and tokens are sums of this attempt so far.

    The cost is None where a call has no known price. Times are seconds since the epoch by the probe's clock; 0 in
    ledgers of earlier versions, where the event's own time stands for them.
    """

    job: JobId
    attempt: int
    agent: str
    doing: Doing
    steps: int
    cost_usd: float | None
    tokens: Tokens = NO_TOKENS
    since: float = 0.0
    """When it began to do this."""
    active_at: float = 0.0
    """When the probe last told anything of it."""
    command: str = ""
    """In brief, while it runs."""
    peer: str = ""
    """Whose message it waits for."""
    retry: ApiRetry | None = None
    """Until a call is answered again."""
    own_prices: bool = False
    """Some of the cost is by the user's own prices."""
    type: Literal["AgentSeen"] = "AgentSeen"


class ContainerStarted(Struct, frozen=True):
    """An agent's container, as Docker knows it."""

    job: JobId
    attempt: int
    agent: str
    name: str
    container: str
    """Its id, as short as Docker shows it."""
    type: Literal["ContainerStarted"] = "ContainerStarted"


class AttemptEnded(Struct, frozen=True):
    """What the attempt ended in, before any of its files has moved."""

    job: JobId
    attempt: int
    outcome: Outcome
    type: Literal["AttemptEnded"] = "AttemptEnded"


class RetryScheduled(Struct, frozen=True):
    """`delay_s` is in real seconds from this event's time."""

    job: JobId
    attempt: int
    """The number the next attempt will have."""
    delay_s: float
    reason: str
    type: Literal["RetryScheduled"] = "RetryScheduled"


class ResultDelivered(Struct, frozen=True):
    """The attempt's files stand in upstream's layout, at `path`, be it a result or a failure."""

    job: JobId
    attempt: int
    path: str
    type: Literal["ResultDelivered"] = "ResultDelivered"


class JobSettled(Struct, frozen=True):
    """Nothing more will happen to the job by itself."""

    job: JobId
    state: Literal["done", "failed", "cancelled"]
    outcome: Outcome | None = None
    """Where no attempt ended so: of a job that could not be tried for want of what it needs, or not be delivered."""
    type: Literal["JobSettled"] = "JobSettled"


class CancelRequested(Struct, frozen=True):
    """Somebody wants the job's attempt ended."""

    job: JobId
    again: bool = False
    """Only the attempt is to end; the job goes back into the queue."""
    type: Literal["CancelRequested"] = "CancelRequested"


class SlotsSet(Struct, frozen=True):
    slots: int
    type: Literal["SlotsSet"] = "SlotsSet"


class QueuePaused(Struct, frozen=True):
    type: Literal["QueuePaused"] = "QueuePaused"


class QueueResumed(Struct, frozen=True):
    type: Literal["QueueResumed"] = "QueueResumed"


class QueueHeld(Struct, frozen=True):
    """Nothing new starts for a reason of our own: the budget, the disk, the ledger."""

    cause: str
    reason: str
    type: Literal["QueueHeld"] = "QueueHeld"


class QueueReleased(Struct, frozen=True):
    cause: str
    type: Literal["QueueReleased"] = "QueueReleased"


class SupplySeen(Struct, frozen=True):
    """How something that jobs need stands now: an image, the Redis, the git server."""

    supply: Supply
    type: Literal["SupplySeen"] = "SupplySeen"


class LauncherFellBack(Struct, frozen=True):
    """This runner starts every further attempt by the plain command, because the warm process cannot be."""

    reason: str
    type: Literal["LauncherFellBack"] = "LauncherFellBack"


class StopRequested(Struct, frozen=True):
    mode: StopMode
    type: Literal["StopRequested"] = "StopRequested"


class SweepFinished(Struct, frozen=True):
    """Every job is settled."""

    type: Literal["SweepFinished"] = "SweepFinished"


class ForeignEvent(Struct, frozen=True):
    """An event of a later version: kept in the ledger, without effect on the board."""

    body: str
    type: Literal["ForeignEvent"] = "ForeignEvent"


Event = (
    SweepPlanned | JobsPlanned | RunnerStarted | RunnerStopped | JobSkipped | JobQueued | AttemptStarting
    | AttemptStarted | AgentSeen | ContainerStarted | AttemptEnded | RetryScheduled | ResultDelivered | JobSettled
    | CancelRequested | SlotsSet | QueuePaused | QueueResumed | QueueHeld | QueueReleased | SupplySeen | StopRequested
    | SweepFinished | LauncherFellBack | ForeignEvent
)  # fmt: skip


class Envelope(Struct, frozen=True):
    """An event with its place in the sweep's history."""

    seq: int
    """From 1, without gaps."""
    at: float
    """Seconds since the epoch, stamped by the dispatcher."""
    event: Event
    v: int = 1
