"""The probe in upstream's own program: it sees everything, and nobody notices it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dataset import IMAGES, REPO
from tests.e2e.endpoint import Fault, ScriptedEndpoint
from tests.e2e.script import COMPLETION_TOKENS, COST_PER_ANSWER, PROMPT_TOKENS

pytestmark = pytest.mark.docker

PROBE = Path(__file__).parents[2] / "runner" / "probe"
CONFIG = "agent:\n  step_limit: 8\nmodel:\n  model_kwargs:\n    max_retries: 0\n"
PLAN = (
    Fault("status", marker="toy-task1-feature3", status=503, times=1),
    Fault("status", marker="toy-task2-feature3", after=1, status=401),
)
# Name, setting, task, features, probed
JOBS = (
    ("solo", "solo", 1, "1,2", True),
    ("solo-plain", "solo", 1, "1,2", False),
    ("coop", "coop", 2, "1,2", True),
    ("coop-plain", "coop", 2, "1,2", False),
    ("retried", "solo", 1, "1,3", True),
    ("refused", "solo", 2, "1,3", True),
)


class Probed:
    """Finished jobs, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def output(self, name: str) -> str:
        return (self.folder / name / "output.log").read_text()

    def lines(self, name: str, kind: str = "") -> list[dict[str, Any]]:
        raw = (self.folder / name / "probe.jsonl").read_bytes()
        assert raw.endswith(b"\n")
        lines = [dict(json.loads(line)) for line in raw.splitlines()]
        return [line for line in lines if kind in ("", line["type"])]

    def read(self, name: str, file: str) -> Any:
        (path,) = self.folder.glob(f"{name}/logs/job/*/{REPO}/*/*/{file}")
        return json.loads(path.read_text())

    def agents(self, name: str) -> dict[str, Any]:
        result = self.read(name, "result.json")
        return dict(result["agents"]) if "agents" in result else {"solo": result["agent"]}


