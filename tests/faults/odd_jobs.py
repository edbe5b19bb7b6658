"""Jobs that ignore SIGTERM, fork away, or write what nobody can read: the runner stays small and right."""

import json
import random
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bed import SWEEP, Bed, kill, until
from tests.faults.invariants import at_the_end

GROWTH_MB = 40.0
ANSWER_CPU_S = 8.0
"""Of a core, not of the clock: what reads a log of 10 GB takes more, wherever the machine is busy with other things."""
ODDITIES = ("sparse", "forked", "long-line", "binary", "stubborn")


def odd_jobs(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """A sweep of one oddity is a case; every other one loses its runner on the way."""
    for case in range(cases):
        oddity = ODDITIES[case % len(ODDITIES)]
        program = (sys.executable, "-P", "-m", "tests.faults.odd_program", oddity)
        bed = Bed(folder / str(case), 4, slots=2, program=program, speed=2000)
        try:
            if oddity == "stubborn":
                wrong = _stopped(bed)
            else:
                wrong = _played(bed, killed=case >= len(ODDITIES), after_s=seeded.uniform(0.1, 1.0))
            wrong += bed.finish() + at_the_end(bed)
            yield [f"{oddity}: {one}" for one in wrong]
        finally:
            bed.close()
            shutil.rmtree(bed.folder / ".coopdeck" / "sweeps" / SWEEP / "attempts", ignore_errors=True)


def _played(bed: Bed, *, killed: bool, after_s: float) -> list[str]:
    if killed:
        runner = bed.start()
        time.sleep(after_s)
        kill(runner)
    runner = bed.start()
    peak = 0.0

    def over() -> bool:
        nonlocal peak
        peak = max(peak, _peak_mb(runner.pid))
        return runner.poll() is not None

    wrong = _commands_answer(bed)
    if not until(over, 180):
        wrong.append("the sweep does not end")
    plain = _plain_peak_mb(bed)
    if peak > plain + GROWTH_MB:
        wrong.append(f"the runner took {peak:.0f} MB, one of plain jobs {plain:.0f}")
    return wrong + _commands_answer(bed)


def _stopped(bed: Bed) -> list[str]:
    """`stop --now` on jobs that ignore SIGTERM: SIGKILL after the grace, and nothing stays."""
    (bed.folder / "faults.json").write_text(json.dumps({"faults": [{"fault": "slow", "factor": 1e5}]}))
    runner = bed.start()
    until(lambda: sum(row.state == "running" for row in bed.board().jobs.values()) == 2)
    began = time.monotonic()
    bed.coopdeck("stop", SWEEP, "--now")
    wrong = [] if until(lambda: runner.poll() is not None) else ["the runner does not stop"]
    if time.monotonic() - began > 90:
        wrong.append(f"stopping took {time.monotonic() - began:.0f} s")
    (bed.folder / "faults.json").write_text(json.dumps({"faults": []}))
    return wrong


def _commands_answer(bed: Bed) -> list[str]:
    wrong = []
    pair = bed.jobs[0].pair
    for command in (
        ("status", SWEEP, "--json"),
        ("status", SWEEP),
        ("report", SWEEP),
        ("logs", SWEEP, f"{pair.repo}/{pair.task}/{pair.folder}"),
    ):
        before = _cpu_s()
        ran = bed.coopdeck(*command)
        took = _cpu_s() - before
        if ran.returncode not in {0, 2} or "Traceback" in ran.stderr or took > ANSWER_CPU_S:
            wrong.append(f"{command[0]} ended with {ran.returncode} after {took:.1f} s of a core: {ran.stderr}")
    return wrong


def _cpu_s() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = status.partition("VmHWM:")[2].split()
    return int(found[0]) / 1024 if found else 0.0


_plain: list[float] = []


def _plain_peak_mb(bed: Bed) -> float:
    """What a runner takes for the same number of plain jobs, measured once."""
    if not _plain:
        plain = Bed(bed.folder / "plain", bed.number, slots=2, speed=2000)
        try:
            runner = plain.start()
            peak = 0.0
            while runner.poll() is None:
                peak = max(peak, _peak_mb(runner.pid))
                time.sleep(0.02)
            _plain.append(peak)
        finally:
            plain.close()
            shutil.rmtree(plain.folder)
    return _plain[0]
