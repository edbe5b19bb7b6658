"""Reading what an attempt left: a good result is read right, anything else is classified and never raises."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.delivery import result_folder
from runner.adapters.result_files import RESULT_LIMIT, no_result_outcome
from runner.model.ids import JobId, PairId
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan

pytestmark = pytest.mark.anyio

SAMPLES = Path(__file__).parent.parent / "data" / "sample_logs"
PAIR = PairId("toy_task", 1, (1, 2))


def spec(setting: str, run_name: str = "sample") -> JobSpec:
    return JobSpec(JobId(f"{setting}.toy"), setting, run_name, PAIR, "openai/gpt-4o")


def plan(logs: Path) -> Plan:
    return Plan("s", ("cooperbench",), str(logs), ("solo",), ("openai/gpt-4o",), "mini_swe_agent_v2")


async def read(folder: Path, job: JobSpec, exit_status: int | None = 0) -> Outcome:
    return await CooperbenchFiles(folder).read(plan(folder), job, folder, exit_status)


def staged(tmp_path: Path, job: JobSpec) -> Path:
    """A copy of a real attempt's folder; its result folder."""
    shutil.copytree(SAMPLES / job.run_name, tmp_path / "logs" / job.run_name)
    return result_folder(tmp_path / "logs", job)


async def test_a_real_solo_result_is_read(tmp_path: Path) -> None:
    staged(tmp_path, spec("solo"))
    outcome = await read(tmp_path, spec("solo"))
    assert outcome.is_result
    assert (outcome.status, outcome.steps, outcome.patch_lines) == ("Submitted", 6, 9)
    assert outcome.cost_usd == 0.021750000000000002
    assert outcome.duration_s == 5.049913


async def test_a_real_coop_result_is_read(tmp_path: Path) -> None:
    staged(tmp_path, spec("coop-comm"))
    outcome = await read(tmp_path, spec("coop-comm"))
    assert (outcome.label, outcome.steps, outcome.messages) == ("Submitted", 12, 2)
    assert outcome.cost_usd == 0.043500000000000004


async def test_a_real_api_error_is_classed_by_its_exception(tmp_path: Path) -> None:
    job = spec("solo", "sample-error")
    staged(tmp_path, job)
    outcome = await read(tmp_path, job)
    assert outcome.failure == "provider"
    assert outcome.evidence.startswith("litellm.InternalServerError: ")
    assert outcome.cost_usd == 0


def _edits() -> dict[str, Any]:
    agent = {"status": "Submitted", "cost": 1, "steps": 2}
    return {
        "nan": {"total_cost": float("nan")},
        "infinite": {"total_cost": float("inf")},
        "negative": {"total_cost": -0.01},
        "huge": {"total_cost": 1e308},
        "cost is a word": {"total_cost": "free"},
        "cost is true": {"total_cost": True},
        "no duration": {"duration_seconds": None},
        "agent is a list": {"agent": [agent]},
        "agents is a list": {"agent": None, "agents": [agent]},
        "agents is empty": {"agent": None, "agents": {}},
        "an agent is a list": {"agent": None, "agents": {"agent1": []}},
        "status is none": {"agent": {**agent, "status": None}},
        "status is blank": {"agent": {**agent, "status": " "}},
        "steps negative": {"agent": {**agent, "steps": -1}},
        "another repo": {"repo": "other_task"},
        "another task": {"task_id": 2},
        "other features": {"features": [1, 3]},
        "features is a word": {"features": "f1_f2"},
        "another model": {"model": "openai/gpt-3"},
    }


@pytest.mark.parametrize("name", list(_edits()))
async def test_a_wrong_value_is_a_classed_failure(name: str, tmp_path: Path) -> None:
    path = staged(tmp_path, spec("solo")) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **_edits()[name]}))
    outcome = await read(tmp_path, spec("solo"))
    assert outcome.failure == "corrupt"
    assert outcome.cost_usd is None
    assert outcome.evidence


@pytest.mark.parametrize("text", ["", "[]", "null", "7", '"x"', "[" * 100_000, "{" * 50, "\x00", "\ud800x"])
async def test_what_is_no_object_is_a_classed_failure(text: str, tmp_path: Path) -> None:
    (staged(tmp_path, spec("solo")) / "result.json").write_bytes(text.encode(errors="surrogatepass"))
    assert (await read(tmp_path, spec("solo"))).failure == "corrupt"


