"""What sweeps without a runner have left: in Docker, as processes, in files. Looks, and removes what it is told to."""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from runner.adapters import strays
from runner.adapters.containers import DockerContainers, DockerSilent, Made
from runner.adapters.dotenv_file import project_environment
from runner.adapters.image_check import abandoned
from runner.adapters.listeners import dead_sockets, remove_dead
from runner.adapters.places import SweepLock
from runner.adapters.processes import started_ticks
from runner.adapters.redis_servers import redis_token
from runner.commands.evaluating import lock_of, tokens_of
from runner.commands.sweeps import DEMO_FOLDER, Known
from runner.model.board import Board
from runner.model.refusal import UsageRefused
from runner.model.rows import ACTIVE, AttemptRow

DOCKER_S = 30.0
NO_RUNNER = "(no runner)"
"""Whose socket it was cannot be told: its name is a digest, and the folder is all projects'."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A file, folder or process, and whose it is."""

    sweep: str
    """As `named` has it."""
    what: str
    path: Path | None = None
    bytes: int = 0


@dataclass(slots=True)
class Left:
    """Everything of sweeps that no runner owns; nothing that an attempt still running needs."""

    containers: list[Made] = field(default_factory=list)
    volumes: list[Made] = field(default_factory=list)
    processes: list[Owned] = field(default_factory=list)
    sockets: list[Owned] = field(default_factory=list)
    copies: list[Owned] = field(default_factory=list)
    attempts: list[Owned] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    """Of attempts that are over and of Redis servers that none needs, with their sweeps."""
    still_running: dict[str, int] = field(default_factory=dict)
    """Attempts whose runner is gone and which can be adopted, by sweep."""
    unreadable: list[str] = field(default_factory=list)
    """Sweeps whose ledger does not tell what is over: nothing of theirs is touched."""
    docker: str = ""
    """Why Docker could not be asked."""

    @property
    def empty(self) -> bool:
        return not (self.containers or self.volumes or self.processes or self.sockets or self.copies)


def named(sweep: Known) -> str:
    """The demo, which stands in a folder of its own, may be called as a sweep of the project is."""
    return f"demo/{sweep.name}" if sweep.places.root.match(str(DEMO_FOLDER)) else sweep.name


def look(sweeps: Iterable[Known], *, attempts: bool) -> Left:
    """What is left of those of the sweeps that have no runner.

    Args:
        attempts: the folders with the attempts of finished sweeps as well.
    """
    left, real = Left(), False
    boards: list[tuple[Known, Board]] = []
    for sweep in sweeps:
        try:
            if sweep.pid is None:
                boards.append((sweep, sweep.board()))
        except UsageRefused:
            left.unreadable.append(named(sweep))
    owners = {one.token: named(sweep) for sweep, board in boards for row in board.jobs.values() for one in row.attempts}
    evaluations = {(sweep.name, sweep.places.root): _evaluations(sweep) for sweep, _ in boards}
    owners |= {token: named(sweep) for sweep, _ in boards for token in evaluations[sweep.name, sweep.places.root]}
    servers = {redis_token(sweep.folder): named(sweep) for sweep, _ in boards}
    found = strays.carriers(owners.keys() | servers.keys())
    for sweep, board in boards:
        name = named(sweep)
        real |= board.plan is not None and board.plan.rehearsal is None and board.plan.backend == "docker"
        for row in board.jobs.values():
            for attempt in row.attempts:
                if attempt is row.attempts[-1] and row.state in ACTIVE and _up(attempt, found):
                    left.still_running[name] = left.still_running.get(name, 0) + 1
                else:
                    left.tokens[attempt.token] = name
        left.tokens |= dict.fromkeys(evaluations[sweep.name, sweep.places.root], name)
        if sweep.socket.exists():
            left.sockets.append(Owned(name, str(sweep.socket), sweep.socket))
        left.copies += [_folder(name, copy) for copy in _copies(board)]
        folder = sweep.folder / "attempts"
        if attempts and sweep.state(board) == "finished" and folder.is_dir():
            left.attempts.append(_folder(name, folder))
    known = {owned.path for owned in left.sockets}
    left.sockets += [Owned(NO_RUNNER, str(path), path) for path in dead_sockets() if path not in known]
    # Attempts that can still be adopted talk through it.
    left.tokens |= {token: name for token, name in servers.items() if name not in left.still_running}
    left.processes = [
        Owned(left.tokens[stray.token], f"{stray.pid} {_command(stray.pid)}")
        for stray in found
        if stray.token in left.tokens
    ]
    if real and left.tokens:
        anyio.run(_look_in_docker, left)
    return left


