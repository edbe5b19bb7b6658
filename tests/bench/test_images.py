"""Several pulls at once against `docker pull` one after the other; and a sweep with half of its images missing."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.hub import Hub, hub, layer

pytestmark = pytest.mark.bench

REPO, NAME = "bench_task", "akhatua/cooperbench-bench"
TASKS = range(1, 7)
LAYER = 6_000_000
RATE = 6_000_000.0
"""Bytes a second of one connection; the engine opens three at a time."""
COOPDECK = (sys.executable, "-P", "-m", "runner.cli")


@pytest.fixture(scope="module")
def a_hub() -> Iterator[Hub]:
    with hub(Path(tempfile.mkdtemp(prefix="coopdeck-hub-")), "overlay2") as made:
        for task in TASKS:
            made.put(NAME, f"task{task}", [layer(100 * task + number, LAYER) for number in range(2)])
        yield made


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dataset of six tasks with three pairs each, and a cooperbench whose jobs take seconds."""
    for task in TASKS:
        for feature in (1, 2, 3):
            folder = tmp_path / "data" / REPO / f"task{task}" / f"feature{feature}"
            folder.mkdir(parents=True)
            (folder / "feature.md").write_text("Nobody reads this.\n")
    program = tmp_path / "cooperbench"
    double = f"{sys.executable} -P -m runner.rehearsal"
    program.write_text(f'#!/bin/sh\nexport COOPDECK_REHEARSAL=\'{{"speed": 150}}\'\nexec {double} "$@"\n')
    program.chmod(0o755)
    return tmp_path


def coopdeck(hub: Hub, folder: Path, *arguments: str) -> list[tuple[float, dict[str, object]]]:
    """The lines of JSON that a command prints, each with the seconds since its start."""
    began = time.perf_counter()
    environment = {**os.environ, **hub.env, "OPENAI_API_KEY": "x"}
    argv = [*COOPDECK, *arguments, "--subset", "all", "--dataset-dir", "data", "--json"]
    with subprocess.Popen(argv, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as ran:
        told = [(time.perf_counter() - began, json.loads(line)) for line in ran.stdout or ()]
    assert ran.returncode == 0
    return told


def test_several_pulls_at_once(a_hub: Hub, project: Path) -> None:
    a_hub.forget()
    a_hub.gate.rate = RATE
    began = time.perf_counter()
    for task in TASKS:
        a_hub.docker("pull", f"{NAME}:task{task}")
    one_by_one = time.perf_counter() - began
    a_hub.forget()
    a_hub.gate.rate = RATE
    began = time.perf_counter()
    coopdeck(a_hub, project, "images", "pull")
    at_once = time.perf_counter() - began
    size = a_hub.sizes[f"{NAME}:task1"] / 1e6
    print(f"\n{len(TASKS)} images of {size:.0f} MB in 2 layers, {RATE / 1e6:.0f} MB/s a connection:")
    print(f"  docker pull, one after the other  {one_by_one:6.1f} s")
    print(f"  coopdeck images pull              {at_once:6.1f} s   (its own start included)")


def test_a_sweep_with_half_of_its_images_missing(a_hub: Hub, project: Path) -> None:
    times: dict[str, tuple[float, float]] = {}
    for way in ("pull all, then run", "run"):
        a_hub.forget()
        for task in list(TASKS)[1::2]:
            a_hub.docker("pull", f"{NAME}:task{task}")
        a_hub.gate.rate = RATE / 4
        began = time.perf_counter()
        if way != "run":
            coopdeck(a_hub, project, "images", "pull")
        pulled = time.perf_counter() - began
        name = way.replace(" ", "-").replace(",", "")
        run = ["run", name, "--settings", "solo", "-m", "openai/gpt-4o", "-c", "3", "--no-ping"]
        told = coopdeck(a_hub, project, *run, "--cooperbench", str(project / "cooperbench"))
        assert told[-1][1]["results"] == 3 * len(TASKS)
        # From the runner's start: the checks before it take the same in both ways, and more than a small pull.
        start, first, end = (
            next(at for at, line in told if line["type"] == kind)
            for kind in ("RunnerStarted", "AttemptStarted", "SweepFinished")
        )
        times[way] = pulled + first - start, pulled + end - start
    print(
        f"\n18 jobs, 3 slots, 3 of 6 images missing, {RATE / 4e6:.1f} MB/s a connection; the run's start-up left out:"
    )
    for way, (first, whole) in times.items():
        print(f"  {way:20} first job after {first:5.1f} s, all after {whole:5.1f} s")
