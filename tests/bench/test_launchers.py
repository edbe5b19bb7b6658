"""Eight real jobs at once on the scripted endpoint: forked from one warm process against the plain command."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.commands.sweeps import the_sweep
from tests.e2e.dataset import IMAGES, REPO, write_dataset
from tests.e2e.endpoint import ScriptedEndpoint

pytestmark = pytest.mark.bench

PROGRAM = Path(
    os.environ.get("COOPDECK_E2E_COOPERBENCH") or Path.home() / ".cache/coopdeck-e2e/cooperbench-0.0.29/bin/cooperbench"
)
JOBS = 8
# Whatever the runner or an attempt leaves behind comes to this process, so that nobody's CPU is lost. What `run` itself
# takes, to look at the machine beforehand, is the same for both and not counted.
MEASURE = """
import json, os, resource, subprocess, sys
from runner.adapters.strays import become_subreaper

def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

become_subreaper()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
before = cpu()
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
print(cpu() - before)
"""


def test_eight_jobs_at_once(tmp_path: Path) -> None:
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip(f"no cooperbench at {PROGRAM}")
    there = subprocess.run(["docker", "image", "inspect", IMAGES[0]], capture_output=True, check=False)
    if there.returncode:
        pytest.skip("no Docker, or no toy images: run the end-to-end tests first")
    dataset = write_dataset(tmp_path / "dataset")
    measured = {launcher: _measure(launcher, tmp_path, dataset) for launcher in ("auto", "cli")}
    (wall, cpu), (plain_wall, plain_cpu) = measured["auto"], measured["cli"]
    print(
        f"\n{'8 real jobs at once, from the first to the last':<44} {'warm':>8} {'plain':>8} {'ratio':>8}\n"
        f"{'wall, s':<44} {wall:>8.1f} {plain_wall:>8.1f} {plain_wall / wall:>8.1f}\n"
        f"{'CPU with all children, s':<44} {cpu:>8.1f} {plain_cpu:>8.1f} {plain_cpu / cpu:>8.1f}"
    )
    assert cpu < plain_cpu / 2


def _measure(launcher: str, tmp_path: Path, dataset: Path) -> tuple[float, float]:
    """Seconds: wall from the runner's start to the last result, and CPU of all that it has started."""
    folder = tmp_path / launcher
    folder.mkdir()
    with ScriptedEndpoint() as endpoint:
        asked = ["run", "bench", "--pairs", f"{REPO}/1/f1_f2", "--settings", "solo", "--repeats", str(JOBS)]
        how = ["-m", "openai/gpt-4o", "-c", str(JOBS), "--launcher", launcher, "--no-ping", "--detach"]
        where = ["--dataset-dir", str(dataset), "--cooperbench", str(PROGRAM)]
        command = [sys.executable, "-P", "-m", "runner.cli", *asked, *how, *where]
        ran = subprocess.run(
            [sys.executable, "-P", "-c", MEASURE, *command],
            cwd=folder,
            env={**os.environ, **endpoint.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    board = the_sweep("bench", folder).board()
    assert board.total.results == JOBS
    forked = len(list(folder.glob(".coopdeck/sweeps/bench/attempts/*/1/claim")))
    assert forked == (0 if launcher == "cli" else JOBS)
    return board.wall_s(time.time()), float(ran.stdout)
