"""Processes of attempts: started in a session of their own, waited for by a descriptor, ended with their group."""

import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from runner.adapters import strays
from runner.engine.patience import SHORT
from runner.engine.ports import LaunchOrder, LaunchRefused

LOG_NAME = "output.log"
CLAIM_NAME = "claim"
"""In an attempt's folder: made by one process alone, a forked child that goes on or a runner that found nobody."""
Reap = Callable[[], Awaitable[int | None]]


class Process:
    """A process of ours or of an earlier runner; both are waited for through a pidfd (Linux 5.3).

    `reap` gives the exit status of one that is over; there is none for a process that an earlier runner started.
    """

    def __init__(self, pid: int, started_ticks: int, reap: Reap | None) -> None:
        self.pid = pid
        self.started_ticks = started_ticks
        self.over = False
        self.reap = reap
        # Of these two clocks only the first goes on while the machine is suspended.
        suspended = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        self.suspended_s = max(0.0, round(suspended, 3))
        self._pidfd = os.pidfd_open(pid)

    def age_s(self) -> float:
        ticks_a_second = os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - self.started_ticks / ticks_a_second)

    async def wait(self) -> int | None:
        await anyio.wait_readable(self._pidfd)
        return await self._over()

    async def end(self, grace_s: float) -> None:
        self._signal_group(signal.SIGTERM)
        with anyio.move_on_after(grace_s):
            await anyio.wait_readable(self._pidfd)
        # Also when the leader went in peace: members of its group may have stayed.
        self._signal_group(signal.SIGKILL)
        await anyio.wait_readable(self._pidfd)
        await self._over()

    def let_go(self) -> None:
        """Of a process that nobody will wait for."""
        os.close(self._pidfd)

    async def _over(self) -> int | None:
        """Reap a process of ours; one of an earlier runner is reaped by init."""
        with anyio.CancelScope(shield=True):
            self.let_go()
            status = await self.reap() if self.reap is not None else None
            self.over = True
        return status

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class ProcessLauncher:
    """Starts attempts as plain processes."""

    def __init__(self) -> None:
        self._started: dict[int, Process | None] = {}

    async def start(self, order: LaunchOrder) -> Process:
        return await anyio.to_thread.run_sync(_start, order, self._started)

    def mind(self, process: Process) -> None:
        """An attempt's own process is no stray, even if it is nobody else's child."""
        self._started[process.pid] = process

    async def adopt(self, pid: int, started_ticks: int) -> Process | None:
        return _same(pid, started_ticks)

    async def find(self, token: str, folder: Path | None = None) -> Process | None:
        return await anyio.to_thread.run_sync(_find, token, folder)

    async def close(self) -> None:
        """Nothing is held."""

    async def end_strays(self, tokens: Collection[str] | None, *, everywhere: bool = False) -> int:
        async def look() -> list[strays.Stray]:
            for pid in [pid for pid, process in list(self._started.items()) if process is not None and process.over]:
                del self._started[pid]
            found = strays.orphans(self._started.keys(), tokens)
            if everywhere and tokens:
                found += await anyio.to_thread.run_sync(partial(strays.carriers, tokens))
            return found

        return await strays.end(look)


def started_ticks(pid: int) -> int | None:
    """Clock ticks since boot at which the process started (proc(5), field 22 of stat); None if there is none."""
    stat = strays.stat_of(pid)
    return None if stat is None or stat.dead else stat.started_ticks


def claim(folder: Path) -> bool:
    """Keep a child that was forked for this attempt, and has not begun, from beginning; False when it has begun.

    Raises:
        OSError: the host is short of something.
    """
    try:
        os.close(os.open(folder / CLAIM_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in SHORT:
            raise
    # Where no file can be made, a child cannot begin either.
    return True


def _start(order: LaunchOrder, started: dict[int, Process | None]) -> Process:
    try:
        with open(order.folder / LOG_NAME, "ab") as log:
            child = subprocess.Popen(
                order.argv,
                cwd=order.working_dir,
                env=order.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise LaunchRefused(f"{order.argv[0]}: {error.strerror}", error.errno) from None
    started[child.pid] = None

    async def reap() -> int:
        return child.wait()

    try:
        ticks = started_ticks(child.pid)
        process = started[child.pid] = Process(child.pid, ticks if ticks is not None else 0, reap)
    except OSError as error:
        # It runs and cannot be watched: nobody may believe that it does not run.
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        del started[child.pid]
        raise LaunchRefused(f"{order.argv[0]}: {error.strerror}", error.errno) from None
    return process


def _same(pid: int, ticks: int) -> Process | None:
    if started_ticks(pid) != ticks:
        return None
    try:
        process = Process(pid, ticks, None)
    except ProcessLookupError:
        return None
    same = False
    try:
        # Between the look and the descriptor the number may have gone to a stranger.
        same = started_ticks(pid) == ticks
    finally:
        if not same:
            process.let_go()
    return process if same else None


def _find(token: str, folder: Path | None) -> Process | None:
    found = _carrier(token)
    if found is not None or folder is None or claim(folder):
        return found
    # One that began between the look and the claim carries the token now.
    return _carrier(token)


def _carrier(token: str) -> Process | None:
    # The eldest first: a child may have a session of its own too.
    for carrier in sorted(strays.carriers({token}), key=lambda one: one.started_ticks):
        with suppress(ProcessLookupError):
            # The attempt itself leads its session; its children carry the token too.
            if os.getsid(carrier.pid) == carrier.pid:
                return _same(carrier.pid, carrier.started_ticks)
    return None
