"""The main job on the real thing: coopdeck launches real cooperbench in real containers, and its numbers are right."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dataset import REPO
from tests.e2e.endpoint import Fault, ScriptedEndpoint
from tests.e2e.script import COST_PER_ANSWER

pytestmark = pytest.mark.docker

SWEEP = "real"
PAIRS = ("1/f1_f2", "2/f1_f2", "1/f1_f3")
CONFIG = "agent:\n  step_limit: 6\nmodel:\n  model_kwargs:\n    max_retries: 0\n"
PLAN = (
    # Solo's first call for this task fails until cooperbench gives up; the second attempt gets through.
    Fault("status", marker="toy-task2-feature2", agent="solo", status=503, times=1),
    Fault("loop", marker="toy-task1-feature3", agent="solo"),
)


@pytest.fixture(scope="module")
def swept(
    tmp_path_factory: pytest.TempPathFactory,
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    toy_dataset: Path,
    redis_url: str,
) -> "Swept":
    folder = tmp_path_factory.mktemp("swept")
    (folder / "few.yaml").write_text(CONFIG)
    with ScriptedEndpoint(*PLAN) as endpoint:
        asked = ["run", SWEEP, "--pairs", ",".join(f"{REPO}/{pair}" for pair in PAIRS)]
        how = ["-m", "openai/gpt-4o", "-c", "3", "--redis", redis_url, "--agent-config", "few.yaml"]
        where = ["--dataset-dir", str(toy_dataset), "--cooperbench", str(cooperbench_program)]
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "runner.cli", *asked, *how, *where, "--headless", "--json"],
            cwd=folder,
            env={**os.environ, **endpoint.environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Swept(folder, cooperbench_program, toy_dataset, endpoint, ran)


class Swept:
    """One real sweep of three pairs in three settings, and what it left."""

    def __init__(
        self,
        folder: Path,
        program: Path,
        dataset: Path,
        endpoint: ScriptedEndpoint,
        ran: "subprocess.CompletedProcess[str]",
    ) -> None:
        self.folder = folder
        self.program = program
        self.dataset = dataset
        self.endpoint = endpoint
        self.status = ran.returncode
        self.stderr = ran.stderr
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in ran.stdout.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        return self.lines[-1]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]

    def delivered(self, setting: str, pair: str) -> Path:
        mode = "solo" if setting == "solo" else "coop"
        return self.folder / "logs" / f"{SWEEP}-{setting}" / mode / REPO / pair

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("logs/*/*/*/*/*/result.json"))]


def test_every_job_has_a_result_and_the_exit_status_says_so(swept: Swept) -> None:
    assert swept.status == 0, swept.stderr
    assert swept.summary["type"] == "summary"
    assert (swept.summary["jobs"], swept.summary["results"], swept.summary["failed"]) == (9, 9, 0)
    assert swept.summary["by_setting"]["solo"]["statuses"] == {"Submitted": 2, "LimitsExceeded": 1}
    assert swept.summary["by_setting"]["coop-comm"]["statuses"] == {"Submitted": 3}


def test_a_provider_that_was_down_is_tried_again_and_the_first_attempt_is_kept(swept: Swept) -> None:
    job = f"solo.{REPO}.2.f1_f2"
    ended = [event for event in swept.events("AttemptEnded") if event["job"] == job]
    assert [event["outcome"]["failure"] for event in ended] == ["provider", None]
    assert swept.summary["attempts"] == 10
    kept = swept.folder / ".coopdeck" / "sweeps" / SWEEP / "attempts" / job / "1"
    assert "ServiceUnavailableError" in next(kept.rglob("result.json")).read_text()
    assert (kept / "output.log").stat().st_size > 0


def test_the_costs_are_those_of_the_delivered_files_and_of_the_endpoint(swept: Swept) -> None:
    delivered = math.fsum(result["total_cost"] for result in swept.results())
    assert len(swept.results()) == 9
    assert swept.summary["cost_usd"] == pytest.approx(delivered, abs=1e-6)
    assert swept.summary["cost_usd"] == pytest.approx(swept.endpoint.spent, abs=1e-6)
    assert swept.summary["wasted_usd"] == 0
    assert swept.summary["by_setting"]["solo"]["cost_usd"] == pytest.approx((4 + 4 + 6) * COST_PER_ANSWER, abs=1e-6)


def test_steps_and_cost_are_seen_while_a_job_runs(swept: Swept) -> None:
    seen = [event for event in swept.events("AgentSeen") if event["job"].startswith("coop-comm")]
    assert {event["agent"] for event in seen} == {"agent1", "agent2"}
    assert max(event["steps"] for event in seen) >= 3
    assert max(event["cost_usd"] for event in seen) > COST_PER_ANSWER


def test_a_message_between_agents_went_through_redis(swept: Swept) -> None:
    conversation = json.loads((swept.delivered("coop-comm", "1/f1_f2") / "conversation.json").read_text())
    assert {message["from"] for message in conversation} == {"agent1", "agent2"}
    assert {delivery.pair for delivery in swept.endpoint.deliveries} >= {"1/f1", "1/f2"}
    assert not (swept.delivered("coop-nocomm", "1/f1_f2") / "conversation.json").read_text().strip("[] \n")


def test_several_ran_at_once(swept: Swept) -> None:
    running = peak = 0
    for event in swept.lines:
        running += {"AttemptStarted": 1, "AttemptEnded": -1}.get(event["type"], 0)
        peak = max(peak, running)
    assert peak == 3


def test_the_files_of_each_run_name_are_right_at_the_end(swept: Swept) -> None:
    for setting in ("solo", "coop-comm", "coop-nocomm"):
        folder = swept.folder / "logs" / f"{SWEEP}-{setting}"
        summary = json.loads((folder / "summary.json").read_text())
        assert (summary["total_tasks"], summary["completed"], summary["failed"]) == (3, 3, 0)
        assert summary["total_cost"] == pytest.approx(swept.summary["by_setting"][setting]["cost_usd"], abs=1e-6)
        assert json.loads((folder / "config.json").read_text())["run_name"] == f"{SWEEP}-{setting}"


def test_upstreams_own_eval_runs_on_what_was_delivered(swept: Swept) -> None:
    ran = subprocess.run(
        [swept.program, "eval", "-n", f"{SWEEP}-solo", "--dataset-dir", swept.dataset, "--backend", "docker"],
        cwd=swept.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    verdicts = {
        pair: json.loads((swept.delivered("solo", pair) / "eval.json").read_text())["both_passed"] for pair in PAIRS
    }
    assert verdicts == {"1/f1_f2": True, "2/f1_f2": True, "1/f1_f3": False}


def test_run_again_it_skips_what_is_there_and_buys_nothing(swept: Swept) -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "runner.cli", "run", SWEEP, "--cooperbench", str(swept.program), "--json"],
        cwd=swept.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, ran.stderr
    assert (summary["skipped"], summary["results"], summary["attempts"]) == (9, 9, 10)
    assert summary["cost_usd"] == swept.summary["cost_usd"]
