"""One pair, played from its first line to its `result.json`."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from runner.rehearsal import console
from runner.rehearsal.cast import Agent, Turn, make_agents
from runner.rehearsal.config import Config
from runner.rehearsal.endings import DEATHS, NOISES, die, make_noise
from runner.rehearsal.errors import MODEL_ERRORS, SETUP_ERRORS, image_name
from runner.rehearsal.faults import Case, Fault, Plan
from runner.rehearsal.hook import Hook
from runner.rehearsal.output import Record, write_job
from runner.rehearsal.profile import LIMITS, Profile, profile_for
from runner.rehearsal.selection import Pair
from runner.rehearsal.standstill import begin_to_hang, retry_line, waits
from runner.rehearsal.transcript import exit_message, write_transcript

AGENTS = frozenset({"claude_code", "codex", "mini_swe_agent_v2", "openhands_sdk", "swe_agent"})
SHORTEST_SLEEP = 0.005


class Order:
    """What the command line asks of every pair."""

    __slots__ = (
        "agent",
        "config",
        "force",
        "git",
        "hook",
        "logs",
        "messaging",
        "model",
        "name",
        "plan",
        "setting",
        "team_features",
    )

    def __init__(
        self,
        *,
        name: str,
        setting: str,
        model: str,
        agent: str,
        force: bool,
        git: bool,
        messaging: bool,
        logs: Path,
        team_features: dict[str, bool],
        config: Config,
        plan: Plan,
        hook: Hook | None,
    ) -> None:
        self.name = name
        self.setting = setting
        self.model = model
        self.agent = agent
        self.force = force
        self.git = git
        self.messaging = messaging
        self.logs = logs
        self.team_features = team_features
        self.config = config
        self.plan = plan
        self.hook = hook

    @property
    def setting_key(self) -> str:
        if self.setting == "coop":
            return "coop-comm" if self.messaging else "coop-nocomm"
        return self.setting

    def folder(self, pair: Pair) -> Path:
        return self.logs / self.name / self.setting / pair.repo / str(pair.task) / pair.folder

    def fault_for(self, pair: Pair) -> Fault | None:
        config = self.config
        case = Case(self.setting_key, pair.repo, pair.task, pair.features, config.seed, config.attempt, config.repeat)
        return self.plan.fault_for(case)


class Ended(Exception):
    """The process must end now, with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Pacer:
    """Sleeps up to fractions of a total, and skips what is too short to matter."""

    __slots__ = ("_start", "_total")

    def __init__(self, total: float) -> None:
        self._start = time.monotonic()
        self._total = total

    def until(self, fraction: float) -> None:
        left = self._start + fraction * self._total - time.monotonic()
        if left >= SHORTEST_SLEEP:
            time.sleep(left)

    def lose(self, seconds: float) -> None:
        """Everything that follows comes so much later."""
        self._start += seconds
        time.sleep(seconds)


def earlier_result(order: Order, pair: Pair) -> dict[str, object] | None:
    """A result that upstream would not run again; a damaged one raises, as upstream does."""
    path = order.folder(pair) / "result.json"
    if order.force or not path.exists():
        return None
    result = json.loads(path.read_text(encoding="utf-8"))
    agents = [result.get("agent", {})] if order.setting == "solo" else list(result.get("agents", {}).values())
    if any(agent.get("status") == "Error" for agent in agents):
        return None
    return dict(result)


def play(order: Order, pair: Pair, *, quiet: bool) -> Record:
    fault = order.fault_for(pair)
    profile = _profile(order, pair, fault)
    messages = profile.messages if order.messaging else 0
    agents = make_agents(order.setting, profile, pair.features, messages)
    if fault and fault.name == "no-patch":
        for agent in agents:
            agent.patch = ""
    started = datetime.now()
    for agent in agents:
        write_transcript(
            agent,
            model=order.model,
            task="\n\n".join(f"## Feature {feature}" for feature in agent.features),
            started=started.timestamp(),
            duration=profile.duration,
        )
    containers = {agent.agent_id: f"minisweagent-{os.urandom(4).hex()}" for agent in agents}
    _go_wrong(order, pair, fault, agents, containers)
    _perform(order, pair, fault, agents, containers, profile.duration / order.config.speed, quiet=quiet)
    duration = round(profile.duration * max(agent.end for agent in agents), 6)
    record = Record(
        repo=pair.repo,
        task=pair.task,
        features=list(pair.features) if order.setting == "solo" else sorted(pair.features),
        setting=order.setting,
        run_id=os.urandom(4).hex(),
        run_name=order.name,
        agent_framework=order.agent,
        model=order.model,
        started=started,
        ended=started + timedelta(seconds=duration),
        duration=duration,
        agents=agents,
        folder=order.folder(pair),
        team_features=order.team_features,
        fault=fault,
    )
    write_job(record)
    return record


