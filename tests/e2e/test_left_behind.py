"""Nothing left behind, on the real thing: containers and processes go with their attempt, whatever becomes of coopdeck.

The scripted model holds its third answer back until the test lets it go, so that jobs run for as long as needed.
"""

import json
import os
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from runner.adapters.containers import SHIM, DockerContainers
from runner.commands.asking import ask
from runner.model.commands import Cancel
from tests.e2e.bed import Bed, docker, until
from tests.e2e.dataset import IMAGES, REPO
from tests.e2e.endpoint import ScriptedEndpoint
from tests.e2e.script import COST_PER_ANSWER

pytestmark = pytest.mark.docker

ANSWERS_OF_A_JOB = 4


def forked(bed: Bed) -> int:
    """How many attempts were forked from a process that had imported cooperbench."""
    return len(list(bed.folder.glob(".coopdeck/sweeps/*/attempts/*/*/claim")))


@pytest.fixture
def bed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    toy_dataset: Path,
    others: None,
    endpoint: ScriptedEndpoint,
) -> Iterator[Bed]:
    bed = Bed(tmp_path, cooperbench_program, toy_dataset, endpoint)
    launcher = getattr(request, "param", "auto")
    bed.arguments += ["--launcher", launcher]
    yield bed
    bed.clean()
    assert bool(forked(bed)) == (launcher == "auto"), "it was the other launcher that was tested"


@pytest.fixture(scope="module")
def others(toy_images: tuple[str, ...]) -> Iterator[None]:
    """Containers that are none of ours: one that looks like upstream's, one of an attempt of another project."""
    mark = uuid.uuid4().hex[:8]
    run = ["run", "-d", "--rm", "--entrypoint", "/bin/bash"]
    end = [IMAGES[0], "-c", "sleep 2h"]
    plain = docker(*run, "--name", f"minisweagent-{mark}", *end)
    labelled = docker(*run, "--label", f"coopdeck.token={mark}", "--label", "coopdeck.sweep=another", *end)
    yield
    up = docker("ps", "-q", "--no-trunc")
    docker("rm", "-f", *plain, *labelled)
    assert set(plain + labelled) <= set(up), "a container of others was touched"


def test_a_teams_volume_goes_with_its_containers_and_nobody_elses(others: None) -> None:
    """What upstream's team setting asks for: containers that share a volume, which it never removes."""
    token, another = uuid.uuid4().hex, uuid.uuid4().hex
    volumes = {mark: f"cb-team-{mark[:8]}" for mark in (token, another)}
    for mark in (token, token, another):
        environment = {**os.environ, "COOPDECK_SWEEP": "team", "COOPDECK_TOKEN": mark}
        mount = ["--volume", f"{volumes[mark]}:/workspace/shared"]
        run = [str(SHIM), "run", "-d", "--rm", *mount, "--entrypoint", "/bin/bash", IMAGES[0], "-c", "sleep 2h"]
        subprocess.run(run, env=environment, capture_output=True, timeout=120, check=True)
    docked = DockerContainers(os.environ, volumes=True, wait_s=60)
    try:
        assert anyio.run(docked.remove, {token}) == 3
        assert volumes[token] not in docker("volume", "ls", "-q")
        assert volumes[another] in docker("volume", "ls", "-q")
        assert len(docker("ps", "-q", "--filter", f"label=coopdeck.token={another}")) == 1
    finally:
        assert anyio.run(docked.remove, {token, another}) == 2


@pytest.mark.parametrize("bed", ["auto", "cli"], indirect=True)
def test_a_killed_runner_loses_nothing_and_buys_nothing_twice(bed: Bed) -> None:
    bed.start()
    bed.kill_runner()
    assert len(bed.containers()) == 2
    summary = bed.go_on()
    assert (summary["results"], summary["attempts"]) == (2, 2)
    assert Counter(bed.endpoint.requests.values()) == {ANSWERS_OF_A_JOB: 2}
    assert summary["cost_usd"] == pytest.approx(2 * ANSWERS_OF_A_JOB * COST_PER_ANSWER, abs=1e-6)
    assert bed.containers() == []
    assert bed.processes() == []