async def test_an_oversized_result_is_not_read_into_memory(tmp_path: Path) -> None:
    path = staged(tmp_path, spec("solo")) / "result.json"
    with path.open("ab") as file:
        file.truncate(RESULT_LIMIT * 4096)  # sparse: 4 GB that take no disk
    outcome = await read(tmp_path, spec("solo"))
    assert outcome.failure == "corrupt"
    assert "larger than" in outcome.evidence


async def test_a_result_cut_at_any_byte_is_no_result(tmp_path: Path) -> None:
    path = staged(tmp_path, spec("coop-comm")) / "result.json"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        assert (await read(tmp_path, spec("coop-comm"))).failure == "corrupt", length


async def test_a_vanished_container_is_no_result(tmp_path: Path) -> None:
    folder = staged(tmp_path, spec("solo"))
    (folder / "solo.patch").write_text("Error response from daemon: No such container: f8851d1e\n")
    outcome = await read(tmp_path, spec("solo"))
    assert outcome.failure == "container"
    assert outcome.cost_usd == 0.021750000000000002


async def test_a_cost_of_zero_after_answered_calls_is_unknown(tmp_path: Path) -> None:
    path = staged(tmp_path, spec("solo")) / "result.json"
    values = json.loads(path.read_text())
    values["total_cost"] = values["agent"]["cost"] = 0
    path.write_text(json.dumps(values))
    assert (await read(tmp_path, spec("solo"))).cost_usd is None


@pytest.mark.parametrize(
    ("qualified", "says", "failure"),
    [
        ("redis.exceptions.ConnectionError", "Error 111 connecting to localhost:6379. Connection refused.", "redis"),
        ("redis.exceptions.TimeoutError", "the agent's own words\nredis.exceptions.TimeoutError: no", "redis"),
        ("ConnectionError", "redis.exceptions.ConnectionError: an agent said this", "unknown"),
        ("http.ConnectionError", "\nredis.exceptions.ConnectionError: and this", "unknown"),
    ],
)
async def test_an_agents_exception_is_told_apart_by_its_module(
    qualified: str, says: str, failure: str, tmp_path: Path
) -> None:
    """Upstream names the class alone, and there are several of that name; the traceback's end has the module."""
    folder = staged(tmp_path, spec("coop-comm"))
    result = json.loads((folder / "result.json").read_text())
    feature = result["agents"]["agent1"]["feature_id"]
    result["agents"]["agent1"] |= {"status": "Error", "error": says}
    (folder / "result.json").write_text(json.dumps(result))
    name = qualified.rpartition(".")[2]
    traceback = f"Traceback (most recent call last):\n  File ...\n{qualified}: {says}\n"
    extra = {"exit_status": name, "exception_str": says, "traceback": traceback}
    trajectory = folder / f"agent{feature}_traj.json"
    trajectory.write_text(json.dumps({"messages": [{"role": "exit", "content": says, "extra": extra}]}))
    outcome = await read(tmp_path, spec("coop-comm"))
    assert (outcome.failure, outcome.status) == (failure, "Error")


TRACEBACK = "Traceback (most recent call last):\n  File ...\n"


@pytest.mark.parametrize(
    ("log", "exit_status", "failure"),
    [
        ("no tasks found\n", 0, "empty"),
        (TRACEBACK + "redis.exceptions.ConnectionError: Error 111 connecting\n", 1, "redis"),
        (TRACEBACK + "docker.errors.DockerException: no daemon\n", 1, "docker"),
        (TRACEBACK + "OSError: [Errno 28] No space left on device\n", 1, "host"),
        (TRACEBACK + "ValueError: what\n", 1, "crash"),
        ("error: Failed to start Redis\n", 1, "redis"),
        ("error: Docker not found. Install Docker or Redis.\n", 1, "redis"),
        ("redis.exceptions.ConnectionError: an agent printed this\n", 1, "crash"),
        ("", -9, "oom"),
        ("", -6, "crash"),
        ("all is well\n", 0, "crash"),
        ("", None, "crash"),
    ],
)
def test_a_process_without_a_result_is_classed_by_its_last_words(
    log: str, exit_status: int | None, failure: str, tmp_path: Path
) -> None:
    (tmp_path / "output.log").write_text(log)
    outcome = no_result_outcome(tmp_path / "output.log", exit_status)
    assert outcome.failure == failure
    assert outcome.evidence