def _profile(order: Order, pair: Pair, fault: Fault | None) -> Profile:
    config = order.config
    profile = profile_for(
        order.setting_key, pair.repo, pair.task, pair.features, seed=config.seed, repeat=config.repeat
    )
    if fault and fault.name == "slow":
        profile.duration *= fault.number("factor", 10)
    if fault and fault.name == "limits":
        profile.status = LIMITS
    if fault and fault.name == "unpriced":
        profile.micro = 0
    return profile


def _go_wrong(order: Order, pair: Pair, fault: Fault | None, agents: list[Agent], containers: dict[str, str]) -> None:
    if order.agent not in AGENTS:
        fault = Fault("unknown-agent", {})
    if fault is None:
        return
    everybody = fault.word("agents", "one") == "all" or fault.name == "unknown-agent"
    for agent in agents if everybody else agents[:1]:
        if fault.name in MODEL_ERRORS:
            exit_status, text = MODEL_ERRORS[fault.name]
            model = order.model.rsplit("/", 1)[-1]
            text = fault.word("text", text.replace("{model}", model))
            agent.fail(text, exit_status, fault.after, keep_cost=bool(fault.params.get("spent", False)))
            agent.turns.append(Turn(fault.after, "", [exit_message(agent)]))
        elif fault.name in SETUP_ERRORS:
            name = "image-timeout" if fault.word("kind", "missing") == "timeout" else fault.name
            words = {"container": containers[agent.agent_id], "image": image_name(pair.repo, pair.task)}
            text = fault.word("text", SETUP_ERRORS[name].format(agent=order.agent, **words))
            agent.break_down(text, 0.0 if fault.name == "unknown-agent" else fault.after)


def _perform(
    order: Order,
    pair: Pair,
    fault: Fault | None,
    agents: list[Agent],
    containers: dict[str, str],
    seconds: float,
    *,
    quiet: bool,
) -> None:
    if order.git and order.setting != "solo":
        if fault and fault.name == "git-server":
            console.say("  git creating shared server...")
            raise Ended(die(fault))
        if not quiet:
            console.say("  git ready git://cooperbench-git:9418/repo.git")
    for agent in agents:
        if not quiet:
            role = f" [{agent.role}]" if agent.role else ""
            console.say(f"  {agent.agent_id}{role} starting...")
    pacer = Pacer(seconds)
    if order.agent in AGENTS:
        for agent in agents:
            _start_container(order, pair, agent, containers[agent.agent_id])
    if fault and fault.name in NOISES:
        make_noise(fault)
    last = fault.after if fault and fault.name in DEATHS else max(agent.end for agent in agents)
    turns = [(turn.at, agent, turn) for agent in agents for turn in agent.turns if turn.at <= last]
    stumbles = fault if fault and fault.name == "retries" else None
    for at, agent, turn in sorted(turns, key=lambda entry: entry[0]):
        if stumbles and at > stumbles.after:
            pacer.until(stumbles.after)
            _stumble(order, agent, stumbles, pacer)
            stumbles = None
        pacer.until(at)
        if turn.line:
            console.say(turn.line)
        if order.hook:
            for message in turn.messages:
                order.hook.messages(agent.agent_id, message)
    pacer.until(last)
    if fault and fault.name == "hang":
        for line in begin_to_hang(fault, agents, order.hook):
            console.say(line)
    if fault and fault.name in DEATHS:
        raise Ended(die(fault))


def _start_container(order: Order, pair: Pair, agent: Agent, container: str) -> None:
    image = image_name(pair.repo, pair.task)
    console.log(
        "mini_swe_agent_v2.environment",
        "DEBUG",
        f"Starting container with command: docker run -d --name {container} -w /workspace/repo "
        f"--entrypoint /bin/bash --rm {image} -c 'sleep 2h'",
    )
    if agent.broken:
        return
    number = os.urandom(32).hex()
    console.log("mini_swe_agent_v2.environment", "INFO", f"Started container {container} with ID {number}")
    if order.hook:
        order.hook.started(agent.agent_id)
        order.hook.messages(agent.agent_id, *agent.messages)


def _stumble(order: Order, agent: Agent, fault: Fault, pacer: Pacer) -> None:
    """One agent's call fails again and again before it is answered."""
    for wait in waits(int(fault.number("times", 9))):
        if order.hook:
            # Python prints it, for want of a handler, as it does for upstream.
            order.hook.retries(agent.agent_id, retry_line(wait))
        else:
            console.say(retry_line(wait))
        pacer.lose(wait / order.config.speed)
