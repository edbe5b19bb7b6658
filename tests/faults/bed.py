"""One project's folder with one rehearsed sweep: its runner started with or without a fault, killed, finished."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.adapters.dataset import read_dataset
from runner.adapters.ledger import read_board
from runner.adapters.places import Places
from runner.daemon import StartOrder
from runner.model.board import Board
from runner.model.plan import JobSpec, Plan, Rehearsal
from runner.model.queue import make_jobs
from runner.model.selection import select_pairs
from runner.wire.codec import to_json

REHEARSAL = (sys.executable, "-P", "-m", "runner.rehearsal")
COOPDECK = (sys.executable, "-P", "-m", "runner.cli")
FAULTY_DAEMON = (sys.executable, "-P", "-m", "tests.faults.faulty_daemon")
SWEEP = "s"
READY_S = 120.0


class Unready(Exception):
    """The runner ended, or said something else, before it said that it is ready."""


@dataclass
class Bed:
    """`close` ends whatever it started."""

    folder: Path
    number: int = 8
    settings: tuple[str, ...] = ("solo",)
    slots: int = 8
    attempts: int = 3
    timeout_s: float = 600.0
    speed: float = 100_000.0
    faults: list[dict[str, Any]] = field(default_factory=list)
    program: tuple[str, ...] = REHEARSAL
    goes_on: bool = False
    """A runner only finishes what is there, as at `attach`; else it is asked for all jobs, as at `run`."""
    runners: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.places = Places(self.folder)
        plan = self.write_faults()
        pairs = select_pairs(read_dataset(None), subset="lite")
        each = -(-self.number // len(self.settings))
        self.jobs: tuple[JobSpec, ...] = make_jobs(SWEEP, self.settings, pairs[:each], ["command-a"])[: self.number]
        self.plan = Plan(
            sweep=SWEEP,
            program=self.program,
            logs_dir=str(self.folder / "logs"),
            settings=self.settings,
            models=("command-a",),
            agent="mini_swe_agent_v2",
            slots=self.slots,
            attempts=self.attempts,
            timeout_s=self.timeout_s,
            rehearsal=Rehearsal(self.speed, 0, str(plan)),
        )

    def write_faults(self) -> Path:
        path = self.folder / "faults.json"
        path.write_text(json.dumps({"faults": self.faults}))
        return path

    @property
    def sweep_dir(self) -> Path:
        return self.places.sweep_dir(SWEEP)

    @property
    def ledger(self) -> Path:
        return self.places.ledger(SWEEP)

    def board(self) -> Board:
        return read_board(self.ledger)

    def spawn(self, **fault: object) -> "subprocess.Popen[bytes]":
        """A runner that has its order; `fault` is for `tests.faults.faulty_daemon`."""
        self.sweep_dir.mkdir(parents=True, exist_ok=True)
        with open(self.sweep_dir / "runner.log", "ab") as errors:
            runner = subprocess.Popen(
                [*FAULTY_DAEMON, json.dumps(fault)],
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self.runners.append(runner)
        asked = (None, ()) if self.goes_on else (self.plan, self.jobs)
        order = StartOrder(str(self.folder), SWEEP, *asked)
        assert runner.stdin is not None
        with suppress(BrokenPipeError), runner.stdin as into:
            into.write(to_json(order))
        return runner

    def start(self, **fault: object) -> "subprocess.Popen[bytes]":
        """As `spawn`, and it owns the sweep; raises Unready."""
        runner = self.spawn(**fault)
        assert runner.stdout is not None
        with runner.stdout as out:
            line = out.readline() if select.select([out], [], [], READY_S)[0] else b""
        if line != b'{"ready": true}\n':
            raise Unready(line.decode(errors="replace") or f"nothing; {self.last_words()}")
        return runner

    def last_words(self) -> str:
        log = (self.sweep_dir / "runner.log").read_text(errors="replace").strip()
        return log.splitlines()[-1] if log else ""

    def finish(self, timeout: float = 300) -> list[str]:
        """`coopdeck run SWEEP`, as the user would; what is wrong with how it ended."""
        ran = self.coopdeck("run", SWEEP, "--headless", timeout=timeout)
        if ran.returncode == 1 and any(row.quarantined for row in self.board().jobs.values()):
            # Killed twice in the delivery of one result, by chance or not: asked for again, it is delivered.
            ran = self.coopdeck("run", SWEEP, "--headless", timeout=timeout)
        if ran.returncode == 0:
            return []
        return [f"the finishing run ended with {ran.returncode}: {(ran.stderr or ran.stdout).strip()[-300:]}"]

    def finish_with(self, runner: "subprocess.Popen[bytes]", timeout: float = 120) -> list[str]:
        """The sweep comes to its end in this runner's hands."""
        if not until(lambda: runner.poll() is not None, timeout):
            return ["the sweep does not end"]
        return [f"the runner went down with {runner.returncode}: {self.last_words()}"] if runner.returncode else []

    def settles(self, number: int, seconds: float = 120) -> bool:
        """Whether so many jobs are settled in time."""
        return until(lambda: sum(row.settled for row in self.board().jobs.values()) >= number, seconds, 0.005)

    def coopdeck(self, *arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COOPDECK, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False
        )

    def close(self) -> None:
        """Ends what is still up of this project, found by its folder in the environment, never by a name."""
        for runner in self.runners:
            kill(runner)
        with suppress(ValueError, OSError):
            pid = self.places.runner_pid(SWEEP)
            if pid:
                os.kill(pid, signal.SIGKILL)
        for pid in attempts_up(self.folder):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def kill(runner: "subprocess.Popen[bytes]") -> None:
    """SIGKILL, and reap."""
    runner.kill()
    runner.wait(30)
    if runner.stdout is not None and not runner.stdout.closed:
        runner.stdout.close()


def ends(runner: "subprocess.Popen[bytes]", seconds: float = 120) -> bool:
    """Whether the runner ends by itself in time."""
    return until(lambda: runner.poll() is not None, seconds)


def attempts_up(root: Path) -> dict[int, str]:
    """Every process that carries a token of this project, by pid."""
    found: dict[int, str] = {}
    ours = b"COOPDECK_PROBE=" + os.fsencode(root) + b"/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        tokens = [one for one in variables if one.startswith(b"COOPDECK_TOKEN=")]
        if tokens and any(one.startswith(ours) for one in variables):
            found[int(entry.name)] = tokens[0].partition(b"=")[2].decode()
    return found


def ignores_sigterm(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    ignored = status.partition("SigIgn:")[2].split()
    return bool(ignored) and bool(int(ignored[0], 16) >> (signal.SIGTERM - 1) & 1)


def until(true: Callable[[], object], seconds: float = 120.0, every_s: float = 0.02) -> bool:
    """Whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
