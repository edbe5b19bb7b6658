"""What happened, in the past tense and frozen. The ledger, the wire and the board are made of these alone."""

from dataclasses import dataclass
from typing import Literal

from runner.model.ids import JobId
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan
from runner.model.prices import NO_TOKENS, Tokens
from runner.model.supplies import Supply

StopMode = Literal["drain", "now"]
Doing = Literal["starting", "llm", "exec", "waiting", "retrying", "ended", "unseen"]
"""`waiting` is for a colleague's message. `unseen`: it works where the probe cannot look, in its container."""


@dataclass(frozen=True, slots=True)
class ApiRetry:
    """A call of the model that failed and is made again after `wait_s` seconds."""

    number: int
    """From 1, in a row."""
    of: int | None
    """How many tries upstream allows a call, where that is known."""
    failure: str
    """The exception's class."""
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SweepPlanned:
    """The sweep was asked for, or asked for again with other limits."""

    plan: Plan
    type: Literal["SweepPlanned"] = "SweepPlanned"


@dataclass(frozen=True, slots=True)
class JobsPlanned:
    jobs: tuple[JobSpec, ...]
    type: Literal["JobsPlanned"] = "JobsPlanned"


@dataclass(frozen=True, slots=True)
class RunnerStarted:
    pid: int
    host: str
    version: str
    type: Literal["RunnerStarted"] = "RunnerStarted"


@dataclass(frozen=True, slots=True)
class RunnerStopped:
    """The runner ended on purpose; `reason` is `finished`, `drained`, `stopped` or a sentence."""

    reason: str
    type: Literal["RunnerStopped"] = "RunnerStopped"


@dataclass(frozen=True, slots=True)
class JobSkipped:
    """A sound result was there already; it counts as a result, and its cost was paid before."""

    job: JobId
    outcome: Outcome
    path: str
    type: Literal["JobSkipped"] = "JobSkipped"


@dataclass(frozen=True, slots=True)
class JobQueued:
    """A settled job goes back into the queue, with all its tries before it; `reason` says who asked and why."""

    job: JobId
    reason: str
    type: Literal["JobQueued"] = "JobQueued"


@dataclass(frozen=True, slots=True)
class AttemptStarting:
    """Durable before the process exists; `token` is in the process's environment too."""

    job: JobId
    attempt: int
    token: str
    folder: str
    """The attempt's own folder, relative to the sweep's."""
    type: Literal["AttemptStarting"] = "AttemptStarting"


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """`pid` with `started_ticks` (clock ticks since boot, /proc/PID/stat field 22) names a process for good."""

    job: JobId
    attempt: int
    pid: int
    started_ticks: int
    suspended_s: float = 0.0
    """How long the machine had been suspended since its boot."""
    type: Literal["AttemptStarted"] = "AttemptStarted"


@dataclass(frozen=True, slots=True)
class AgentSeen:
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


@dataclass(frozen=True, slots=True)
class ContainerStarted:
    """An agent's container, as Docker knows it."""

    job: JobId
    attempt: int
    agent: str
    name: str
    container: str
    """Its id, as short as Docker shows it."""
    type: Literal["ContainerStarted"] = "ContainerStarted"


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """What the attempt ended in, before any of its files has moved."""

    job: JobId
    attempt: int
    outcome: Outcome
    type: Literal["AttemptEnded"] = "AttemptEnded"


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """`delay_s` is in real seconds from this event's time."""

    job: JobId
    attempt: int
    """The number the next attempt will have."""
    delay_s: float
    reason: str
    type: Literal["RetryScheduled"] = "RetryScheduled"


@dataclass(frozen=True, slots=True)
class ResultDelivered:
    """The attempt's files stand in upstream's layout, at `path`, be it a result or a failure."""

    job: JobId
    attempt: int
    path: str
    type: Literal["ResultDelivered"] = "ResultDelivered"


@dataclass(frozen=True, slots=True)
class JobSettled:
    """Nothing more will happen to the job by itself."""

    job: JobId
    state: Literal["done", "failed", "cancelled"]
    outcome: Outcome | None = None
    """Where no attempt ended so: of a job that could not be tried for want of what it needs, or not be delivered."""
    type: Literal["JobSettled"] = "JobSettled"


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants the job's attempt ended."""

    job: JobId
    again: bool = False
    """Only the attempt is to end; the job goes back into the queue."""
    type: Literal["CancelRequested"] = "CancelRequested"


@dataclass(frozen=True, slots=True)
class SlotsSet:
    slots: int
    type: Literal["SlotsSet"] = "SlotsSet"


@dataclass(frozen=True, slots=True)
class QueuePaused:
    type: Literal["QueuePaused"] = "QueuePaused"


@dataclass(frozen=True, slots=True)
class QueueResumed:
    type: Literal["QueueResumed"] = "QueueResumed"


@dataclass(frozen=True, slots=True)
class QueueHeld:
    """Nothing new starts for a reason of our own: the budget, the disk, the ledger."""

    cause: str
    reason: str
    type: Literal["QueueHeld"] = "QueueHeld"


@dataclass(frozen=True, slots=True)
class QueueReleased:
    cause: str
    type: Literal["QueueReleased"] = "QueueReleased"


@dataclass(frozen=True, slots=True)
class SupplySeen:
    """How something that jobs need stands now: an image, the Redis, the git server."""

    supply: Supply
    type: Literal["SupplySeen"] = "SupplySeen"


@dataclass(frozen=True, slots=True)
class LauncherFellBack:
    """This runner starts every further attempt by the plain command, because the warm process cannot be."""

    reason: str
    type: Literal["LauncherFellBack"] = "LauncherFellBack"


@dataclass(frozen=True, slots=True)
class StopRequested:
    mode: StopMode
    type: Literal["StopRequested"] = "StopRequested"


@dataclass(frozen=True, slots=True)
class SweepFinished:
    """Every job is settled."""

    type: Literal["SweepFinished"] = "SweepFinished"


@dataclass(frozen=True, slots=True)
class ForeignEvent:
    """An event of a later version: kept in the ledger, without effect on the board."""

    body: str
    type: Literal["ForeignEvent"] = "ForeignEvent"


Event = (
    SweepPlanned | JobsPlanned | RunnerStarted | RunnerStopped | JobSkipped | JobQueued | AttemptStarting
    | AttemptStarted | AgentSeen | ContainerStarted | AttemptEnded | RetryScheduled | ResultDelivered | JobSettled
    | CancelRequested | SlotsSet | QueuePaused | QueueResumed | QueueHeld | QueueReleased | SupplySeen | StopRequested
    | SweepFinished | LauncherFellBack | ForeignEvent
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with its place in the sweep's history."""

    seq: int
    """From 1, without gaps."""
    at: float
    """Seconds since the epoch, stamped by the dispatcher."""
    event: Event
    v: int = 1
