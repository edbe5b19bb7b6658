"""The warm process: it has imported cooperbench once, and forks the attempts. See runner/warm/coopdeck_warm.py."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import warm
from runner.adapters.processes import CLAIM_NAME, LOG_NAME
from runner.adapters.program import CannotImport, warm_python
from runner.engine.ports import LaunchOrder, LaunchRefused

SCRIPT = Path(warm.__file__).with_name("coopdeck_warm.py")
TOKEN = "COOPDECK_TOKEN"  # noqa: S105 - a name
OURS = "COOPDECK_"
LATE = frozenset({"PATH"})
"""With what has our prefix, what may differ from one attempt to the next: an import does not depend on it."""
READY_S = 120.0
"""The import takes 4 s; on a host that is busy with many jobs far longer, as each job's own would."""
ANSWER_S = 30.0
LET_GO_S = 2.0
_LONGEST = 1024 * 1024
_ROOM = 64
"""Bytes that a token may have."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a warm process is made from."""

    program: Path
    """Upstream's own script."""
    log: Path
    """What the import says."""


class WarmGone(Exception):
    """The process is no longer there, or does not answer; the message says how it ended."""


class Slow(WarmGone):
    """It was given no more time."""


class CannotFork(Exception):
    """It is there and will not fork, now or later; the message says why."""


class Stale(Exception):
    """Another one is needed: what it was made from has changed, or it was let go."""


def common_part(environment: Mapping[str, str]) -> dict[str, str]:
    """What is the same for all attempts, and may be read while cooperbench is imported."""
    return {name: value for name, value in environment.items() if not _own(name)}


def _own(name: str) -> bool:
    return name.startswith(OURS) or name in LATE


class WarmProcess:
    """One such process. Every method blocks: for worker threads, any number of them."""

    def __init__(self, recipe: Recipe, order: LaunchOrder) -> None:
        """Start it with what `order` has in common with all others. Raises CannotFork, LaunchRefused."""
        try:
            python = warm_python(recipe.program)
        except CannotImport as error:
            raise CannotFork(str(error)) from None
        self.common = common_part(order.environment)
        late = {name: order.environment[name] for name in LATE if name in order.environment}
        self._lock = threading.Lock()
        self._buffer = b""
        self._let_go = False
        ours, theirs = socket.socketpair()
        try:
            with theirs, open(recipe.log, "ab") as log:
                self._child = subprocess.Popen(
                    [python, str(SCRIPT), str(theirs.fileno()), str(recipe.program)],
                    cwd=order.working_dir,
                    env={**self.common, **late, TOKEN: "-" * _ROOM},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                )
        except OSError as error:
            ours.close()
            raise LaunchRefused(f"{python}: {error.strerror}", error.errno) from None
        self._control = ours

    @property
    def up(self) -> bool:
        return self._child.poll() is None

    def wait_ready(self, within_s: float = READY_S) -> None:
        """Raises WarmGone, CannotFork."""
        with self._lock:
            answer = self._answer(within_s)
        if "cannot" in answer:
            self.close()
            raise CannotFork(str(answer["cannot"]))

    def fork(self, order: LaunchOrder) -> int:
        """The number of the attempt's process, which nobody reaps before `reap`.

        Raises:
            LaunchRefused: the child did not begin, or another one of this attempt had.
            WarmGone: whether it has begun must be looked for.
            CannotFork, Stale: nothing was started.
        """
        environment = {name: value for name, value in order.environment.items() if _own(name)}
        asked = {
            "argv": order.argv,
            "environment": environment,
            "token": environment[TOKEN],
            "log": str(order.folder / LOG_NAME),
            "claim": str(order.folder / CLAIM_NAME),
            "working_dir": str(order.working_dir),
        }
        match self._ask({"fork": asked}):
            case {"pid": int(pid)}:
                return pid
            case {"stale": True}:
                raise Stale
            case {"refused": str(why), "errno": int() | None as number}:
                raise LaunchRefused(why, number)
            case {"cannot": str(why)}:
                raise CannotFork(why)
        self._end()
        raise WarmGone("it answered nonsense")

    def reap(self, pid: int) -> int | None:
        """The exit status of an attempt that is over; None where nobody can know."""
        with suppress(WarmGone, Stale):
            status = self._ask({"reap": pid}).get("status")
            return status if isinstance(status, int) else None
        # Its parent is gone, and we are the subreaper of what it has left.
        with suppress(ChildProcessError):
            found, status = os.waitpid(pid, os.WNOHANG)
            return os.waitstatus_to_exitcode(status) if found else None
        return None

    def close(self) -> None:
        """Let it go; what it has forked goes on."""
        with self._lock:
            self._let_go = True
            self._control.close()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(LET_GO_S)
            self._end()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._let_go:
                raise Stale
            try:
                self._control.settimeout(ANSWER_S)
                self._control.sendall(json.dumps(question).encode() + b"\n")
            except OSError:
                raise WarmGone(self._end()) from None
            return self._answer(ANSWER_S)

    def _answer(self, within_s: float) -> dict[str, Any]:
        """The next line it says. Who does not keep to the protocol is ended: its next answer would be this one's."""
        deadline = time.monotonic() + within_s
        try:
            while b"\n" not in self._buffer:
                self._control.settimeout(max(0.001, deadline - time.monotonic()))
                some = self._control.recv(65536)
                if not some or len(self._buffer) > _LONGEST:
                    raise WarmGone(self._end())
                self._buffer += some
        except TimeoutError:
            self._end()
            raise Slow(f"no answer within {within_s:g} s") from None
        except OSError:
            raise WarmGone(self._end()) from None
        line, _, self._buffer = self._buffer.partition(b"\n")
        with suppress(ValueError):
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer
        self._end()
        raise WarmGone("it answered nonsense")

    def _end(self) -> str:
        """Make sure that it is gone; how it ended."""
        with suppress(subprocess.TimeoutExpired):
            # It may be about to end by itself, and its own end tells more than ours.
            self._child.wait(0.2)
        if self._child.returncode is None:
            self._child.kill()
        status = self._child.wait()
        self._control.close()
        if status >= 0:
            return f"exit status {status}"
        with suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
        return f"killed by signal {-status}"
