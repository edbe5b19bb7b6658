"""What must be there before a real sweep may cost anything; each refusal names the remedy."""

import shutil
import subprocess
from pathlib import Path

from runner.model.plan import JobSpec, Plan
from runner.model.refusal import PreflightRefused

DOCKER_S = 15.0


def check_ready(plan: Plan, jobs: tuple[JobSpec, ...]) -> None:
    """Raises PreflightRefused; a rehearsal needs nothing."""
    if plan.rehearsal is not None:
        return
    _dataset(plan, jobs)
    if plan.backend == "docker":
        _docker()


def _dataset(plan: Plan, jobs: tuple[JobSpec, ...]) -> None:
    """Upstream reads the features' texts from a dataset tree, `./dataset` unless told otherwise."""
    root = Path(plan.dataset_dir or "dataset")
    for job in jobs:
        task = root / job.pair.repo / f"task{job.pair.task}"
        if not task.is_dir():
            program = plan.program[0]
            raise PreflightRefused(
                f"the dataset at {root.absolute()} has no {job.pair.repo}/task{job.pair.task}; "
                f"download it with '{program} prepare', or name another with --dataset-dir"
            )


def _docker() -> None:
    if shutil.which("docker") is None:
        raise PreflightRefused("there is no docker program in PATH; install Docker, or choose another --backend")
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],  # noqa: S607 - upstream looks it up the same way
            capture_output=True,
            text=True,
            timeout=DOCKER_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PreflightRefused(f"the Docker Engine did not answer within {DOCKER_S:g} s; is it well?") from None
    if asked.returncode != 0:
        why = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PreflightRefused(f"the Docker Engine does not answer: {why}")
