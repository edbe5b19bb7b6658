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

import gc
import importlib
import json
import os
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.warm.coopdeck_warm_attempt import Attempt, CannotForkError, EnvironmentBlock, fork
else:
    # There is no package around it, and under PYTHONSAFEPATH its folder is not looked in.
    sys.path.insert(0, str(Path(__file__).parent))
    from coopdeck_warm_attempt import Attempt, CannotForkError, EnvironmentBlock, fork

    del sys.path[0]

LONGEST = 1024 * 1024
ALSO = ("litellm.responses.mcp.chat_completions_handler", "openai.resources.chat")
"""What the first call of a model imports, and takes a second for; where it is not to be had, the child does as ever."""
SETTLE_S = 2.0
"""Threads of an import may need a moment to end."""
DEAF = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Sent to the runner's group they mean the runner, which then says what is to be done."""


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
                forked = fork(asked["fork"], block, handlers, control.descriptor)
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
