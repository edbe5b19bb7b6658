"""Upstream's own evaluation on the real thing: its containers are known and go, and nothing is bought again for it.

The tests of this dataset wait in their container until they are let go, so that it can be met while it is up.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.bed import Bed, docker, until
from tests.e2e.dataset import REPO
from tests.e2e.endpoint import ScriptedEndpoint

pytestmark = pytest.mark.docker

PAIR = "1/f1_f2"
ANSWERS_OF_A_JOB = 4
GATE = "/tmp/go"
WAITING = f"for _ in range(6000): __import__('time').sleep(0 if __import__('os').path.exists({GATE!r}) else 0.1)"


@pytest.fixture
def waiting_dataset(tmp_path: Path, toy_dataset: Path) -> Path:
    dataset = tmp_path / "dataset"
    shutil.copytree(toy_dataset, dataset)
    for patch in dataset.glob("*/*/*/tests.patch"):
        text = re.sub(r"(@@ -0,0 \+1,)(\d+)", lambda found: f"{found[1]}{int(found[2]) + 1}", patch.read_text())
        patch.write_text(text.replace("+    assert", f"+    {WAITING}\n+    assert"))
    return dataset


@pytest.fixture
def bed(
    tmp_path: Path,
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    waiting_dataset: Path,
    endpoint: ScriptedEndpoint,
) -> Iterator[Bed]:
    bed = Bed(tmp_path, cooperbench_program, waiting_dataset, endpoint, (PAIR,))
    endpoint.plan()
    yield bed
    bed.clean()


def evaluating(bed: Bed) -> list[str]:
    """The containers in which tests run; an agent's sleeps for a time."""
    label = f"label=coopdeck.sweep={bed.name}"
    found = subprocess.run(
        ["docker", "ps", "--no-trunc", "--filter", label, "--format", "{{.ID}} {{.Command}}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return [line.split()[0] for line in found.stdout.splitlines() if "infinity" in line]


def let_go(bed: Bed) -> None:
    """The tests that wait in a container now."""
    until(lambda: evaluating(bed), "the tests run in a container")
    for container in evaluating(bed):
        docker("exec", container, "touch", GATE)


def eval_json(bed: Bed) -> Path:
    return bed.folder / f"logs/{bed.name}-solo/solo/{REPO}/{PAIR}/eval.json"


def verdicts(bed: Bed) -> dict[str, int]:
    report = bed.cli("report", bed.name, "--json")
    tests: dict[str, int] = json.loads(report.stdout)["tests"]
    return {verdict: count for verdict, count in tests.items() if count}


def start(bed: Bed) -> None:
    ran = bed.cli(*bed.arguments, "--eval", "--detach")
    assert ran.returncode == 0, ran.stderr
    until(lambda: evaluating(bed), "the tests run in a container of the attempt's")


def assert_tested(bed: Bed) -> None:
    values: dict[str, Any] = json.loads(eval_json(bed).read_text())
    assert values["both_passed"] is True
    assert "1 passed" in values["feature1"]["test_output"]
    assert verdicts(bed) == {"passed": 1}
    # The agents' work was never bought again.
    assert bed.endpoint.requests.total() == ANSWERS_OF_A_JOB
    assert bed.containers() == []


def test_a_runner_killed_during_the_evaluation_is_followed_by_one_that_adopts_it(bed: Bed) -> None:
    start(bed)
    bed.kill_runner()
    assert len(evaluating(bed)) == 1
    with ThreadPoolExecutor(1) as beside:
        going = beside.submit(bed.go_on)
        until(lambda: bed.sweep.pid is not None or going.done(), "the second runner is up")
        let_go(bed)
        assert going.result()["results"] == 1
    (row,) = bed.board.jobs.values()
    assert len(row.attempts) == 1, [attempt.outcome for attempt in row.attempts]
    assert bed.processes() == []
    assert_tested(bed)


def test_an_evaluation_that_was_ended_is_made_up_for_by_coopdeck_eval(bed: Bed) -> None:
    start(bed)
    assert bed.cli("stop", bed.name, "--now").returncode == 0
    assert (bed.containers(), bed.processes()) == ([], [])
    (row,) = bed.board.jobs.values()
    assert row.state == "done"
    assert row.outcome is not None
    assert row.outcome.tested is not None
    assert row.outcome.tested.label == "eval failed"
    assert not eval_json(bed).exists()
    assert verdicts(bed) == {"error": 1}

    command = [sys.executable, "-P", "-m", "runner.cli", "eval", bed.name]
    for number in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(command, cwd=bed.folder, env=bed.environment, stdout=subprocess.PIPE, text=True) as evals:
            until(lambda: evaluating(bed), "the tests run in a container of coopdeck eval's")
            refused = bed.cli("eval", bed.name)
            assert (refused.returncode, "are being evaluated already" in refused.stderr) == (2, True)
            evals.send_signal(number)
            evals.communicate(timeout=120)
        assert evals.returncode == (130 if number == signal.SIGINT else -number)
        assert len(bed.containers()) == (0 if number == signal.SIGINT else 1)
        assert not eval_json(bed).exists()
    assert "1 container" in bed.cli("clean").stdout

    left = set(evaluating(bed))
    with ThreadPoolExecutor(1) as beside:
        tested = beside.submit(bed.cli, "eval", bed.name)
        # What was left is taken away first.
        until(lambda: set(evaluating(bed)) - left, "the tests run once more")
        let_go(bed)
        ran = tested.result()
    assert (ran.returncode, "both passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr
    assert_tested(bed)