@pytest.fixture(scope="module")
def probed(
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    toy_dataset: Path,
    redis_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Probed]:
    folder = tmp_path_factory.mktemp("probed")
    running: list[subprocess.Popen[bytes]] = []
    with ScriptedEndpoint(*PLAN) as endpoint:
        for name, setting, task, features, probe in JOBS:
            home = folder / name
            home.mkdir()
            (home / "few.yaml").write_text(CONFIG)
            seen = {
                "PYTHONPATH": str(PROBE),
                "COOPERBENCH_EXTERNAL_AGENTS": "coopdeck_probe",
                "COOPDECK_PROBE": str(home / "probe.jsonl"),
            }
            retries = {"MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "3"}
            pair = ["-r", REPO, "-t", str(task), "-f", features, "--setting", setting]
            how = ["-m", "openai/gpt-4o", "-a", "mini_swe_agent_v2", "-c", "1", "--backend", "docker"]
            where = ["--redis", redis_url, "--dataset-dir", str(toy_dataset), "--log-dir", "logs"]
            rest = ["--no-auto-eval", "--agent-config", "few.yaml"]
            with (home / "output.log").open("wb") as output:
                job = subprocess.Popen(
                    [cooperbench_program, "run", "-n", "job", *pair, *how, *where, *rest],
                    cwd=home,
                    env={**os.environ, **endpoint.environment, **retries, **(seen if probe else {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            running.append(job)
        try:
            for job in running:
                assert job.wait(500) == 0
        finally:
            for job in running:
                job.kill()
        yield Probed(folder)


@pytest.mark.parametrize("name", ["solo", "coop", "retried", "refused"])
def test_steps_and_costs_are_those_of_the_result(probed: Probed, name: str) -> None:
    for agent, result in probed.agents(name).items():
        (ended,) = (line for line in probed.lines(name, "agent_end") if line["agent"] == agent)
        assert (ended["status"], ended["steps"], ended["cost_usd"]) == (
            result["status"],
            result["steps"],
            result["cost"],
        )
        steps = [line for line in probed.lines(name, "step") if line["agent"] == agent]
        assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
        assert len(steps) == result["steps"] - (name == "refused")
        assert steps[-1]["cost_usd"] == result["cost"]
        calls = [line for line in probed.lines(name, "llm_end") if line["agent"] == agent]
        assert sum(call["cost_usd"] for call in calls) == pytest.approx(result["cost"], abs=1e-9)
        assert len(calls) == sum(line["agent"] == agent for line in probed.lines(name, "llm_begin"))
        answered = [call for call in calls if call["status"] == "ok"]
        assert {(call["input_tokens"], call["output_tokens"]) for call in answered} == {
            (PROMPT_TOKENS, COMPLETION_TOKENS)
        }
        assert all(call["cost_usd"] == pytest.approx(COST_PER_ANSWER) for call in answered)


@pytest.mark.parametrize(("name", "image"), [("solo", IMAGES[0]), ("coop", IMAGES[1])])
def test_the_containers_are_those_that_were_started(probed: Probed, name: str, image: str) -> None:
    started = re.findall(r"Started container (\S+)\s+with\s+ID\s+(\S+)", probed.output(name))
    containers = probed.lines(name, "container")
    assert sorted((line["name"], line["id"]) for line in containers) == sorted(started)
    assert {line["agent"] for line in containers} == set(probed.agents(name))
    assert {line["image"].split("/")[-1] for line in containers} == {image.split("/")[-1]}


def test_messages_are_seen_when_sent_and_when_read(probed: Probed) -> None:
    said = {
        (message["from"], message["to"], message["message"]) for message in probed.read("coop", "conversation.json")
    }
    assert len(said) == 2
    for kind, mine in (("message_sent", "from"), ("message_received", "to")):
        lines = probed.lines("coop", kind)
        assert sorted((line["from"], line["to"], line["text"]) for line in lines) == sorted(said)
        assert all(line["agent"] == line[mine] for line in lines)
    sent = {line["from"]: line["at"] for line in probed.lines("coop", "message_sent")}
    assert all(sent[line["from"]] <= line["at"] for line in probed.lines("coop", "message_received"))


def test_every_command_ends(probed: Probed) -> None:
    for name in ("solo", "coop"):
        steps, ends = probed.lines(name, "step"), probed.lines(name, "exec_end")
        assert len(steps) == len(ends)
        assert {line["returncode"] for line in ends} == {0}
        assert all(0 <= line["seconds"] < 60 for line in ends)


def test_a_retry_tells_its_class_and_wait(probed: Probed) -> None:
    (retry,) = probed.lines("retried", "llm_retry")
    # Python itself prints this one, for want of a handler.
    assert "Retrying" in probed.output("retried")
    told = {key: retry[key] for key in ("agent", "class", "attempt", "of", "wait_s")}
    assert told == {"agent": "solo", "class": "ServiceUnavailableError", "attempt": 1, "of": 3, "wait_s": 4.0}
    assert [line["status"] for line in probed.lines("retried", "llm_end")][:2] == ["ServiceUnavailableError", "ok"]


def test_a_refused_agent_has_spent_what_it_had_spent(probed: Probed) -> None:
    (ended,) = probed.lines("refused", "agent_end")
    assert (ended["status"], ended["class"]) == ("Error", "AuthenticationError")
    assert ended["cost_usd"] == pytest.approx(COST_PER_ANSWER)
    assert "Incorrect API key provided: ***" in ended["error"]


def test_nothing_went_wrong_in_the_probe(probed: Probed) -> None:
    for name in ("solo", "coop", "retried", "refused"):
        assert not probed.lines(name, "probe_errors")
        (begun,) = probed.lines(name, "probe_begin")
        assert begun["sees"] == "loggers,litellm,mailbox,runners"


@pytest.mark.parametrize("name", ["solo", "coop"])
def test_the_output_and_the_results_are_those_of_a_job_without_it(probed: Probed, name: str) -> None:
    assert same(probed.output(name)) == same(probed.output(f"{name}-plain"))
    with_it, without = probed.agents(name), probed.agents(f"{name}-plain")
    assert set(with_it) == set(without)
    if name == "solo":
        assert with_it == without


def same(output: str) -> list[str]:
    """Without ids, numbers and widths; colleagues print in any order."""
    text = re.sub(r"\d+", "0", re.sub(r"\b[0-9a-f]{8,}\b", "ID", output))
    return sorted(re.sub(r"\s+", " ", line) for line in text.splitlines())
