"""The runner's process: one sweep, its lock, ledger, socket and queue.

Started as `python -m runner.daemon`, with a `StartOrder` as JSON on standard input; says one line of JSON on
standard output, `{"ready": true}` or `{"refused": "a sentence"}`, and goes on in the background.
"""

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

# By name: anyio loads this at its first use, which must not be when no file can be opened any more.
from anyio import open_signal_receiver

from runner import __version__
from runner.adapters.clock import SystemClock
from runner.adapters.containers import DockerContainers, NoContainers, docker_program
from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.docker_engine import connect
from runner.adapters.dotenv_file import project_environment
from runner.adapters.git_supply import GitSupply
from runner.adapters.image_supply import ImageSupplier
from runner.adapters.images import Connection
from runner.adapters.ledger import SqliteLedger
from runner.adapters.places import Places, SweepLock
from runner.adapters.processes import ProcessLauncher
from runner.adapters.redis_servers import RedisServers
from runner.adapters.redis_supply import RedisSupply
from runner.adapters.socket import ClientServer
from runner.adapters.strays import become_subreaper
from runner.adapters.warm import CannotFork, Recipe
from runner.adapters.warm_launcher import WarmLauncher
from runner.engine.attempt import Attempts
from runner.engine.dispatcher import Dispatcher
from runner.engine.hub import Hub
from runner.engine.patience import record
from runner.engine.ports import Containers, LaunchOrder, LaunchRefused, LedgerUnwritable, Supplier
from runner.engine.sweep import Sweep
from runner.model import events as ev
from runner.model.board import Board
from runner.model.commands import Command, Reply, Stop
from runner.model.events import StopMode
from runner.model.plan import JobSpec, Plan
from runner.model.refusal import UsageRefused
from runner.model.settings import SETTINGS
from runner.wire.codec import from_json, to_json

FOLDER_S = 2.0
"""Between two looks at whether the sweep's folder is still there."""
WARM_LOG = "warm.log"
INSIST_S = 25.0
"""Less than whoever starts a runner waits for its first word."""
LAST_WORD_S = 20.0
"""A runner that cannot write its last word ends as if it had been killed, which is made good at the next start."""


@dataclass(frozen=True, slots=True)
class StartOrder:
    """What the command line asks a new runner for."""

    root: str
    sweep: str
    plan: Plan | None
    """None: go on with what the ledger holds."""
    jobs: tuple[JobSpec, ...] = ()
    expects_client: bool = False


def opening(board: Board, order: StartOrder) -> list[ev.Event]:
    """The events with which a new runner takes a sweep up: its plan, its jobs, what runs again.

    Without a plan the sweep goes on where it was; what failed is not asked for again.
    """
    opened: list[ev.Event] = []
    if order.plan is not None:
        opened += [ev.SweepPlanned(order.plan), ev.JobsPlanned(order.jobs)]
        for spec in order.jobs:
            row = board.jobs.get(spec.id)
            if row is None:
                continue
            if row.state in {"failed", "cancelled"}:
                opened.append(ev.JobQueued(spec.id, "the sweep was run again"))
            elif row.settled and order.plan.force:
                opened.append(ev.JobQueued(spec.id, "the sweep was run again with --force"))
    return opened


async def own(order: StartOrder) -> None:
    """Own the sweep until it is over. Raises UsageRefused before anything has happened."""
    places = Places(Path(order.root))
    sweep_dir = places.sweep_dir(order.sweep)
    sweep_dir.mkdir(parents=True, exist_ok=True)
    listening = places.socket(order.sweep)
    lock = SweepLock(places.lock(order.sweep), listening)
    lock.acquire()
    ledger = SqliteLedger(places.ledger(order.sweep))
    hub, clock = Hub(), SystemClock()
    board = ledger.board()
    if not board.seq and any((sweep_dir / "attempts").glob("*/*")):
        raise UsageRefused(
            f"the ledger {places.ledger(order.sweep)} is empty, and there are attempts beside it: its history is lost; "
            "bring it back from a copy, or start the sweep anew under another name: results that are there stay"
        )
    dispatcher = Dispatcher(board, ledger, clock, hub.publish)

    def troubled(reason: str) -> None:
        # Three ways out, for none of them can be counted on when the disk is full.
        lock.note(reason)
        hub.resend()
        if reason:
            with suppress(OSError):
                os.write(2, f"the ledger cannot be written: {reason}\n".encode())

    dispatcher.when_troubled = troubled
    if dispatcher.board.plan is None and order.plan is None:
        raise UsageRefused(f"the sweep '{order.sweep}' has no plan; say what to run, for example --subset lite")

    async def fell_back(reason: str) -> None:
        _note(f"attempts start by the plain command: {reason}")
        await record(dispatcher, clock, ev.LauncherFellBack(reason))

    cooperbench = CooperbenchFiles(places.root, sweep_dir / "looks")
    plan = order.plan or dispatcher.board.plan
    processes = ProcessLauncher()
    launcher = _launcher(plan, processes, sweep_dir / WARM_LOG, fell_back)
    if plan is not None and plan.launcher == "warm" and isinstance(launcher, WarmLauncher):
        specs = order.jobs or [row.spec for row in dispatcher.board.jobs.values()]
        await _insist(launcher, cooperbench.order(plan, specs[0], 1, "", sweep_dir))
    environment = project_environment(places.root)
    containers = _containers(plan, environment)
    redis = RedisSupply(
        RedisServers(sweep_dir, processes, environment), environment, dispatcher.board.supplies.get(("redis", ""))
    )
    attempts = Attempts(dispatcher, launcher, cooperbench, containers, clock, sweep_dir, random.random)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.run)
        was_finished = dispatcher.board.finished_at is not None
        opened = opening(dispatcher.board, order)
        started = ev.RunnerStarted(os.getpid(), socket.gethostname(), __version__)
        try:
            await dispatcher.record(started, *opened)
        except LedgerUnwritable as error:
            raise UsageRefused(f"the sweep cannot begin: {error}") from None
        sweep = Sweep(
            attempts,
            cooperbench,
            hub,
            expects_client=order.expects_client,
            recheck=was_finished,
            suppliers=_suppliers(places, dispatcher.board.plan, redis, environment),
        )
        server = ClientServer(listening, sweep_dir, hub, lambda: dispatcher.shown, sweep.obey)
        await tasks.start(server.serve)
        tasks.start_soon(_on_signals, sweep.obey)
        tasks.start_soon(_on_lost_folder, lock, sweep.obey)
        _say('{"ready": true}')
        reason = await sweep.run()
        await launcher.close()
        with anyio.move_on_after(LAST_WORD_S):
            await record(dispatcher, clock, ev.RunnerStopped(reason))
        await hub.drained(within_s=2.0)
        tasks.cancel_scope.cancel()
    ledger.close()
    lock.release()


