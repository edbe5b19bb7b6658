"""Who owns the sweep: twenty starts at once, and a pid that has gone to a stranger."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from runner.adapters.ledger import SqliteLedger, read_envelopes
from runner.adapters.processes import started_ticks
from runner.model import events as ev
from runner.wire.codec import dump_event
from tests.faults.bed import COOPDECK, SWEEP, Bed, attempts_up, kill, until
from tests.faults.invariants import at_the_end

AT_ONCE = 20
ANSWER_S, END_S = 120.0, 180.0
"""For the last refusal when twenty interpreters start at once: each costs half a second of a core, of a good one."""


def simultaneous(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Every start is a case: one owns the sweep, each other says in one sentence who does, and leaves with 2."""
    for round_ in range(-(-cases // AT_ONCE)):
        # Nobody's job is over before all have answered.
        bed = Bed(folder / str(round_), 4, slots=4, faults=[{"fault": "slow", "factor": 1e8}], speed=1e6)
        try:
            yield from _round(bed, seeded, min(AT_ONCE, cases - round_ * AT_ONCE))
        finally:
            bed.close()


def _round(bed: Bed, seeded: random.Random, number: int) -> Iterator[list[str]]:
    how = [
        "run", SWEEP, "--rehearse", "--speed", str(bed.speed), "--faults", "faults.json", "--subset", "lite",
        "--smoke", "4", "--settings", "solo", "--headless",
    ]  # fmt: skip
    began = time.monotonic()
    starts = [
        subprocess.Popen(
            [*COOPDECK, *how], cwd=bed.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(number)
    ]
    try:
        until(lambda: sum(one.poll() is not None for one in starts) >= number - 1, END_S)
        took = time.monotonic() - began
        owners = [one for one in starts if one.poll() is None]
        pid = bed.places.runner_pid(SWEEP)
        for one in starts:
            if one in owners:
                continue
            said = one.stderr.read() if one.stderr else ""
            wrong = []
            if one.returncode != 2 or said.count("\n") != 1 or f"{pid}" not in said:
                wrong.append(f"ended with {one.returncode}, the runner is {pid}, it said: {said!r}")
            yield wrong
        wrong = [] if len(owners) == 1 else [f"{len(owners)} starts own the sweep"]
        if took > ANSWER_S:
            wrong.append(f"the last refusal came after {took:.1f} s")
        bed.coopdeck("stop", SWEEP, "--now")
        for one in owners:
            one.wait(END_S)
        (bed.folder / "faults.json").write_text('{"faults": []}')
        yield wrong + bed.finish() + at_the_end(bed)
    finally:
        for one in starts:
            one.kill()
            one.communicate()


def reused_pid(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """The attempt's process is gone and its number belongs to somebody else, who must not even be signalled."""
    for case in range(cases):
        bed = Bed(folder / str(case), 3, faults=[{"match": {"attempt": 1}, "fault": "slow", "factor": 1e7}], speed=1e5)
        stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        try:
            yield _reuse(bed, seeded, stranger)
        finally:
            stranger.kill()
            stranger.wait()
            bed.close()


def _reuse(bed: Bed, seeded: random.Random, stranger: "subprocess.Popen[bytes]") -> list[str]:
    runner = bed.start()
    until(lambda: all(row.state == "running" for row in bed.board().jobs.values()))
    kill(runner)
    up = attempts_up(bed.folder)
    reused = {up[pid] for pid in seeded.sample(sorted(up), seeded.randint(1, len(up)))}
    for pid in up:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not attempts_up(bed.folder))
    _give_pid_away(bed, reused, stranger.pid)
    wrong = bed.finish() + at_the_end(bed)
    if stranger.poll() is not None:
        wrong.append(f"the stranger was ended: {stranger.returncode}")
    lost = [row for row in bed.board().jobs.values() if len(row.attempts) == 2]
    if len(lost) != 3:
        wrong.append(f"{len(lost)} of 3 attempts counted as lost")
    return wrong


def _give_pid_away(bed: Bed, tokens: set[str], pid: int) -> None:
    """The ledger as it would be had the system given the attempts' pids to another process."""
    envelopes = list(read_envelopes(bed.ledger))
    owned = {
        (one.event.job, one.event.attempt)
        for one in envelopes
        if isinstance(one.event, ev.AttemptStarting) and one.event.token in tokens
    }
    ticks = started_ticks(pid) or 0
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        bed.ledger.with_name(name).unlink(missing_ok=True)
    ledger = SqliteLedger(bed.ledger)
    changed = []
    for one in envelopes:
        event = one.event
        if isinstance(event, ev.AttemptStarted) and (event.job, event.attempt) in owned:
            one = replace(one, event=replace(event, pid=pid, started_ticks=ticks - 1))
        changed.append((one.seq, one.v, one.at, dump_event(one.event)))
    ledger._commit(changed)
    ledger.close()