def remove(left: Left, sweeps: Sequence[Known], *, attempts: bool) -> list[str]:
    """Remove it, except of sweeps that have a runner by now; what could not be removed, in sentences.

    What was over when it was looked at is over for good; what a new runner could still use is looked at again.
    """
    problems: list[str] = []
    locks: dict[str, SweepLock] = {}
    for sweep in sweeps:
        lock = SweepLock(sweep.places.lock(sweep.name))
        try:
            lock.acquire()
        except UsageRefused:
            continue
        locks[named(sweep)] = lock
    try:
        tokens = {token for token, sweep in left.tokens.items() if sweep in locks}
        checks = {made.token for made in left.containers if abandoned(made.token)}
        anyio.run(_remove_in_docker, left, tokens | checks)
        anyio.run(_end, tokens)
        for owned in left.sockets + left.copies:
            if owned.sweep in locks and owned.path is not None:
                problems += _delete(owned.path)
            elif owned.sweep == NO_RUNNER and owned.path is not None:
                with suppress(OSError):  # gone, or its runner's again; what stays is listed again
                    remove_dead(owned.path)
        if attempts:
            known = {named(one): one for one in sweeps}
            for owned in left.attempts:
                # A runner may have come and gone since.
                finished = owned.sweep in locks and known[owned.sweep].board().finished_at is not None
                if finished and owned.path is not None:
                    problems += _delete(owned.path)
    finally:
        for lock in locks.values():
            lock.release()
    problems += [f"the sweep '{name}' has a runner now" for name in {named(one) for one in sweeps} - locks.keys()]
    return problems


def _evaluations(sweep: Known) -> frozenset[str]:
    """The tokens of evaluations that are over: of all, or of none while some are made."""
    tokens = tokens_of(sweep.places, sweep.name)
    if tokens:
        try:
            lock_of(sweep.places, sweep.name).release()
        except UsageRefused:
            return frozenset()
    return tokens


def _up(attempt: AttemptRow, found: Sequence[strays.Stray]) -> bool:
    if attempt.pid is not None:
        return started_ticks(attempt.pid) == attempt.started_ticks
    return any(stray.token == attempt.token and _leads(stray.pid) for stray in found)


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _copies(board: Board) -> list[Path]:
    """Deliveries that were not finished: `.f1_f2.delivering` beside where the result belongs."""
    if board.plan is None:
        return []
    runs = {row.spec.run_name for row in board.jobs.values()}
    return [copy for run in sorted(runs) for copy in Path(board.plan.logs_dir, run).glob("*/*/*/.*.delivering")]


def _folder(sweep: str, folder: Path) -> Owned:
    size = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))
    return Owned(sweep, str(folder), folder, size)


def _docker() -> DockerContainers:
    return DockerContainers(project_environment(Path.cwd()), volumes=True, wait_s=DOCKER_S)


async def _look_in_docker(left: Left) -> None:
    try:
        with anyio.fail_after(DOCKER_S):
            left.containers = [
                made
                for made in await _docker().containers(sizes=True)
                if made.token in left.tokens or abandoned(made.token)
            ]
            left.volumes = [made for made in await _docker().volumes() if made.token in left.tokens]
    except TimeoutError:
        left.docker = f"Docker has not answered for {DOCKER_S:g} s"
    except DockerSilent as silent:
        left.docker = str(silent)


async def _remove_in_docker(left: Left, tokens: set[str]) -> None:
    if left.containers or left.volumes:
        await _docker().remove(tokens)


async def _end(tokens: set[str]) -> None:
    if tokens:
        await strays.end(lambda: anyio.to_thread.run_sync(strays.carriers, tokens))


def _delete(path: Path) -> list[str]:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        return [f"{path} cannot be removed: {error.strerror}"]
    return []
