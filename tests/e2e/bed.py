"""A project on the real thing: a sweep whose scripted model waits until the test lets it go on."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.adapters.strays import carriers
from runner.commands.sweeps import Known, the_sweep
from runner.model.board import Board
from tests.e2e.dataset import REPO
from tests.e2e.endpoint import Fault, ScriptedEndpoint

PAIRS = ("1/f1_f2", "2/f1_f2")
HELD = Fault("delay", seconds=300, after=2)


def docker(*arguments: str) -> list[str]:
    ran = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout.split()


def until(true: Callable[[], object], says: str, within_s: float = 240.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {says}"
        time.sleep(0.1)


class Bed:
    """A project with one sweep of two solo jobs, which hang in their containers from the third answer on."""

    def __init__(
        self, folder: Path, program: Path, dataset: Path, endpoint: ScriptedEndpoint, pairs: tuple[str, ...] = PAIRS
    ) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.name = f"left-{uuid.uuid4().hex[:8]}"
        self.arguments = [
            "run",
            self.name,
            "--pairs",
            ",".join(f"{REPO}/{pair}" for pair in pairs),
            "--settings",
            "solo",
        ]
        self.arguments += [
            "-m",
            "openai/gpt-4o",
            "-c",
            "2",
            "--dataset-dir",
            str(dataset),
            "--cooperbench",
            str(program),
            "--no-ping",
        ]
        self.program = program
        endpoint.plan(HELD)

    def cli(self, *arguments: str, within_s: float = 240) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-P", "-m", "runner.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def start(self) -> None:
        """Both jobs, until each is in the middle of its conversation."""
        ran = self.cli(*self.arguments, "--detach")
        assert ran.returncode == 0, ran.stderr
        until(lambda: sorted(self.endpoint.requests.values()) == [3, 3], f"two jobs wait: {self.endpoint.requests}")
        assert len(self.containers()) == 2

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.endpoint.environment}

    def go_on(self) -> dict[str, Any]:
        """`coopdeck run SWEEP` until it is over; its summary."""
        arguments = ["run", self.name, "--cooperbench", str(self.program), "--no-ping", "--headless", "--json"]
        command = [sys.executable, "-P", "-m", "runner.cli", *arguments]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        ) as running:
            # One that only settles what was over may be gone again before it was seen.
            until(lambda: self.sweep.pid is not None or running.poll() is not None, "the second runner is up")
            self.endpoint.plan()
            out, _ = running.communicate(timeout=240)
        assert running.returncode == 0, out
        summary: dict[str, Any] = json.loads(out.splitlines()[-1])
        return summary

    @property
    def sweep(self) -> Known:
        return the_sweep(self.name, self.folder)

    @property
    def board(self) -> Board:
        return self.sweep.board()

    def containers(self) -> list[str]:
        return docker("ps", "-aq", "--filter", f"label=coopdeck.sweep={self.name}")

    def processes(self) -> list[int]:
        tokens = {attempt.token for row in self.board.jobs.values() for attempt in row.attempts}
        return [found.pid for found in carriers(tokens)]

    def clean(self) -> None:
        """Whatever a test has left, by whatever way it ended."""
        self.endpoint.plan()
        if self.sweep.pid is not None:
            self.cli("stop", self.name, "--now")
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if left := self.containers():
            # What goes by itself in the meantime is no trouble.
            subprocess.run(["docker", "rm", "-f", *left], capture_output=True, timeout=120, check=False)

    def kill_runner(self) -> None:
        pid = self.sweep.pid
        assert pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: self.sweep.pid is None, "the runner is gone")
