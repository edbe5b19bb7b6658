"""The runner's own process with one fault in it: `python -P -m tests.faults.faulty_daemon FAULT < order`.

FAULT is a JSON object; what it does not name is as in the product:
    kill: [point, n]      die by SIGKILL at the n-th passage of a point (see POINTS)
    deadly: [doing, job]  die by SIGKILL whenever this is done (see DEADLY) for this job
    short: {errno, after, for_s}   from the n-th file operation on, each fails for so many seconds
    clock: [[after_s, offset_s], ...]   the time of day jumps
    buffer: n             the hub's buffer for a client
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from runner import daemon
from runner.adapters import clock, cooperbench, delivery, ledger, processes, run_files
from runner.engine import attempt, hub, patience
from runner.engine.ports import LedgerUnwritable
from runner.model.plan import JobSpec, Plan

POINTS = (
    "before AttemptStarting", "after AttemptStarting", "before start", "after start",
    "before AttemptStarted", "after AttemptStarted", "before AttemptEnded", "after AttemptEnded",
    "before deliver", "after complete", "before sync", "after deliver", "in write_json",
    "before JobSettled", "after JobSettled", "in run files", "before SweepFinished", "after SweepFinished",
)  # fmt: skip
"""A capital letter is an event's commit; the rest are functions of the product."""
DEADLY = {"read": "_read", "deliver": "deliver", "look": "delivered_result"}
PATIENCE_S = 0.5


class Fuse:
    """Dies at the n-th passage."""

    def __init__(self, point: str, left: int) -> None:
        self.point = point
        self._left = left
        self._turn = threading.Lock()

    def passes(self, point: str) -> bool:
        if point != self.point:
            return False
        with self._turn:
            self._left -= 1
            return self._left == 0

    def burn(self, point: str) -> None:
        if self.passes(point):
            os.kill(os.getpid(), signal.SIGKILL)


def _around(function: Callable[..., Any], name: str, fuse: Fuse) -> Callable[..., Any]:
    @wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        fuse.burn(f"before {name}")
        result = function(*arguments, **named)
        fuse.burn(f"after {name}")
        return result

    return wrapped


def _half_written(function: Callable[..., Any], name: str, fuse: Fuse) -> Callable[..., Any]:
    @wraps(function)
    def wrapped(path: Path, values: dict[str, Any]) -> Any:
        if fuse.passes(f"in {name}"):
            path.with_name(f".{path.name}.partial").write_text(json.dumps(values)[: len(json.dumps(values)) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return function(path, values)

    return wrapped


def kill_at(point: str, number: int) -> None:
    fuse = Fuse(point, number)
    commit = ledger.SqliteLedger._commit

    def burning(self: ledger.SqliteLedger, rows: list[Any]) -> None:
        kinds = [json.loads(row[3])["type"] for row in rows]
        for kind in kinds:
            fuse.burn(f"before {kind}")
        commit(self, rows)
        for kind in kinds:
            fuse.burn(f"after {kind}")

    ledger.SqliteLedger._commit = burning  # type: ignore[method-assign]
    processes._start = _around(processes._start, "start", fuse)
    delivery._complete = _around(delivery._complete, "complete", fuse)
    delivery._sync = _around(delivery._sync, "sync", fuse)
    delivery.write_json = _half_written(delivery.write_json, "write_json", fuse)
    run_files.write_json = _half_written(run_files.write_json, "run files", fuse)  # type: ignore[attr-defined]
    cooperbench.deliver = _around(cooperbench.deliver, "deliver", fuse)  # type: ignore[attr-defined]


def kill_whenever(doing: str, job: str) -> None:
    name = DEADLY[doing]
    function: Callable[..., Any] = getattr(cooperbench, name)

    def deadly(plan: Plan, spec: JobSpec, *arguments: Any, **named: Any) -> Any:
        if spec.id == job:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(plan, spec, *arguments, **named)

    setattr(cooperbench, name, deadly)


def run_short(errno: int, after: int, for_s: float) -> None:
    """Fail file operations of this project for a while, wherever in the product they are (PEP 578)."""
    events = {"open", "os.rename", "os.mkdir", "os.listdir", "os.scandir", "subprocess.Popen", "shutil.copytree"}
    writing = {"os.rename", "os.mkdir", "shutil.copytree"}
    root = str(Path.cwd())
    state: dict[str, float] = {"seen": 0, "until": 0}
    turn = threading.Lock()

    def fails() -> bool:
        with turn:
            state["seen"] += 1
            if state["seen"] == after:
                state["until"] = time.monotonic() + for_s
            return time.monotonic() < state["until"]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in events:
            return
        if errno == 28:
            # A full disk hurts who writes.
            flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
            if event not in writing and not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event in {"os.rename", "os.mkdir"}:
            return
        if event != "subprocess.Popen":
            path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
            if not (path.startswith(root) or (errno == 24 and path.startswith("/proc"))):
                return
        if fails():
            raise OSError(errno, os.strerror(errno), "for the test")

    commit = ledger.SqliteLedger._commit

    def failing(self: ledger.SqliteLedger, rows: list[Any]) -> None:
        if errno == 28 and fails():
            raise LedgerUnwritable("database or disk is full")
        commit(self, rows)

    ledger.SqliteLedger._commit = failing  # type: ignore[method-assign]
    sys.addaudithook(hook)


def jump(jumps: list[list[float]]) -> None:
    begun = time.monotonic()

    def now(self: clock.SystemClock) -> float:
        offset = 0.0
        for after_s, to in jumps:
            if time.monotonic() - begun >= after_s:
                offset = to
        return time.time() + offset

    clock.SystemClock.now = now  # type: ignore[method-assign]


def main() -> int:
    fault = json.loads(sys.argv[1])
    attempt.PATIENCE_S = patience.PATIENCE_S = PATIENCE_S
    if "kill" in fault:
        kill_at(*fault["kill"])
    if "deadly" in fault:
        kill_whenever(*fault["deadly"])
    if "short" in fault:
        run_short(**fault["short"])
    if "clock" in fault:
        jump(fault["clock"])
    if "buffer" in fault:
        hub.BUFFER = fault["buffer"]
    return daemon.main()


if __name__ == "__main__":
    sys.exit(main())
