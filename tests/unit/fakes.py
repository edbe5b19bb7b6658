"""Fakes of the engine's ports: a ledger in memory, processes that end when told, results that were decided before."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from runner.engine.attempt import Attempts
from runner.engine.dispatcher import Dispatcher
from runner.engine.hub import Hub
from runner.engine.ports import LaunchOrder, LaunchRefused, LedgerUnwritable, Quarantined, Sighting, Tell
from runner.engine.sweep import Sweep
from runner.model import events as ev
from runner.model.board import Board
from runner.model.ids import JobId, PairId, job_id
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan, Rehearsal
from runner.model.reduce import reduce
from runner.model.supplies import Supply, SupplyKind, needed

OK = Outcome(None, "Submitted", "result.json", 0.5, 10, 5, 0, 60.0)
PROVIDER = Outcome("provider", "Error", "litellm.ServiceUnavailableError: x", 0.1, 3)
AUTH = Outcome("auth", "Error", "litellm.AuthenticationError: x", 0.0)


class MemoryLedger:
    """Keeps what is appended; refuses while `refuses` says so."""

    def __init__(self) -> None:
        self.envelopes: list[ev.Envelope] = []
        self.refuses: Callable[[Sequence[ev.Envelope]], bool] = lambda _: False

    async def append(self, envelopes: Sequence[ev.Envelope]) -> None:
        await anyio.lowlevel.checkpoint()
        if self.refuses(envelopes):
            raise LedgerUnwritable("database or disk is full")
        self.envelopes.extend(envelopes)

    def board(self) -> Board:
        board = Board()
        for envelope in self.envelopes:
            board = reduce(board, envelope)
        return board

    def events(self, kind: type[ev.Event]) -> list[ev.Event]:
        return [envelope.event for envelope in self.envelopes if isinstance(envelope.event, kind)]


class QuickClock:
    """The time of day stands still until somebody sleeps; sleeping takes a thousandth of what it should."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await anyio.sleep(seconds / 1000)


class FakeProcess:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.started_ticks = pid * 100
        self.over = anyio.Event()
        self.ended_by_us = False
        self.up_s = 0.0
        self.suspended_s = 0.0

    def age_s(self) -> float:
        return self.up_s

    async def wait(self) -> int | None:
        await self.over.wait()
        return 0

    async def end(self, grace_s: float) -> None:
        self.ended_by_us = True
        self.over.set()


@dataclass
class FakeLauncher:
    """Starts processes that end at once, or, where `holds`, when the test says so."""

    holds: bool = False
    refusals: int = 0
    orders: list[LaunchOrder] = field(default_factory=list)
    running: dict[int, FakeProcess] = field(default_factory=dict)
    peak: int = 0
    looks: list[tuple[frozenset[str], bool]] = field(default_factory=list)

    async def start(self, order: LaunchOrder) -> FakeProcess:
        await anyio.lowlevel.checkpoint()
        if self.refusals:
            self.refusals -= 1
            raise LaunchRefused("too many open files", 24)
        self.orders.append(order)
        process = FakeProcess(len(self.orders))
        self.running[process.pid] = process
        self.peak = max(self.peak, sum(not one.over.is_set() for one in self.running.values()))
        if not self.holds:
            process.over.set()
        return process

    async def adopt(self, pid: int, started_ticks: int) -> FakeProcess | None:
        process = self.running.get(pid)
        return process if process is not None and process.started_ticks == started_ticks else None

    async def find(self, token: str, folder: Path) -> FakeProcess | None:
        for place, order in enumerate(self.orders, start=1):
            if order.environment["COOPDECK_TOKEN"] == token:
                return self.running[place]
        return None

    async def end_strays(self, tokens: Collection[str] | None, *, everywhere: bool = False) -> int:
        self.looks.append((frozenset(tokens or ()), everywhere))
        return 0


@dataclass
class FakeContainers:
    """Remembers whose containers were removed; `takes_s` is how long Docker takes for it."""

    removed: list[frozenset[str]] = field(default_factory=list)
    killed: set[str] = field(default_factory=set)
    takes_s: float = 0.0

    async def remove(self, tokens: Collection[str], *, killed: bool = False) -> int:
        await anyio.sleep(self.takes_s)
        self.killed |= set(tokens) if killed else set()
        self.removed.append(frozenset(tokens))
        return len(tokens)


class FakeProgress:
    """Tells what it was made with, once."""

    def __init__(self, seen: tuple[Sighting, ...]) -> None:
        self._seen = seen

    async def news(self, *, last: bool = False) -> tuple[Sighting, ...]:
        await anyio.lowlevel.checkpoint()
        seen, self._seen = self._seen, ()
        return seen


