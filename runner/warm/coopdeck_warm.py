"""One process in cooperbench's environment that has imported it once, and forks a child for every attempt.

Started as `python coopdeck_warm.py DESCRIPTOR PROGRAM`. On that socket it says `{"ready": true}` or `{"cannot": why}`
once, and then answers line by line:

    {"fork": {argv, environment, token, log, claim, working_dir}} -> {"pid": n}
                                            | {"refused": why, "errno": n} | {"stale": true} | {"cannot": why}
    {"reap": pid}                           -> {"status": n}, negative for a signal; null for a stranger

It reaps nobody before it is asked to, so that a number names one process for as long as the runner needs it. When
the socket closes it goes, and what it has forked goes on.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

TOKEN = "COOPDECK_TOKEN"  # noqa: S105 - a name
PROBE = "coopdeck_probe"
LONGEST = 1024 * 1024
ALSO = ("litellm.responses.mcp.chat_completions_handler", "openai.resources.chat")
"""What the first call of a model imports, and takes a second for; where it is not to be had, the child does as ever."""
SETTLE_S = 2.0
"""Threads of an import may need a moment to end."""
DEAF = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Sent to the runner's group they mean the runner, which then says what is to be done."""


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


class Upstream:
    """What was imported, and the files that it was made from."""

    def __init__(self, program: str) -> None:
        if not sys.flags.safe_path:
            # Where `python PROGRAM` would look first.
            sys.path[0] = str(Path(program).resolve().parent)
        sys.argv = [program]
        kept = _open_files()
        self._cli: Any = importlib.import_module("cooperbench.cli")
        importlib.import_module("cooperbench.runner")
        for name in ALSO:
            if name.partition(".")[0] in sys.modules:
                with suppress(Exception):
                    importlib.import_module(name)
        _check_alone()
        shared = sorted(_open_files() - kept)
        if shared:
            raise CannotForkError(f"the import leaves open what attempts would share: {', '.join(shared)}")
        here = Path(str(self._cli.__file__))
        # Read at the import: the package, and the .env files that python-dotenv looks for upwards of it.
        self._sources = [here, *(parent / ".env" for parent in here.parents)]
        settings = getattr(sys.modules.get("cooperbench.agents.mini_swe_agent_v2"), "global_config_file", None)
        if settings is not None:
            self._sources.append(Path(settings))
        self._seen = self._look()

    @property
    def stale(self) -> bool:
        """A process started now would read something else than this one did."""
        return self._seen != self._look()

    def main(self) -> Any:
        return self._cli.main()

    def _look(self) -> list[tuple[int, int, int] | None]:
        found: list[tuple[int, int, int] | None] = []
        for path in self._sources:
            try:
                status = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return found


def _check_alone() -> None:
    """Raises CannotForkError: of several threads a fork keeps one, and the locks of all."""
    deadline = time.monotonic() + SETTLE_S
    while len(list(Path("/proc/self/task").iterdir())) > 1:
        if time.monotonic() > deadline:
            known = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
            raise CannotForkError(f"threads are alive after the import ({', '.join(known) or 'not of Python'})")
        time.sleep(0.02)


def _open_files() -> set[str]:
    """Open descriptors that two processes had better not share: connections, pipes, pollers."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            mode = os.fstat(int(link.name)).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISCHR(mode)):
                found.add(str(link.readlink()))
    return found


class Control:
    """The runner's questions, a JSON object a line, and our answers."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def say(self, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode() + b"\n"
        while data:
            data = data[os.write(self.descriptor, data) :]

    def questions(self) -> Iterator[dict[str, Any]]:
        """Until the runner is gone, or talks nonsense."""
        buffer = b""
        while len(buffer) < LONGEST:
            line, end, rest = buffer.partition(b"\n")
            if end:
                buffer = rest
                asked = json.loads(line)
                if not isinstance(asked, dict):
                    return
                yield asked
                continue
            some = os.read(self.descriptor, 65536)
            if not some:
                return
            buffer += some


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


def fork(order: dict[str, Any], block: EnvironmentBlock, handlers: dict[int, Any], control: Control) -> Attempt | int:
    """The child's number; in the child itself, once it is what it should be, the attempt.

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
            os.close(control.descriptor)
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


def serve(control: Control, upstream: Upstream, block: EnvironmentBlock, handlers: dict[int, Any]) -> Attempt | None:
    """None when the runner is gone; in a child, its attempt."""
    for asked in control.questions():
        if "reap" in asked:
            control.say({"status": _reap(asked["reap"])})
        elif upstream.stale:
            control.say({"stale": True})
        else:
            try:
                _check_alone()
                forked = fork(asked["fork"], block, handlers, control)
            except CannotForkError as error:
                control.say({"cannot": str(error)})
            except OSError as error:
                control.say({"refused": error.strerror or str(error), "errno": error.errno})
            else:
                if isinstance(forked, Attempt):
                    return forked
                control.say({"pid": forked})
    return None


def _reap(pid: int) -> int | None:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return None


def _prepared(program: str) -> tuple[Upstream, EnvironmentBlock]:
    """Raises CannotForkError."""
    try:
        return Upstream(program), EnvironmentBlock()
    except CannotForkError:
        raise
    except BaseException as error:
        traceback.print_exc()
        raise CannotForkError(f"cooperbench cannot be imported: {type(error).__name__}: {error}") from None


def attend(descriptor: int, program: str) -> tuple[Upstream, Attempt] | None:
    """In each child, what it is to run; None in the process that forks, when it is no longer needed."""
    control = Control(descriptor)
    os.set_inheritable(descriptor, False)
    try:
        upstream, block = _prepared(program)
    except CannotForkError as error:
        control.say({"cannot": str(error)})
        return None
    handlers: dict[int, Any] = {number: signal.signal(number, signal.SIG_IGN) or signal.SIG_DFL for number in DEAF}
    # What was imported stays for good: looking through it again would cost every child a copy of it.
    gc.collect()
    gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    control.say({"ready": True})
    attempt = serve(control, upstream, block, handlers)
    return None if attempt is None else (upstream, attempt)


def main() -> Any:
    forked = None
    # A runner that is gone, or talks nonsense: either way there is nothing more to do.
    with suppress(OSError, ValueError, KeyError, TypeError):
        forked = attend(int(sys.argv[1]), sys.argv[2])
    if forked is None:
        # Not as an interpreter ends: what the import has registered for its end is the attempts' business.
        sys.stdout.flush()
        os._exit(0)
    upstream, attempt = forked
    attempt.begin()
    return upstream.main()


if __name__ == "__main__":
    sys.exit(main())