def test_attempts_outlive_the_process_that_forked_them_which_is_replaced(bed: Bed) -> None:
    """Two of three jobs run when it is killed."""
    bed.arguments += ["--pairs", f"{REPO}/1/f1_f3"]
    bed.start()
    running = {attempt.pid for row in bed.board.jobs.values() for attempt in row.attempts if attempt.pid}
    (parent,) = {psutil.Process(pid).ppid() for pid in running}
    runner = bed.sweep.pid
    assert parent != runner
    os.kill(parent, signal.SIGKILL)
    until(lambda: {psutil.Process(pid).ppid() for pid in running} == {runner}, "the runner is their parent now")
    bed.endpoint.plan()
    until(lambda: bed.sweep.pid is None, "the sweep is over")
    assert bed.board.total.results == 3
    assert [len(row.attempts) for row in bed.board.jobs.values()] == [1] * 3
    assert sum(bed.endpoint.requests.values()) == 3 * ANSWERS_OF_A_JOB
    assert forked(bed) == 3
    log = (bed.folder / ".coopdeck" / "sweeps" / bed.name / "runner.log").read_text()
    # A slow engine may be told of besides.
    (said,) = (line for line in log.splitlines() if "Docker" not in line)
    assert "the warm process died (killed by SIGKILL); the next attempt gets another" in said
    assert not psutil.pid_exists(parent)
    assert bed.containers() == []
    assert bed.processes() == []


def test_of_attempts_whose_time_is_up_nothing_is_left(bed: Bed) -> None:
    ran = bed.cli(*bed.arguments, "--timeout", "12s", "--attempts", "1", "--headless", "--json")
    assert ran.returncode == 1, ran.stderr
    outcomes = [row.attempts[-1].outcome for row in bed.board.jobs.values()]
    assert [outcome and outcome.failure for outcome in outcomes] == ["timeout"] * 2
    assert forked(bed) == 2
    assert bed.containers() == []
    assert bed.processes() == []


def test_stopped_now_nothing_is_left_and_both_jobs_can_go_on(bed: Bed) -> None:
    bed.start()
    assert bed.cli("stop", bed.name, "--now").returncode == 0
    assert bed.sweep.pid is None
    assert bed.containers() == []
    assert bed.processes() == []
    assert {row.state for row in bed.board.jobs.values()} == {"queued"}
    summary = bed.go_on()
    assert (summary["results"], summary["attempts"]) == (2, 4)
    assert bed.containers() == []
    assert bed.processes() == []


def test_a_cancelled_attempts_container_goes_alone_and_clean_takes_what_the_killed_left(bed: Bed) -> None:
    bed.start()
    cancelled, killed = bed.board.order
    assert ask(bed.sweep, lambda _: [Cancel(cancelled)])[0].ok
    until(lambda: bed.board.jobs[cancelled].state == "cancelled", "the job is cancelled")
    until(lambda: len(bed.containers()) == 1, "its container is gone")

    running = json.loads(bed.cli("clean", "--json").stdout)
    assert running["containers"] == []
    bed.kill_runner()
    # Its runner is dead, but the attempt lives: it is paid for, and can be adopted.
    assert json.loads(bed.cli("clean", "--yes", "--json").stdout)["containers"] == []
    pid = bed.board.jobs[killed].attempts[-1].pid
    assert pid is not None
    os.killpg(pid, signal.SIGKILL)
    until(lambda: bed.processes() == [], "the attempt is gone")
    assert len(bed.containers()) == 1
    listed = bed.cli("clean")
    assert "1 container" in listed.stdout
    assert len(bed.containers()) == 1
    cleaned = bed.cli("clean", "--yes")
    assert cleaned.returncode == 0, cleaned.stderr
    assert bed.containers() == []
    assert not bed.sweep.socket.exists()
