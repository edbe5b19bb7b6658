"""What is missing on the machine is said in one sentence with its remedy, before anything is spent."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.commands.preflight import check_ready
from runner.model.plan import Plan
from runner.model.refusal import PreflightRefused
from tests.unit.fakes import jobs, the_plan


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the dataset, whose `docker` the test writes."""
    for task in (1, 2):
        (tmp_path / "dataset" / "toy_task" / f"task{task}").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def docker(machine: Path, script: str) -> None:
    (machine / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (machine / "docker").chmod(0o755)


def plan(machine: Path, **changes: object) -> Plan:
    return replace(the_plan(rehearsal=None, dataset_dir=str(machine / "dataset")), **changes)  # type: ignore[arg-type]


def test_a_machine_with_all_of_it_is_ready(machine: Path) -> None:
    docker(machine, "echo 20.10.24")
    check_ready(plan(machine), jobs(2))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "no docker program"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "does not answer: Cannot connect"),
        ("exit 1", "does not answer"),
    ],
)
def test_without_a_docker_engine_it_is_refused(script: str | None, says: str, machine: Path) -> None:
    if script is not None:
        docker(machine, script)
    with pytest.raises(PreflightRefused, match=says):
        check_ready(plan(machine), jobs(1))


def test_another_backend_needs_no_docker_here(machine: Path) -> None:
    check_ready(plan(machine, backend="modal"), jobs(1))


def test_a_pair_that_the_dataset_lacks_is_named_with_the_remedy(machine: Path) -> None:
    docker(machine, "echo 20.10.24")
    with pytest.raises(PreflightRefused, match=r"toy_task/task3; download it with 'cooperbench prepare'"):
        check_ready(plan(machine), jobs(3))


def test_a_rehearsal_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_ready(the_plan(), jobs(9))