@dataclass
class FakeCooperbench:
    """Results come from `outcomes` in order, for each job; a job without any ends in OK."""

    outcomes: dict[JobId, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    there: dict[JobId, Outcome] = field(default_factory=dict)
    delivered_jobs: list[tuple[JobId, bool]] = field(default_factory=list)
    seen: dict[str, tuple[Sighting, ...]] = field(default_factory=dict)
    delivery_errors: int = 0
    brings_down: set[JobId] = field(default_factory=set)
    """Jobs of which the runner has died twice."""
    finished: int = 0

    def order(self, plan: Plan, spec: JobSpec, number: int, token: str, folder: Path) -> LaunchOrder:
        return LaunchOrder(("cooperbench", spec.id), {"COOPDECK_TOKEN": token}, folder, folder)

    async def prepare(self, folder: Path) -> None:
        await anyio.lowlevel.checkpoint()

    async def delivered(self, plan: Plan, spec: JobSpec) -> tuple[Outcome, str] | None:
        self._quarantine(spec)
        found = self.there.get(spec.id)
        return (found, "/there") if found else None

    def progress(self, plan: Plan, spec: JobSpec, folder: Path) -> "FakeProgress":
        return FakeProgress(self.seen.get(folder.parent.name, ()))

    async def read(self, plan: Plan, spec: JobSpec, folder: Path, exit_status: int | None) -> Outcome:
        waiting = self.outcomes.get(spec.id)
        return waiting.pop(0) if waiting else OK

    async def deliver(self, plan: Plan, spec: JobSpec, folder: Path, outcome: Outcome, *, tag: bool) -> str:
        self._quarantine(spec)
        if self.delivery_errors:
            self.delivery_errors -= 1
            raise OSError(28, "No space left on device")
        self.delivered_jobs.append((spec.id, tag))
        return f"/delivered/{spec.id}"

    def _quarantine(self, spec: JobSpec) -> None:
        if spec.id in self.brings_down:
            raise Quarantined("the runner died 2 times while it delivered this")

    async def finish(self, board: Board) -> None:
        self.finished += 1


class FakeSupplier:
    """Tells what the test lets it tell; holds the last that it was told to be for each name."""

    def __init__(self, kind: SupplyKind = "image", *, at_once: bool = False) -> None:
        self.kind: SupplyKind = kind
        self.at_once = at_once
        """Everything is there as soon as it is asked for."""
        self.names: list[str] = []
        self.wanted: list[str] = []
        self.ended = 0
        self.breaks = 0
        """How often it raises before it works."""
        self._tell: Tell | None = None

    async def supply(self, plan: Plan, jobs: Sequence[JobSpec], tell: Tell) -> None:
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("the supplier has a bug")
        self._tell = tell
        self.names = list(
            dict.fromkeys(name for spec in jobs for kind, name in needed(plan, spec) if kind == self.kind)
        )
        if self.at_once:
            for name in self.names:
                await tell(Supply(self.kind, name, "there"))
        await anyio.sleep_forever()

    def want(self, name: str) -> None:
        self.wanted.append(name)

    async def end(self) -> None:
        self.ended += 1

    async def tell(self, supply: Supply) -> None:
        while self._tell is None:
            await anyio.sleep(0.001)
        await self._tell(supply)


def jobs(number: int, setting: str = "solo") -> tuple[JobSpec, ...]:
    pairs = [PairId("toy_task", task, (1, 2)) for task in range(1, number + 1)]
    return tuple(JobSpec(job_id(setting, pair), setting, f"s-{setting}", pair, "m") for pair in pairs)


def the_plan(**changes: object) -> Plan:
    # A rehearsal this fast has delays of milliseconds between tries.
    values: dict[str, object] = {"slots": 2, "attempts": 3, "rehearsal": Rehearsal(speed=10_000), **changes}
    return Plan("s", ("cooperbench",), "/logs", ("solo",), ("m",), "a", **values)  # type: ignore[arg-type]


@dataclass
class Deck:
    """An engine on fakes. `run` plays a sweep to its end."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    cooperbench: FakeCooperbench = field(default_factory=FakeCooperbench)
    containers: FakeContainers = field(default_factory=FakeContainers)
    clock: QuickClock = field(default_factory=QuickClock)
    hub: Hub = field(default_factory=Hub)
    suppliers: list[FakeSupplier] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(self.ledger.board(), self.ledger, self.clock, self.hub.publish)
        self.sweep: Sweep | None = None

    @property
    def board(self) -> Board:
        return self.dispatcher.board

    async def run(
        self,
        *opening: ev.Event,
        meanwhile: Callable[["Deck"], object] | None = None,
        recheck: bool = False,
        within_s: float = 40.0,
    ) -> str:
        """`meanwhile` is an async function of this deck, run beside the sweep; the reason the sweep ended with."""
        reason = ""
        with anyio.fail_after(within_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.dispatcher.run)
                await self.dispatcher.record(ev.RunnerStarted(1, "h", "v"), *opening)
                attempts = Attempts(
                    self.dispatcher,
                    self.launcher,
                    self.cooperbench,
                    self.containers,
                    self.clock,
                    Path("/sweep"),
                    lambda: 0.0,
                )
                self.sweep = Sweep(
                    attempts,
                    self.cooperbench,
                    self.hub,
                    expects_client=False,
                    recheck=recheck,
                    suppliers=self.suppliers,
                )
                if meanwhile is not None:
                    tasks.start_soon(meanwhile, self)  # type: ignore[arg-type]
                reason = await self.sweep.run()
                await self.dispatcher.record(ev.RunnerStopped(reason))
                tasks.cancel_scope.cancel()
        return reason