def _launcher(
    plan: Plan | None, plain: ProcessLauncher, log: Path, fell_back: Callable[[str], Awaitable[None]]
) -> ProcessLauncher | WarmLauncher:
    # The double is as cheap to start as a warm child.
    if plan is None or plan.rehearsal is not None or plan.launcher == "cli":
        return plain
    recipe = Recipe(Path(plan.program[0]), log)
    insist = plan.launcher == "warm"
    return WarmLauncher(plain, recipe, insist=insist, fell_back=fell_back, note=_note)


async def _insist(launcher: WarmLauncher, order: LaunchOrder) -> None:
    """Raises UsageRefused where only the plain command would do."""
    try:
        await launcher.begin(order, INSIST_S)
    except (CannotFork, LaunchRefused) as error:
        raise UsageRefused(f"--launcher warm cannot work: {error}; leave it out") from None


def _note(says: str) -> None:
    """For the runner's log."""
    with suppress(OSError):
        os.write(2, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {says}\n".encode())


def _containers(plan: Plan | None, environment: Mapping[str, str]) -> Containers:
    if plan is None or plan.rehearsal is not None or plan.backend != "docker":
        return NoContainers()
    teams = any(SETTINGS[setting].mode == "team" for setting in plan.settings)
    return DockerContainers(environment, volumes=teams)


def _suppliers(places: Places, plan: Plan | None, redis: Supplier, environment: Mapping[str, str]) -> list[Supplier]:
    """Who makes ready what this sweep's jobs need, by kind; what none is here for is not waited for."""
    suppliers: list[Supplier] = []
    if plan is None or plan.rehearsal is not None:
        return suppliers
    suppliers.append(redis)
    # Another program in docker's place may speak to another engine than the SDK does: its images are its own affair.
    if plan.backend == "docker" and Path(docker_program(environment)).name == "docker":
        suppliers.append(ImageSupplier(places.state, Connection(lambda: connect(environment))))
    if plan.git and plan.backend == "docker":
        suppliers.append(GitSupply(environment, places.root))
    return suppliers


async def _on_lost_folder(lock: SweepLock, obey: Callable[[Command], Awaitable[Reply]]) -> None:
    """Without its folder nobody can find the runner, or be kept from starting another: let it spend no more."""
    while lock.stands:  # noqa: ASYNC110 - a file system tells nobody that it has lost a file
        await anyio.sleep(FOLDER_S)
    os.write(2, b"the sweep's folder is gone; what runs may finish, nothing new starts\n")
    await obey(Stop("drain"))


async def _on_signals(obey: Callable[[Command], Awaitable[Reply]]) -> None:
    """SIGTERM and SIGINT drain; again, they stop now. A closed terminal (SIGHUP) is none of our business."""
    mode: StopMode = "drain"
    with open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            reply = await obey(Stop(mode))
            mode = "now"
            if not reply.ok:
                _note(reply.says)


def _say(line: str) -> None:
    """The one line to whoever started us, who may be gone already; then standard output is let go."""
    with suppress(OSError):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    with suppress(OSError):
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.close(silence)


def _leaves(group: BaseExceptionGroup[UsageRefused]) -> list[UsageRefused]:
    found: list[UsageRefused] = []
    for one in group.exceptions:
        found += _leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


def main() -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    become_subreaper()
    order = from_json(StartOrder, sys.stdin.buffer.read())
    refusals: list[str] = []
    try:
        anyio.run(own, order)
    except* UsageRefused as group:
        refusals += map(str, _leaves(group))
    for refusal in refusals[:1]:
        _say(to_json({"refused": refusal}).decode())
    return 2 if refusals else 0


if __name__ == "__main__":
    sys.exit(main())
