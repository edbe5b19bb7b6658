"""The probe in the process of a made-up upstream, which it sees and does not disturb."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.probed import PROBE, lines_of


def run_script(folder: Path, script: str, *, probed: bool = True) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    environ = {**os.environ, "PYTHONPATH": str(PROBE), "COOPDECK_PROBE": str(folder / "probe.jsonl") if probed else ""}
    command = [sys.executable, str(folder / "script.py")]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)


TALKATIVE = """
import logging
import coopdeck_probe
for name in ("agent", "agent.child", "litellm_model", "mini_swe_agent_v2.environment",
             "cooperbench.agents.mini_swe_agent_v2.git_connector"):
    for level in (10, 20, 30, 50):
        logging.getLogger(name).log(level, "%s says %s", name, level)
logging.disable(40)
logging.getLogger("agent").warning("disabled")
logging.disable(0)
logging.basicConfig(level=20)
logging.getLogger("agent").debug("quiet")
logging.getLogger("agent").info("heard")
logging.getLogger("agent").setLevel(10)
logging.getLogger("agent").debug("asked for")
print(logging.raiseExceptions)
"""


def test_no_logger_prints_more_or_less_than_without_it(tmp_path: Path) -> None:
    with_it, without = run_script(tmp_path, TALKATIVE), run_script(tmp_path, TALKATIVE, probed=False)
    assert (with_it.stdout, with_it.stderr) == (without.stdout, without.stderr)
    assert "agent says 30" in with_it.stderr
    assert "DEBUG:agent:asked for" in with_it.stderr


UPSTREAM = """
import asyncio, logging, sys, threading, types
from types import SimpleNamespace as Any

def module(name, **members):
    sys.modules[name] = made = types.ModuleType(name)
    made.__dict__.update(members)
    return made

def answer(cost):
    usage = Any(prompt_tokens=9, completion_tokens=2, prompt_tokens_details=Any(cached_tokens=4))
    return Any(usage=usage, _hidden_params={"response_cost": cost})

class Overloaded(Exception):
    pass

def completion(model, fail=False, nested=False, cost=0.5):
    if nested:
        return litellm.completion(model=model)
    if fail:
        raise Overloaded("no: sk-very-secret")
    return answer(cost)

async def acompletion(model):
    return completion(model)

litellm = module("litellm", completion=completion, acompletion=acompletion)
registry = {}
def register(name):
    return lambda cls: registry.setdefault(name, cls)
class MessagingConnector:
    agent_id = "agent1"
    def send(self, recipient, content):
        return recipient != "gone"
    def send_and_wait(self, recipient, content, timeout=60):
        return self.send(recipient, content), self.receive()
    def receive(self):
        return [{"from": "agent2", "to": "agent1", "content": "aye", "timestamp": ""}]

module("cooperbench.agents.mini_swe_agent_v2.connectors.messaging", MessagingConnector=MessagingConnector)
upstream = module("cooperbench.agents.registry", _REGISTRY=registry, register=register)
talk = logging.getLogger("agent")

def said(cost):
    talk.debug(({"role": "assistant", "content": "hm", "extra": {"cost": cost, "actions": [{"command": "ls"}]}},))
    talk.debug(({"role": "tool", "content": "", "extra": {"raw_output": "a", "returncode": 0}},))

@register("talker")
class Talker:
    def run(self, **how):
        talk.debug(({"role": "system", "content": ""}, {"role": "user", "content": "task"}))
        litellm.completion(model="m")
        said(0.25)
        litellm.completion(model="m", nested=True)
        talk.debug(({"role": "user", "content": "", "extra": {"interrupt_type": "FormatError"}},))
        litellm.completion(model="m", cost=0.125)
        talk.debug("Compaction #1")
        litellm.completion(model="m")
        said(0.25)
        box = MessagingConnector()
        assert box.send("gone", "anybody?") is False and box.send("agent2", "aye?") is True
        assert box.send_and_wait("agent2", "well?") == (True, box.receive())
        return Any(status="Submitted", cost=0.5, steps=3, error=None)

import coopdeck_probe
coopdeck_probe.install()

@upstream.register("silent")
class Silent:
    def run(self, *, fail=False, **how):
        asyncio.run(litellm.acompletion(model="m"))
        helper = threading.Thread(target=litellm.completion, kwargs={"model": "m"})
        helper.start()
        helper.join()
        try:
            litellm.completion(model="m", fail=True)
        except Overloaded:
            if fail:
                raise
        return Any(status="Submitted", cost=0, steps=2, input_tokens=18, error=None)

