"""What the runner itself costs: CPU per job on the rehearsed campaign, memory at 300 and at 10,000 jobs."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.bench

JOBS = 300


class Sampler(threading.Thread):
    """Reads a process's own CPU seconds and memory until it is gone; its children do not count."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self.cpu_s = 0.0
        self.peak_mb = 0.0

    def run(self) -> None:
        try:
            while True:
                times = self._process.cpu_times()
                self.cpu_s = times.user + times.system
                self.peak_mb = max(self.peak_mb, self._process.memory_info().rss / 2**20)
                time.sleep(0.02)
        except psutil.Error:
            return


def test_cpu_per_job_on_the_rehearsed_campaign(tmp_path: Path) -> None:
    """Beside it, in the same run: what the double's own processes took, the scale for a job that does nothing."""
    command = [sys.executable, "-P", "-m", "runner.cli", "demo", "--headless", "--json", "--speed", "3000"]
    runner: Sampler | None = None
    summary: dict[str, object] = {}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as client:
        for line in client.stdout or ():
            summary = json.loads(line)
            if summary["type"] == "RunnerStarted":
                runner = Sampler(int(str(summary["pid"])))
                runner.start()
    assert client.returncode == 0
    assert runner is not None
    runner.join(10)
    assert summary["results"] == JOBS
    double = subprocess.run(
        [sys.executable, "-c", "import resource, subprocess, sys; subprocess.run([sys.executable, '-P', '-m', "
         "'runner.rehearsal', 'run', '-n', 'x', '--setting', 'solo', '-r', 'pallets_click_task', '-t', '2068', '-f', "
         "'1,2', '-m', 'm', '--log-dir', 'x'], env={'COOPDECK_REHEARSAL': '{\"speed\": 1e6}'}, capture_output=True); "
         "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    per_job, per_double = runner.cpu_s / JOBS * 1000, float(double.stdout) * 1000
    print(
        f"\n{'the runner on 300 rehearsed jobs':<44} {'measured':>10}\n"
        f"{'CPU of the runner, ms per job':<44} {per_job:>10.2f}   aim: under 10\n"
        f"{'CPU of one process of the double, ms':<44} {per_double:>10.2f}\n"
        f"{'ratio':<44} {per_job / per_double:>10.3f}\n"
        f"{'memory of the runner at its peak, MB':<44} {runner.peak_mb:>10.1f}\n"
        f"{'wall, s':<44} {summary['wall_s']!s:>10}"
    )


MEASURE = """
import gc, os, sys
import anyio
from pathlib import Path
import psutil
sys.path.insert(0, os.getcwd())
from tests.unit.fakes import Deck, jobs, the_plan
from runner.adapters.ledger import SqliteLedger
from runner.engine.dispatcher import Dispatcher
from runner.model import events as ev

number = int(sys.argv[1])
process = psutil.Process()

def rss() -> int:
    gc.collect()
    return process.memory_info().rss

async def main() -> None:
    deck = Deck()
    ledger = SqliteLedger(Path(sys.argv[2]) / f"{number}.db")
    deck.dispatcher = Dispatcher(ledger.board(), ledger, deck.clock, deck.hub.publish)
    empty = rss()
    planned = jobs(number)
    opening = ev.SweepPlanned(the_plan(slots=8)), ev.JobsPlanned(planned)
    cpu = process.cpu_times()
    marks = []
    async def marking(deck: Deck) -> None:
        while True:
            done = deck.board.total.settled
            while len(marks) < 11 and done >= len(marks) * number // 10:
                marks.append((done, rss()))
            await anyio.sleep(0.2)
    await deck.run(*opening, meanwhile=marking, within_s=600)
    after = process.cpu_times()
    used = after.user + after.system - cpu.user - cpu.system
    # The launcher's and cooperbench's fakes keep every order: that memory is theirs.
    deck.launcher.orders.clear(), deck.launcher.running.clear(), deck.cooperbench.delivered_jobs.clear()
    end = rss()
    print(empty / 2**20, marks[0][1] / 2**20, end / 2**20, (end - marks[0][1]) / number, used / number * 1000)
    ledger.close()

anyio.run(main)
"""


@pytest.mark.parametrize("number", [300, 10_000])
def test_memory_and_cpu_of_the_engine(number: int, tmp_path: Path) -> None:
    """The real ledger, dispatcher and queue; processes and files are fakes, so that 10,000 jobs take seconds."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(number), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    empty, planned, end, growth, cpu = map(float, ran.stdout.split())
    print(
        f"\n{f'the engine, {number} jobs':<44} {'measured':>10}\n"
        f"{'memory before planning, MB':<44} {empty:>10.1f}\n"
        f"{'memory when planned, MB':<44} {planned:>10.1f}\n"
        f"{'memory when all is settled, MB':<44} {end:>10.1f}\n"
        f"{'growth per finished job, bytes':<44} {growth:>10.0f}   its row, attempt and outcome\n"
        f"{'CPU, ms per job':<44} {cpu:>10.2f}"
    )
