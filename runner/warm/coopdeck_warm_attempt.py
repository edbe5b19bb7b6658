"""What a forked child does to be what a process of its own would have been."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

TOKEN = "COOPDECK_TOKEN"  # noqa: S105 - a name
PROBE = "coopdeck_probe"


class CannotForkError(Exception):
    """A fork of this process would not be what a process of its own is; the message says why."""


class EnvironmentBlock:
    """The bytes that /proc/PID/environ shows: those of the program's start, whatever `os.environ` holds later.

    A child writes its own token over the placeholder: by it the runner finds attempts and what they leave behind.
    """

    def __init__(self) -> None:
        start, end = self._bounds()
        block = b"\0" + self._shown()
        name = f"\0{TOKEN}=".encode()
        at = block.find(name)
        if not start or at < 0 or len(block) - 1 != end - start:
            raise CannotForkError("the system does not show where this process keeps its environment")
        self._address = start + at - 1 + len(name)
        self._room = block.index(b"\0", at + 1) - at - len(name)

    def write(self, token: str) -> None:
        data = token.encode()
        if len(data) > self._room:
            raise CannotForkError(f"a token of {len(data)} bytes, and there is room for {self._room}")
        ctypes.memmove(self._address, data.ljust(self._room, b"\0"), self._room)
        if f"{TOKEN}={token}".encode() not in self._shown().split(b"\0"):
            raise CannotForkError("the system does not show what a process writes into its environment")

    @staticmethod
    def _bounds() -> tuple[int, int]:
        # proc(5): fields 50 and 51 of stat; what follows the last bracket begins with the third.
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[47]), int(fields[48])

    @staticmethod
    def _shown() -> bytes:
        return Path("/proc/self/environ").read_bytes()


class Attempt:
    """One order, in the child that was forked for it."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.argv: list[str] = order["argv"]
        self._environment: dict[str, str] = order["environment"]
        self._token: str = order["token"]
        self._log: str = order["log"]
        self._claim: str = order["claim"]
        self._working_dir: str = order["working_dir"]

    def become(self, block: EnvironmentBlock, handlers: dict[int, Any]) -> None:
        """What a process of its own would have been from the start; the last step is taken by one process alone."""
        os.setsid()
        block.write(self._token)
        os.environ.update(self._environment)
        os.chdir(self._working_dir)
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        # Who finds it taken comes too late: a runner that found nobody has counted the attempt as lost.
        os.close(os.open(self._claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def begin(self) -> None:
        sys.argv = self.argv
        random.seed()
        numpy_random: Any = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_random.seed()
        probe: Any = sys.modules.get(PROBE)
        if probe is not None:
            probe.install()


def fork(order: dict[str, Any], block: EnvironmentBlock, handlers: dict[int, Any], control: int) -> Attempt | int:
    """The child's number; in the child itself, once it is what it should be, the attempt; `control` is not the child's.

    Raises:
        OSError: there is no child, and why.
    """
    attempt = Attempt(order)
    told, tells = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(told)
        os.close(tells)
        raise
    if pid == 0:
        try:
            os.close(told)
            os.close(control)
            attempt.become(block, handlers)
            os.write(tells, b"ok")
            os.close(tells)
        except BaseException as error:
            number = error.errno if isinstance(error, OSError) else None
            os.write(tells, json.dumps([number, f"{type(error).__name__}: {error}"]).encode())
            os._exit(1)
        return attempt
    os.close(tells)
    says = b""
    while some := os.read(told, 65536):
        says += some
    os.close(told)
    if says == b"ok":
        return pid
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    problem: list[Any] = json.loads(says) if says else [None, f"the child was gone before it began ({status})"]
    raise OSError(problem[0] or 0, problem[1])
