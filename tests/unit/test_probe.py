"""The probe beside the rehearsal, with hostile words, and where nothing can be written."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.model.secrets import is_secret_name
from tests.unit.probed import PROBE, ROOT, lines_of

SETTINGS = {"solo": ["solo"], "coop-comm": ["coop"], "coop-nocomm": ["coop", "--no-messaging"], "team": ["team"]}
MODULES = ("coopdeck_probe_lines", "coopdeck_probe_agents", "coopdeck_probe_watch")


def rehearse(
    folder: Path, setting: str, *, probe: str | None = None, fault: dict[str, Any] | None = None, beside: str = ""
) -> str:
    """One job below the folder; answers what it printed."""
    config: dict[str, Any] = {"speed": 1e5, "seed": 0}
    if fault:
        (folder / "plan.json").write_text(json.dumps({"faults": [fault]}))
        config["faults"] = str(folder / "plan.json")
    environ = {**os.environ, "COOPDECK_REHEARSAL": json.dumps(config)}
    if probe is not None:
        environ |= {"PYTHONPATH": f"{PROBE}:{folder}", "COOPERBENCH_EXTERNAL_AGENTS": f"coopdeck_probe{beside}"}
        environ |= {"COOPDECK_PROBE": probe}
    words = ["run", "-n", "x", "--setting", *SETTINGS[setting], "-r", "dspy_task", "-t", "8563", "-f", "2,6"]
    done = subprocess.run(
        [sys.executable, "-m", "runner.rehearsal", *words, "--log-dir", str(folder / "logs"), "--no-auto-eval"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not done.stderr
    return done.stdout


def read(folder: Path, file: str) -> Any:
    (path,) = folder.glob(f"logs/x/*/*/*/*/{file}")
    return json.loads(path.read_text())


def agents_of(folder: Path) -> dict[str, Any]:
    result = read(folder, "result.json")
    return dict(result["agents"]) if "agents" in result else {"solo": result["agent"]}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_rehearsal_is_seen_to_the_last_cent(tmp_path: Path, setting: str) -> None:
    probe = tmp_path / "probe.jsonl"
    rehearse(tmp_path, setting, probe=str(probe))
    agents = agents_of(tmp_path)
    assert len(agents) == (1 if setting == "solo" else 2)
    for agent, result in agents.items():
        steps = [line for line in lines_of(probe, "step") if line["agent"] == agent]
        assert [step["step"] for step in steps] == list(range(1, result["steps"] + 1))
        assert steps[-1]["cost_usd"] == pytest.approx(result["cost"], abs=1e-9)
        calls = [line for line in lines_of(probe, "llm_end") if line["agent"] == agent]
        assert math.fsum(call["cost_usd"] for call in calls) == pytest.approx(result["cost"], abs=1e-9)
        assert all(call["input_tokens"] and call["output_tokens"] for call in calls)
        (ended,) = (line for line in lines_of(probe, "agent_end") if line["agent"] == agent)
        assert (ended["status"], ended["steps"]) == (result["status"], result["steps"])
        assert ended["cost_usd"] == pytest.approx(result["cost"], abs=1e-9)
    # A rehearsal has none, and makes none up.
    assert not lines_of(probe, "container")
    assert len(lines_of(probe, "exec_end")) == len(lines_of(probe, "step"))
    assert not lines_of(probe, "probe_errors")


def test_a_rehearsals_messages_are_those_of_the_conversation(tmp_path: Path) -> None:
    probe = tmp_path / "probe.jsonl"
    rehearse(tmp_path, "coop-comm", probe=str(probe))
    said = sorted((line["from"], line["to"], line["message"]) for line in read(tmp_path, "conversation.json"))
    assert said
    for kind in ("message_sent", "message_received"):
        assert sorted((line["from"], line["to"], line["text"]) for line in lines_of(probe, kind)) == said


@pytest.mark.parametrize("spent", [True, False])
def test_what_a_failed_agent_really_spent(tmp_path: Path, spent: bool) -> None:
    probe = tmp_path / "probe.jsonl"
    rehearse(tmp_path, "solo", probe=str(probe), fault={"fault": "server", "after": 0.5, "spent": spent})
    result, transcript = agents_of(tmp_path)["solo"], read(tmp_path, "solo_traj.json")
    paid = sum(message.get("extra", {}).get("cost", 0) for message in transcript["messages"])
    (ended,) = lines_of(probe, "agent_end")
    assert (ended["status"], ended["steps"]) == ("Error", result["steps"])
    assert ended["class"] == "InternalServerError"
    assert ended["cost_usd"] == pytest.approx(paid, abs=1e-9)
    assert paid > 0
    assert lines_of(probe, "llm_end")[-1]["status"] == "InternalServerError"


def test_a_price_nobody_knows_is_null(tmp_path: Path) -> None:
    probe = tmp_path / "probe.jsonl"
    rehearse(tmp_path, "solo", probe=str(probe), fault={"fault": "unpriced"})
    priced = lines_of(probe, "llm_end") + lines_of(probe, "step") + lines_of(probe, "agent_end")
    assert {line["cost_usd"] for line in priced} == {None}
    tokens = [line["input_tokens"] for line in lines_of(probe, "llm_end")]
    assert tokens
    assert all(tokens)


CLOSER = "import os\nos.closerange(3, 256)\n"


@pytest.mark.parametrize("place", ["missing/probe.jsonl", "folder", "/dev/full", "fifo", "closed.jsonl"])
def test_a_job_is_the_same_where_nothing_can_be_written(tmp_path: Path, place: str) -> None:
    plain, probed = tmp_path / "plain", tmp_path / "probed"
    for folder in (plain, probed):
        folder.mkdir()
    (probed / "folder").mkdir()
    os.mkfifo(probed / "fifo")
    (probed / "closer.py").write_text(CLOSER)
    beside = ",closer" if place == "closed.jsonl" else ""
    rehearse(plain, "coop-comm")
    rehearse(probed, "coop-comm", probe=str(probed / place), beside=beside)
    assert agents_of(plain) == agents_of(probed)
    assert read(plain, "conversation.json") == read(probed, "conversation.json")
    if beside:
        assert len(lines_of(probed / place, "agent_end")) == 2


def test_without_a_path_it_does_nothing(tmp_path: Path) -> None:
    rehearse(tmp_path, "solo", probe="")
    assert {path.name for path in tmp_path.iterdir()} == {"logs"}


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The probe's own modules, as they are found there."""
    monkeypatch.syspath_prepend(str(PROBE))
    yield {name.rpartition("_")[2]: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


HOSTILE = (
    "\x1b]52;c;aGk=\x07\x00\x9b31m\u202e\u2028\u2029\x85\r\n",
    "\ud800 alone",
    "😀" * 9000,
    '"\\' * 9000,
    "\x00" * 9000,
    "x" * 30_000_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_in_one_bounded_line(probe: dict[str, Any], tmp_path: Path, text: str) -> None:
    lines = probe["lines"].Lines(str(tmp_path / "probe.jsonl"))
    watch = probe["watch"].Watch(lines)
    action = {"command": f"{text}\nsend_message agent2 <<'MSG'\n{text}\nMSG"}
    usage = {"prompt_tokens": math.nan, "completion_tokens": "7", "prompt_tokens_details": {"cached_tokens": True}}
    extra = {"actions": [action] * 50, "cost": math.inf, "response": {"model": text, "usage": usage}}
    watch.git("Setting up git for agent1")
    watch.environment(f"Started container {text} with ID {text}")
    watch.retry(f"Retrying {text} in 9 seconds as it raised {text}")
    watch.talk(({"role": "user", "content": f"[Message from agent2]: {text}"},))
    watch.talk(({"role": "assistant", "content": [{"type": "text", "text": text}] * 9, "extra": extra},))
    watch.talk(({"role": "tool", "content": text, "extra": {"raw_output": text, "returncode": 10**400}},))
    watch.talk(({"role": "exit", "extra": {"exit_status": text, "exception_str": text}},))
    assert lines.errors == 0
    kinds = {line["type"] for line in lines_of(tmp_path / "probe.jsonl")}
    assert {"llm_begin", "llm_end", "step", "exec_end", "agent_end", "message_received"} <= kinds


@pytest.mark.parametrize("before", range(270, 305))
def test_no_key_and_no_part_of_one_is_told(
    probe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    key = "correct-horse.battery-staple"
    monkeypatch.setenv("TOY_API_KEY", key)
    watch = probe["watch"].Watch(probe["lines"].Lines(str(tmp_path / "probe.jsonl")))
    text = f"{'.' * before}{key} and so on {key}"
    extra = {"actions": [{"command": text}], "cost": 0.1}
    watch.talk(({"role": "assistant", "content": [{"type": "text", "text": text}], "extra": extra},))
    watch.talk(({"role": "tool", "content": text, "extra": {"raw_output": text, "returncode": 1}},))
    watch.talk(({"role": "exit", "extra": {"exit_status": "KeyError", "exception_str": text}},))
    assert len(lines_of(tmp_path / "probe.jsonl")) > 3
    assert key[:6] not in (tmp_path / "probe.jsonl").read_text()


@pytest.mark.parametrize(
    "name", ["A_KEY", "TOKENS", "x_secret", "PASSPHRASE", "AUTHOR", "AUTH", "PWD", "MY_PWD", "HOME"]
)
def test_it_knows_secrets_by_the_same_names_as_the_runner(
    probe: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "a value of its own")
    assert ("a value of its own" in probe["lines"]._secrets()) is is_secret_name(name)


@pytest.mark.parametrize("junk", [None, 1, "text", [], (None, 1, []), ({"role": []},), ({"extra": "x"},)])
def test_junk_instead_of_messages_says_nothing(probe: dict[str, Any], tmp_path: Path, junk: object) -> None:
    lines = probe["lines"].Lines(str(tmp_path / "probe.jsonl"))
    watch = probe["watch"].Watch(lines)
    for hear in (watch.talk, watch.environment, watch.git, watch.retry):
        hear(junk)
    assert lines.errors == 0
    assert not (tmp_path / "probe.jsonl").exists()


def test_a_descriptor_that_became_somebody_elses_is_left_alone(probe: dict[str, Any], tmp_path: Path) -> None:
    lines = probe["lines"].Lines(str(tmp_path / "probe.jsonl"))
    lines.write("one", None, {})
    os.close(lines._descriptor)
    with (tmp_path / "other").open("w") as other:
        assert other.fileno() == lines._descriptor
        lines.write("two", None, {})
    assert (tmp_path / "other").read_text() == ""
    assert [line["type"] for line in lines_of(tmp_path / "probe.jsonl")] == ["one", "two"]


def test_half_a_line_spoils_no_other(probe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = probe["lines"].Lines(str(tmp_path / "probe.jsonl"))
    with monkeypatch.context() as patching:
        write = os.write
        patching.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
        lines.write("half", None, {})
    lines.write("whole", None, {})
    lines.close()
    _, *rest = (tmp_path / "probe.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["type"] for line in rest] == ["whole", "probe_errors"]
    assert json.loads(rest[-1])["count"] == 1


def test_lines_of_many_threads_do_not_mix(probe: dict[str, Any], tmp_path: Path) -> None:
    lines = probe["lines"].Lines(str(tmp_path / "probe.jsonl"))
    text = {"text": "é" * 2000}
    threads = [threading.Thread(target=lambda: [lines.write("x", None, text) for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines_of(tmp_path / "probe.jsonl")) == 1600
