"""The rows of the board: a job, its attempts, the agents of the attempt under way."""

from dataclasses import dataclass
from typing import Literal

from runner.model.events import ApiRetry, Doing
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec
from runner.model.prices import NO_TOKENS, Tokens

JobState = Literal["queued", "starting", "running", "delivering", "retrying", "done", "failed", "skipped", "cancelled"]
"""`delivering`: the attempt is over and what it ended in is durable, but its files are not yet where they belong."""
SETTLED: frozenset[JobState] = frozenset({"done", "failed", "skipped", "cancelled"})
ACTIVE: frozenset[JobState] = frozenset({"starting", "running"})


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent of the running attempt."""

    agent: str
    doing: Doing
    steps: int
    cost_usd: float | None
    seen_at: float
    """When anything was last told of it, in seconds since the epoch."""
    tokens: Tokens = NO_TOKENS
    since: float = 0.0
    """When it began to do this."""
    command: str = ""
    peer: str = ""
    retry: ApiRetry | None = None
    own_prices: bool = False


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """A container that an attempt started."""

    agent: str
    name: str
    container: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt; times are seconds since the epoch."""

    number: int
    token: str
    folder: str
    starting_at: float
    pid: int | None = None
    started_ticks: int | None = None
    suspended_s: float = 0.0
    """How long the machine had been suspended since its boot when this started."""
    ended_at: float | None = None
    outcome: Outcome | None = None
    cost_usd: float | None = 0.0
    """Spent so far; the outcome's when it has ended; None where it cannot be known."""
    tokens: Tokens = NO_TOKENS
    """As far as somebody counted them."""
    own_prices: bool = False
    """Some of the cost is by the user's own prices."""
    containers: tuple[ContainerRow, ...] = ()


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job and all its tries."""

    spec: JobSpec
    state: JobState = "queued"
    attempts: tuple[AttemptRow, ...] = ()
    agents: tuple[AgentRow, ...] = ()
    outcome: Outcome | None = None
    """Of the last attempt that ended, or of the result that was there already."""
    retry_at: float | None = None
    reason: str = ""
    """Why it waits or why it ended so, in a line."""
    delivered: str | None = None
    cancelling: bool = False
    requeueing: bool = False
    """With `cancelling`: only the attempt is being ended, and the job will be tried again."""
    again: bool = False
    """Somebody asked for the job again: a result that is there does not count."""
    retries_from: int = 0
    """Attempts before this number were of an earlier life of the job and do not count against the limit."""

    @property
    def settled(self) -> bool:
        return self.state in SETTLED

    @property
    def dropped(self) -> bool:
        """Somebody has cancelled it, and only that it is over remains to be said."""
        return self.cancelling and not self.requeueing and self.state in {"queued", "retrying"}

    @property
    def quarantined(self) -> bool:
        """It has brought the runner down twice and is left alone."""
        return self.state == "failed" and self.outcome is not None and self.outcome.failure == "quarantine"

    @property
    def undelivered(self) -> AttemptRow | None:
        """The attempt whose result is paid for and whose delivery was given up; the job only needs that again."""
        last = self.attempts[-1] if self.attempts else None
        if self.state != "queued" or self.outcome is None or self.outcome.failure != "quarantine":
            return None
        return last if last is not None and last.outcome is not None and last.outcome.is_result else None

    @property
    def running(self) -> AttemptRow | None:
        """The attempt under way, if there is one."""
        return self.attempts[-1] if self.attempts and self.state in ACTIVE else None

    @property
    def cost_usd(self) -> float:
        """All that this job's attempts are known to have cost."""
        return sum(attempt.cost_usd or 0.0 for attempt in self.attempts)

    @property
    def wasted_usd(self) -> float:
        """The part that went into ended attempts without a result."""
        return sum(
            attempt.cost_usd or 0.0
            for attempt in self.attempts
            if attempt.outcome is not None and not attempt.outcome.is_result
        )

    @property
    def unknown_costs(self) -> int:
        return sum(attempt.cost_usd is None for attempt in self.attempts)

    @property
    def unknown_waste(self) -> int:
        """How many attempts ended without a result at a cost that nobody knows."""
        return sum(
            attempt.cost_usd is None and attempt.outcome is not None and not attempt.outcome.is_result
            for attempt in self.attempts
        )

    @property
    def steps(self) -> int:
        """Of the attempt under way, else of the last one."""
        if self.state in ACTIVE:
            return sum(agent.steps for agent in self.agents)
        return self.outcome.steps if self.outcome else 0
