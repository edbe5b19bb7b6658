"""Processes that an attempt left behind outside its group: found, ended, reaped.

The runner is the subreaper of what it starts: a process whose parents are gone becomes its child, wherever it hid.
"""

import ctypes
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

import anyio

from runner.engine.patience import SHORT

TOKEN_VARIABLE = b"COOPDECK_TOKEN="
GRACE_S = 1.0
"""From SIGTERM to SIGKILL."""
GIVE_UP_S = 3.0
"""What is stuck in the kernel dies when the kernel lets it."""
_LOOK_S = 0.05
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Stat:
    """From proc(5), stat."""

    state: str
    session: int
    started_ticks: int

    @property
    def dead(self) -> bool:
        return self.state in "ZX"


@dataclass(frozen=True, slots=True)
class Stray:
    pid: int
    started_ticks: int
    token: str


def become_subreaper() -> None:
    """Adopt the orphans among what this process starts from now on; children do not inherit this."""
    # A kernel without it leaves orphans to init: then only a look everywhere finds them.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def stat_of(pid: int) -> Stat | None:
    """None when there is no such process; raises OSError when this process may open no file now."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError as error:
        _only_gone(error)
        return None
    # The second field, the command in brackets, may hold anything; what follows the last bracket is plain.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Stat(fields[0].decode(), int(fields[3]), int(fields[19]))


def token_of(pid: int) -> str | None:
    """The token in the process's environment; None when it has none or may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError as error:
        _only_gone(error)
        return None
    if TOKEN_VARIABLE not in environment:
        return None
    for variable in environment.split(b"\0"):
        if variable.startswith(TOKEN_VARIABLE):
            return variable.removeprefix(TOKEN_VARIABLE).decode(errors="replace")
    return None


def carriers(tokens: Collection[str]) -> list[Stray]:
    """Every process of the machine that carries one of the tokens."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (pid := int(entry.name)) != os.getpid():
            token = token_of(pid)
            stat = stat_of(pid) if token in tokens else None
            if token is not None and stat is not None and not stat.dead:
                found.append(Stray(pid, stat.started_ticks, token))
    return found


def orphans(started: Collection[int], tokens: Collection[str] | None) -> list[Stray]:
    """Children of this process that nobody here started, and that carry one of the tokens; None: all of them.

    Those that are dead are reaped. Programs that the runner runs for itself stay in its own session; what an attempt
    started cannot come into it.
    """
    found, session = [], os.getsid(0)
    for pid in _children():
        if pid in started:
            continue
        stat = stat_of(pid)
        if stat is None or stat.session == session:
            continue
        if stat.dead:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            continue
        token = token_of(pid)
        if tokens is None or token in tokens:
            found.append(Stray(pid, stat.started_ticks, token or ""))
    return found


def _only_gone(error: OSError) -> None:
    """Who cannot look must not say that nothing is there: a process taken for gone would be bought again."""
    if error.errno in SHORT:
        raise error


async def end(look: Callable[[], Awaitable[list[Stray]]]) -> int:
    """End what `look` finds until it finds nothing: SIGTERM, then SIGKILL; how many there were."""
    asked: set[tuple[int, int]] = set()
    began = anyio.current_time()
    while True:
        waited = anyio.current_time() - began
        try:
            strays = await look()
        except OSError:
            if waited > GIVE_UP_S:
                break
            await anyio.sleep(_LOOK_S)
            continue
        if not strays:
            break
        for stray in strays:
            name = (stray.pid, stray.started_ticks)
            if waited > GRACE_S:
                _signal(stray, signal.SIGKILL)
            elif name not in asked:
                _signal(stray, signal.SIGTERM)
            asked.add(name)
        if waited > GIVE_UP_S:
            break
        await anyio.sleep(_LOOK_S)
    return len(asked)


def _children() -> Iterator[int]:
    for thread in os.scandir("/proc/self/task"):
        with suppress(OSError), open(f"/proc/self/task/{thread.name}/children", "rb") as file:
            yield from map(int, file.read().split())


def _signal(stray: Stray, number: signal.Signals) -> None:
    """Through a descriptor: the number may have gone to a stranger since the look."""
    with suppress(OSError):
        descriptor = os.pidfd_open(stray.pid)
        try:
            stat = stat_of(stray.pid)
            if stat is not None and stat.started_ticks == stray.started_ticks:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