@upstream.register("hidden")
class Hidden:
    def run(self, **how):
        raise KeyError("container")

Talker().run(agent_id="agent1", image="i", model_name="m")
Silent().run(agent_id="agent2", image="i", model_name="m")
try:
    Silent().run(agent_id="agent3", image="i", model_name="m", fail=True)
except Overloaded as error:
    print(error)
try:
    Hidden().run(agent_id="agent4")
except KeyError as error:
    print(error)
"""
CACHED = """
@upstream.register("claude_code")
class Claude:
    def run(self, **how):
        tokens = dict(input_tokens=450, cache_read_tokens=4200, cache_write_tokens=350, output_tokens=300)
        return Any(status="Submitted", cost=0.2, steps=3, error=None, **tokens)

Claude().run(agent_id="agent5", image="i", model_name="m")
"""


def test_what_came_from_the_cache_is_part_of_the_input(tmp_path: Path) -> None:
    run_script(tmp_path, UPSTREAM + CACHED)
    (ended,) = (line for line in lines_of(tmp_path / "probe.jsonl", "agent_end") if line["agent"] == "agent5")
    assert (ended["input_tokens"], ended["cached_tokens"], ended["output_tokens"]) == (5000, 4200, 300)


def test_a_made_up_upstream_is_seen_and_undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_API_KEY", "sk-very-secret")
    assert run_script(tmp_path, UPSTREAM).stdout == "no: sk-very-secret\n'container'\n"
    probe = tmp_path / "probe.jsonl"
    calls: dict[str, list[tuple[Any, ...]]] = {agent: [] for agent in ("agent1", "agent2", "agent3")}
    for line in lines_of(probe, "llm_end"):
        calls[line["agent"]].append((line["cost_usd"], line["status"], line["counted"]))
        assert (line["input_tokens"], line["cached_tokens"]) in ((9, 4), (None, None))
    # An unusable answer and a summary are paid, but upstream does not add them up.
    assert calls["agent1"] == [(0.25, "ok", True), (0.5, "ok", False), (0.125, "ok", False), (0.25, "ok", True)]
    assert calls["agent2"] == calls["agent3"] == [(0.5, "ok", True), (0.5, "ok", True), (0.0, "Overloaded", False)]
    ends = {line["agent"]: line for line in lines_of(probe, "agent_end")}
    assert [(ends[agent]["status"], ends[agent]["cost_usd"], ends[agent]["steps"]) for agent in calls] == [
        ("Submitted", 0.5, 3),
        ("Submitted", 1.0, 2),
        ("Error", 1.0, 0),
    ]
    assert ends["agent2"]["input_tokens"] == 18
    assert (ends["agent3"]["class"], ends["agent3"]["error"]) == ("Overloaded", "no: ***")
    assert [line["step"] for line in lines_of(probe, "step")] == [1, 2, 3]
    assert len(lines_of(probe, "llm_begin")) == 10
    assert not lines_of(probe, "probe_errors")
    # Whatever this one spent, it spent where nobody saw it.
    assert (ends["agent4"]["class"], ends["agent4"]["cost_usd"]) == ("KeyError", None)
    sent = [(line["type"], line["to"], line["text"], line["wait"]) for line in lines_of(probe) if "wait" in line]
    assert sent == [
        ("message_lost", "gone", "anybody?", False),
        ("message_sent", "agent2", "aye?", False),
        ("message_sent", "agent2", "well?", True),
    ]
    got = [(line["agent"], line["from"], line["text"]) for line in lines_of(probe, "message_received")]
    assert got == [("agent1", "agent2", "aye")] * 2


FORKED = """
import logging, os, sys
import coopdeck_probe
child = os.fork()
if not child:
    os.environ["COOPDECK_PROBE"] = sys.argv[0] + ".jsonl"
    coopdeck_probe.install()
    coopdeck_probe.install()
    logging.getLogger("agent").debug(({"role": "user", "content": "task"},))
    os._exit(0)
os.waitpid(child, 0)
logging.getLogger("agent").debug(({"role": "user", "content": "task"},))
"""


def test_a_forked_child_begins_when_it_is_told_to(tmp_path: Path) -> None:
    run_script(tmp_path, FORKED, probed=False)
    assert [line["type"] for line in lines_of(tmp_path / "script.py.jsonl")] == ["probe_begin", "llm_begin"]
