"""The current state, folded from the events; frozen, and cheap to change one row of."""

from dataclasses import dataclass, field

from pyrsistent import PMap, pmap

from runner.model.events import StopMode
from runner.model.ids import JobId
from runner.model.plan import Plan
from runner.model.rows import JobRow
from runner.model.supplies import Supply, SupplyKey
from runner.model.tally import Tally, total


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nothing new starts; `cause` is `budget`, `host`, `deliver` or `ledger`, `reason` a sentence."""

    cause: str
    reason: str
    since: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """The runner that owns or last owned the sweep; times are seconds since the epoch."""

    pid: int
    host: str
    version: str
    started_at: float
    stopped_at: float | None = None
    stopped_because: str = ""
    not_warm: str = ""
    """Why it starts attempts by the plain command, where it would rather fork them."""


@dataclass(frozen=True, slots=True)
class Board:
    """The whole of a sweep as of event `seq`, at `at` seconds since the epoch."""

    seq: int = 0
    at: float = 0.0
    plan: Plan | None = None
    order: tuple[JobId, ...] = ()
    jobs: PMap[JobId, JobRow] = field(default_factory=pmap)
    tallies: PMap[str, Tally] = field(default_factory=pmap)
    slots: int = 0
    paused: bool = False
    holds: tuple[Hold, ...] = ()
    supplies: PMap[SupplyKey, Supply] = field(default_factory=pmap)
    """What the jobs need and this sweep's runner watches over; what is not in here is not waited for."""
    stopping: StopMode | None = None
    runner: RunnerRow | None = None
    ran_s: float = 0.0
    """Seconds that earlier runners of this sweep were up."""
    finished_at: float | None = None

    @property
    def total(self) -> Tally:
        """All settings together."""
        return total(self.tallies.values())

    def wall_s(self, now: float) -> float:
        """Real seconds a runner has been up for this sweep, this one's until `now` included."""
        if self.runner is None:
            return self.ran_s
        ends = (self.runner.stopped_at, self.finished_at)
        end = min((at for at in ends if at is not None), default=now)
        return self.ran_s + max(0.0, end - self.runner.started_at)
