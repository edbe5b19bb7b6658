"""The bed itself: upstream's program, called directly, does here what it does in earnest."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dataset import REPO
from tests.e2e.endpoint import Delivery, Fault, ScriptedEndpoint
from tests.e2e.script import COST_PER_ANSWER

pytestmark = pytest.mark.docker

# Upstream's containers carry no label, and ignore SIGTERM for ten seconds.
DOCKER_SHIM = """#!/bin/sh
if [ "$1" = run ]; then
    shift
    exec docker run --label "coopdeck-bed=$COOPDECK_BED" --stop-timeout 1 "$@"
fi
exec docker "$@"
"""
FEW_STEPS = "agent:\n  step_limit: 6\nmodel:\n  model_kwargs:\n    max_retries: 0\n"
PLAN = (
    Fault("status", marker="toy-task1-feature3", status=503),
    Fault("loop", marker="toy-task2-feature3"),
)
HELD = Fault("delay", marker="toy-task2-feature2", agent="solo", after=1, seconds=300)
"""Until its container has been killed, after the first command."""


@dataclass
class Bed:
    """One folder in which upstream runs; each job has a name, and leaves an output file."""

    program: Path
    folder: Path
    dataset: Path
    redis: str
    endpoint: ScriptedEndpoint
    jobs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        environment = {
            **os.environ,
            **self.endpoint.environment,
            "MSWEA_DOCKER_EXECUTABLE": str(self.folder / "docker-shim"),
            "COOPDECK_BED": self.label(name),
        }
        with self.output(name).open("wb") as output:
            self.jobs[name] = subprocess.Popen(
                [self.program, *arguments, "--dataset-dir", self.dataset, "--log-dir", "logs"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, name: str, setting: str, task: int, features: str) -> None:
        pair = ["-r", REPO, "-t", str(task), "-f", features, "--setting", setting]
        how = ["-m", "openai/gpt-4o", "-a", "mini_swe_agent_v2", "-c", "1", "--backend", "docker"]
        rest = ["--no-auto-eval", "--redis", self.redis, "--agent-config", "few.yaml"]
        self.start(name, "run", "-n", name, *pair, *how, *rest)

    def finish(self) -> None:
        for name, job in self.jobs.items():
            assert job.wait(500) == 0, self.output(name).read_text()
        self.jobs.clear()

    def label(self, name: str) -> str:
        return f"{self.folder.parent.name}-{self.folder.name}-{name}"

    def containers(self, name: str) -> list[str]:
        command = ["docker", "ps", "-aq", "--filter", f"label=coopdeck-bed={self.label(name)}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def output(self, name: str) -> Path:
        return self.folder / f"{name}.out"

    def read(self, name: str, file: str) -> Any:
        (path,) = self.folder.glob(f"logs/{name}/*/{REPO}/*/*/{file}")
        return json.loads(path.read_text()) if path.suffix == ".json" else path.read_text()

    def clean(self) -> None:
        for name, job in self.jobs.items():
            job.kill()
            job.wait()
            for container in self.containers(name):
                subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=False)


@pytest.fixture(scope="module")
def bed(
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    toy_dataset: Path,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bed]:
    """Five real jobs at the same time, each of which ends in another way; two of them evaluated."""
    folder = tmp_path_factory.mktemp("bed")
    (folder / "few.yaml").write_text(FEW_STEPS)
    (folder / "docker-shim").write_text(DOCKER_SHIM)
    (folder / "docker-shim").chmod(0o755)
    with ScriptedEndpoint(*PLAN, HELD) as endpoint, ExitStack() as cleaning:
        bed = Bed(cooperbench_program, folder, toy_dataset, redis_url, endpoint)
        cleaning.callback(bed.clean)
        bed.run("killed", "solo", 2, "2,3")
        bed.run("solo", "solo", 1, "1,2")
        bed.run("coop", "coop", 2, "1,2")
        bed.run("refused", "solo", 1, "1,3")
        bed.run("endless", "solo", 2, "1,3")
        _wait_until(lambda: endpoint.requests[("2/f2_f3", "solo")] > 1)
        subprocess.run(["docker", "kill", *bed.containers("killed")], capture_output=True, check=True)
        endpoint.plan(*PLAN)
        bed.finish()
        for name in ("solo", "coop"):
            bed.start(f"eval-{name}", "eval", "-n", name, "--backend", "docker")
        bed.finish()
        yield bed


def _wait_until(true: Any) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_solo_submits_a_right_patch(bed: Bed) -> None:
    result = bed.read("solo", "result.json")
    assert result["agent"]["status"] == "Submitted"
    assert result["total_cost"] == pytest.approx(4 * COST_PER_ANSWER)
    assert bed.endpoint.answers[("1/f1_f2", "solo")] == 4
    assert "+def sub(" in bed.read("solo", "solo.patch")
    evaluation = bed.read("solo", "eval.json")
    assert (evaluation["both_passed"], evaluation["error"]) == (True, None)


def test_coop_delivers_messages_and_merges(bed: Bed) -> None:
    result = bed.read("coop", "result.json")
    assert {agent["status"] for agent in result["agents"].values()} == {"Submitted"}
    assert result["total_cost"] == pytest.approx(10 * COST_PER_ANSWER)
    said = {message["from"]: message["message"] for message in bed.read("coop", "conversation.json")}
    assert bed.endpoint.deliveries == {
        Delivery("2/f2", "agent2", "agent1", said["agent1"]),
        Delivery("2/f1", "agent1", "agent2", said["agent2"]),
    }
    evaluation = bed.read("coop", "eval.json")
    assert (evaluation["merge"]["status"], evaluation["both_passed"]) == ("clean", True)


def test_a_503_ends_in_an_error_with_the_class_of_litellm(bed: Bed) -> None:
    result = bed.read("refused", "result.json")
    assert (result["agent"]["status"], result["total_cost"]) == ("Error", 0)
    assert result["agent"]["error"].startswith("litellm.ServiceUnavailableError: ")
    last = bed.read("refused", "solo_traj.json")["messages"][-1]
    assert (last["role"], last["extra"]["exit_status"]) == ("exit", "ServiceUnavailableError")
    assert bed.endpoint.requests[("1/f1_f3", "solo")] == 1


def test_an_endless_agent_exceeds_its_limits(bed: Bed) -> None:
    agent = bed.read("endless", "result.json")["agent"]
    assert (agent["status"], agent["steps"], agent["error"]) == ("LimitsExceeded", 6, None)


def test_a_vanished_container_looks_like_a_result(bed: Bed) -> None:
    """Upstream notices nothing: it pays on to the limit, and takes Docker's complaint for the patch."""
    agent = bed.read("killed", "result.json")["agent"]
    assert (agent["status"], agent["error"], agent["patch_lines"]) == ("LimitsExceeded", None, 1)
    assert bed.read("killed", "solo.patch").startswith("Error response from daemon: ")


def test_no_container_is_left(bed: Bed) -> None:
    for name in ("solo", "coop", "refused", "endless", "killed"):
        _wait_until(lambda name=name: not bed.containers(name))
