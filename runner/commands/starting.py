"""Starting a runner in the background, and hearing from it that it owns the sweep."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from runner.adapters.logout import logout
from runner.adapters.places import Places
from runner.commands.images_needed import check_images
from runner.commands.preflight import check_ready
from runner.daemon import StartOrder
from runner.model.plan import JobSpec, Plan
from runner.model.refusal import PreflightRefused, UsageRefused
from runner.wire.codec import to_json

READY_S = 150.0
"""A runner that insists on the warm launcher has imported cooperbench before it is ready."""
END_S = 5.0
LOG_NAME = "runner.log"
# -P: the folder one stands in may hold a `runner` of its own.
DAEMON = (sys.executable, "-P", "-m", "runner.daemon")


def start_runner(places: Places, order: StartOrder, within: tuple[str, ...] = ()) -> int:
    """Start the runner and wait until it listens; returns its pid. `within` is a command that starts commands.

    It is in a session of its own and holds none of our files: it lives on when this process, its terminal or
    its connection is gone.

    Raises:
        UsageRefused: another runner owns the sweep, or this one could not begin; the sentence says which.
        PreflightRefused: it ended without a word.
        KeyboardInterrupt: the user does not want it any more; it is ended, or drains where it had begun.
    """
    folder = places.sweep_dir(order.sweep)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_NAME
    with open(log, "ab") as errors:
        runner = subprocess.Popen(
            [*within, *DAEMON],
            cwd=places.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    try:
        said = _first_line(runner, to_json(order))
    except KeyboardInterrupt:
        drain(runner.pid)
        raise
    match said:
        case {"ready": True}:
            return runner.pid
        case {"refused": str(says)}:
            raise UsageRefused(says)
    _end(runner)
    raise PreflightRefused(f"the runner did not start: {_last_words(log)} (all of it in {log})")


def drain(pid: int) -> None:
    """Let a runner start nothing new, as `coopdeck stop`; one that has not begun ends."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        print("coopdeck: interrupted; if something runs already it may finish, nothing new starts", file=sys.stderr)


def _end(runner: subprocess.Popen[bytes]) -> None:
    """Whom we call not started must not start later."""
    runner.terminate()
    try:
        runner.wait(END_S)
    except subprocess.TimeoutExpired:
        # What it may have begun meanwhile is adopted by the next one.
        runner.kill()
        runner.wait()


def start_checked(
    places: Places, order: StartOrder, plan: Plan | None, jobs: tuple[JobSpec, ...], *, ping: bool = True
) -> None:
    """Start the runner on a machine that is ready for these jobs, with what the user should know beforehand.

    Raises:
        PreflightRefused, UsageRefused: nothing was started.
    """
    if plan is not None:
        check_images(places, plan, jobs)
        check_ready(plan, jobs, places.root, ping=ping)
    leaving = logout()
    if leaving.warning is not None:
        print(f"coopdeck: {leaving.warning}", file=sys.stderr)
    start_runner(places, order, leaving.within)


def _first_line(runner: subprocess.Popen[bytes], order: bytes) -> object:
    """What the runner says first, as JSON; None when it says nothing in time."""
    if runner.stdin is None or runner.stdout is None:
        return None
    try:
        with runner.stdin as into:
            into.write(order)
    except BrokenPipeError:
        return None
    deadline, line = time.monotonic() + READY_S, b""
    with runner.stdout as out:
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                return None
            # One byte at a time: a buffered read would wait for more than the one line there is.
            some = out.read(1)
            if not some:
                return None
            line += some
    try:
        said: object = json.loads(line)
    except ValueError:
        return None
    return said


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
