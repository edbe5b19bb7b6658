"""Processes of attempts: started in a session of their own, waited for by a descriptor, ended with their group."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

from runner.engine.ports import LaunchOrder, LaunchRefused

LOG_NAME = "output.log"
_TOKEN_VARIABLE = b"COOPDECK_TOKEN="


class Process:
    """A process of ours or of an earlier runner; both are waited for through a pidfd (Linux 5.3)."""

    def __init__(self, pid: int, started_ticks: int, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
        self.started_ticks = started_ticks
        self._child = child
        self._pidfd = os.pidfd_open(pid)

    async def wait(self) -> int | None:
        await anyio.wait_readable(self._pidfd)
        return self._over()

    async def end(self, grace_s: float) -> None:
        self._signal_group(signal.SIGTERM)
        with anyio.move_on_after(grace_s):
            await anyio.wait_readable(self._pidfd)
        # Also when the leader went in peace: members of its group may have stayed.
        self._signal_group(signal.SIGKILL)
        await anyio.wait_readable(self._pidfd)
        self._over()

    def _over(self) -> int | None:
        """Reap a child of ours; a process of an earlier runner is reaped by init."""
        os.close(self._pidfd)
        return self._child.wait() if self._child is not None else None

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class ProcessLauncher:
    """Starts attempts as plain processes."""

    async def start(self, order: LaunchOrder) -> Process:
        return await anyio.to_thread.run_sync(_start, order)

    async def adopt(self, pid: int, started_ticks: int) -> Process | None:
        return _same(pid, started_ticks)

    async def find(self, token: str) -> Process | None:
        return await anyio.to_thread.run_sync(_find, token)


def started_ticks(pid: int) -> int | None:
    """Clock ticks since boot at which the process started (proc(5), field 22 of stat); None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field, the command in brackets, may hold anything; what follows the last bracket is plain.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if fields[0] in {b"Z", b"X"}:
        return None
    return int(fields[19])


def _start(order: LaunchOrder) -> Process:
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
    ticks = started_ticks(child.pid)
    return Process(child.pid, ticks if ticks is not None else 0, child)


def _same(pid: int, ticks: int) -> Process | None:
    if started_ticks(pid) != ticks:
        return None
    try:
        process = Process(pid, ticks, None)
    except ProcessLookupError:
        return None
    # Between the look and the descriptor the number may have gone to a stranger.
    return process if started_ticks(pid) == ticks else None


def _find(token: str) -> Process | None:
    wanted = _TOKEN_VARIABLE + token.encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                pid = int(entry.name)
                # The attempt itself leads its session; its children carry the token too.
                ticks = started_ticks(pid)
                if ticks is not None and os.getsid(pid) == pid:
                    return _same(pid, ticks)
    return None
