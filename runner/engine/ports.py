"""Everything outside that the engine needs, as Protocols; the adapters fulfil them."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runner.model.board import Board
from runner.model.events import ApiRetry, Doing, Envelope
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan
from runner.model.prices import NO_TOKENS, Tokens
from runner.model.supplies import Supply, SupplyKind


class LedgerUnwritable(Exception):
    """The ledger cannot take another event; the message says why."""


class Quarantined(Exception):
    """The runner has died of this job's files before, so they are not touched; the message says at what."""


class LaunchRefused(Exception):
    """The process could not be started at all; the message says why. `errno` is the system's number, if any."""

    def __init__(self, says: str, errno: int | None = None) -> None:
        super().__init__(says)
        self.errno = errno


class LaunchGone(LaunchRefused):
    """It had begun, and is no longer there: its files say what came of it."""


class Clock(Protocol):
    """The time, so that a test can have its own."""

    def now(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float) -> None: ...


class Ledger(Protocol):
    """Where events become durable."""

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        """Make the envelopes durable, all or none.

        Raises:
            LedgerUnwritable: nothing was written.
        """


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """One process to start: in a session of its own, with no input, writing both outputs to one file."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    """The attempt's own folder; `output.log` is written here."""
    working_dir: Path


class Running(Protocol):
    """A process that was started, or one that is still up from an earlier runner."""

    @property
    def pid(self) -> int: ...

    @property
    def started_ticks(self) -> int:
        """Clock ticks since boot; with the pid it names the process for good."""

    def age_s(self) -> float:
        """How long it has been up, by a clock that nobody sets; what the machine was suspended counts."""

    @property
    def suspended_s(self) -> float:
        """How long the machine had been suspended since its boot when this process was taken up."""

    async def wait(self) -> int | None:
        """Until the process is over; its exit status, negative for a signal, None where it cannot be known."""

    async def end(self, grace_s: float) -> None:
        """SIGTERM to its group, SIGKILL after `grace_s` seconds; returns when the process is gone."""


class Launcher(Protocol):
    """Starts attempts, finds those of an earlier runner, and ends what they leave behind."""

    async def start(self, order: LaunchOrder) -> Running:
        """Raises LaunchRefused."""

    async def adopt(self, pid: int, started_ticks: int) -> Running | None:
        """The process of an earlier runner if it is still the same one, else None."""

    async def find(self, token: str, folder: Path) -> Running | None:
        """The process that carries this token in its environment, if it is still up.

        Where it is not, none will begin later: the attempt in `folder` is the caller's.
        """

    async def end_strays(self, tokens: Collection[str] | None, *, everywhere: bool = False) -> int:
        """End what ended attempts left behind outside their process groups, within seconds; how many there were.

        Args:
            tokens: of those attempts; None means all strays, when no attempt runs.
            everywhere: look at every process of the machine, for attempts of an earlier runner. Else only at what
                has become a child of this one.
        """


class Containers(Protocol):
    """What attempts made in Docker."""

    async def remove(self, tokens: Collection[str], *, killed: bool = False) -> int:
        """Remove what the attempts with these tokens made; how much it was.

        Who was `killed` may have been waiting for a container, which Docker makes all the same: that is looked for
        again a moment later. Never raises, and takes seconds at the most: what a Docker that does not answer keeps,
        is left to the next call.
        """


@dataclass(frozen=True, slots=True)
class AgentProgress:
    """How far one agent of an attempt is; the cost is None from the first call on that has no known price.

    The fields are those of the event `AgentSeen`.
    """

    agent: str
    doing: Doing
    steps: int
    cost_usd: float | None
    tokens: Tokens = NO_TOKENS
    since: float = 0.0
    active_at: float = 0.0
    command: str = ""
    peer: str = ""
    retry: ApiRetry | None = None
    own_prices: bool = False


@dataclass(frozen=True, slots=True)
class StartedContainer:
    agent: str
    name: str
    container: str


Sighting = AgentProgress | StartedContainer


class Progress(Protocol):
    """What is seen of one attempt."""

    async def news(self, *, last: bool = False) -> tuple[Sighting, ...]:
        """What is newly known since the last call: an agent once at the most; never raises.

        `last`: what is told from may be gone at the next call, so all that can be known now is.
        """


class Cooperbench(Protocol):
    """What only knows upstream: its command line, its files, its layout."""

    def order(self, plan: Plan, spec: JobSpec, number: int, token: str, folder: Path) -> LaunchOrder: ...

    async def prepare(self, folder: Path) -> None:
        """Make the attempt's folder, empty."""

    async def delivered(self, plan: Plan, spec: JobSpec) -> tuple[Outcome, str] | None:
        """The sound result that is there already, and its path; raises Quarantined."""

    def progress(self, plan: Plan, spec: JobSpec, folder: Path) -> Progress:
        """What is seen of the attempt in this folder while it runs."""

    async def read(self, plan: Plan, spec: JobSpec, folder: Path, exit_status: int | None) -> Outcome:
        """What the attempt in this folder ended in, from its files; never raises for what is in them."""

    async def deliver(self, plan: Plan, spec: JobSpec, folder: Path, outcome: Outcome, *, tag: bool) -> str:
        """Move the attempt's files to upstream's layout in one step; the path. `tag` marks infra_error.

        Raises:
            OSError: it could not be moved; everything is still in the attempt's folder or at its old place.
            Quarantined: as before; who calls again gives it another chance.
        """

    async def finish(self, board: Board) -> None:
        """Write `config.json` and `summary.json` of every run name."""


Tell = Callable[[Supply], Awaitable[None]]
"""Says how a supply stands, as often as one likes: what is not worth an event is dropped."""


class Supplier(Protocol):
    """Makes ready what jobs need of one kind, and watches over it while the sweep runs."""

    @property
    def kind(self) -> SupplyKind: ...

    async def supply(self, plan: Plan, jobs: Sequence[JobSpec], tell: Tell) -> None:
        """Get what `needed` names of this kind for these jobs and for what is wanted later, telling each change.

        Jobs wait for what is not told to be `there`. Runs until cancelled; called again, seconds later, when it raises.
        """

    def want(self, name: str) -> None:
        """A job runs again that needs this, which has failed or was not needed until now: try it (once more)."""

    async def end(self) -> None:
        """End what was started for this sweep; called once nothing needs it any more. Seconds at the most."""
