"""The files of one job, with upstream's names, keys and order."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

from runner.rehearsal.cast import Agent
from runner.rehearsal.faults import Fault
from runner.rehearsal.profile import MICRO

MEGABYTE = 1 << 20
ODD_COSTS = {"nan": math.nan, "negative": -1.0, "huge": 1e308}


class Record:
    """What a finished job is recorded as."""

    __slots__ = (
        "agent_framework",
        "agents",
        "duration",
        "ended",
        "fault",
        "features",
        "folder",
        "model",
        "repo",
        "run_id",
        "run_name",
        "setting",
        "started",
        "task",
        "team_features",
    )

    def __init__(
        self,
        *,
        repo: str,
        task: int,
        features: list[int],
        setting: str,
        run_id: str,
        run_name: str,
        agent_framework: str,
        model: str,
        started: datetime,
        ended: datetime,
        duration: float,
        agents: list[Agent],
        folder: Path,
        team_features: dict[str, bool],
        fault: Fault | None,
    ) -> None:
        self.repo = repo
        self.task = task
        self.features = features
        self.setting = setting
        self.run_id = run_id
        self.run_name = run_name
        self.agent_framework = agent_framework
        self.model = model
        self.started = started
        self.ended = ended
        self.duration = duration
        self.agents = agents
        self.folder = folder
        self.team_features = team_features
        self.fault = fault

    def cost(self, agent: Agent) -> float:
        if self.fault and self.fault.name in ODD_COSTS:
            return ODD_COSTS[self.fault.name]
        return 0 if agent.broken else agent.cost

    @property
    def total_cost(self) -> float:
        if self.fault and self.fault.name in ODD_COSTS:
            return ODD_COSTS[self.fault.name]
        # Whole micro-dollars are added, then divided once: the total is the recorded one exactly.
        return sum(agent.micro for agent in self.agents) / MICRO

    @property
    def total_steps(self) -> int:
        return sum(agent.steps for agent in self.agents)


def write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def _write_trajectory(path: Path, head: dict[str, object], messages: list[dict[str, object]]) -> None:
    # json's indent is written in Python: on a long transcript it would cost more than all else here.
    lines = ",\n".join(f"    {json.dumps(message)}" for message in messages)
    body = f"[\n{lines}\n  ]" if messages else "[]"
    path.write_text(f'{json.dumps(head, indent=2)[:-2]},\n  "messages": {body}\n}}', encoding="utf-8")


def write_job(record: Record) -> None:
    """Everything of one job; `result.json` is the last, and not atomic, as upstream."""
    folder = record.folder
    folder.mkdir(parents=True, exist_ok=True)
    sent = _conversation(record)
    if record.setting != "solo":
        write_json(folder / "conversation.json", sent)
    for agent in record.agents:
        stem = "solo" if record.setting == "solo" else f"agent{agent.features[0]}"
        (folder / f"{stem}.patch").write_text(agent.patch, encoding="utf-8")
        messages = agent.messages + [message for turn in agent.turns for message in turn.messages]
        _write_trajectory(folder / f"{stem}_traj.json", _trajectory_head(record, agent), messages)
    metrics = _team_files(record) if record.setting == "team" else {}
    _write_result(record, _result(record, len(sent), metrics))


def _conversation(record: Record) -> list[dict[str, object]]:
    return [
        {
            "from": agent.agent_id,
            "to": receiver,
            "message": text,
            "timestamp": None,
            "feature_id": agent.features[0],
        }
        for agent in record.agents
        for receiver, text in agent.sent
    ]


def _trajectory_head(record: Record, agent: Agent) -> dict[str, object]:
    head: dict[str, object] = {"repo": record.repo, "task_id": record.task}
    if record.setting == "solo":
        head["features"] = record.features
    else:
        head["feature_id"] = agent.features[0]
    head["agent_id"] = agent.agent_id
    if agent.role:
        head["team_role"] = agent.role
    return {
        **head,
        "model": record.model,
        "status": agent.status,
        "cost": record.cost(agent),
        "steps": agent.steps,
    }


def _result(record: Record, messages_sent: int, metrics: dict[str, object]) -> dict[str, object]:
    result: dict[str, object] = {
        "repo": record.repo,
        "task_id": record.task,
        "features": record.features,
        "setting": record.setting,
        "run_id": record.run_id,
        "run_name": record.run_name,
        "agent_framework": record.agent_framework,
        "model": record.model,
        "started_at": record.started.isoformat(),
        "ended_at": record.ended.isoformat(),
        "duration_seconds": record.duration,
    }
    if record.setting == "solo":
        result["agent"] = _share(record, record.agents[0])
    else:
        if record.setting == "team":
            result["lead_agent"] = record.agents[0].agent_id
        # Upstream's threads enter their results as they end.
        done = sorted(record.agents, key=lambda agent: agent.end)
        result["agents"] = {agent.agent_id: _share(record, agent) for agent in done}
    result["total_cost"] = record.total_cost
    result["total_steps"] = record.total_steps
    if record.setting != "solo":
        result["messages_sent"] = messages_sent
    if record.setting == "team":
        result["metrics"] = metrics
        result["team_features"] = record.team_features
    result["log_dir"] = str(record.folder)
    return result


def _share(record: Record, agent: Agent) -> dict[str, object]:
    share: dict[str, object] = {}
    if record.setting != "solo":
        share["feature_id"] = agent.features[0]
    if agent.role:
        share["team_role"] = agent.role
    return {
        **share,
        "status": agent.status,
        "cost": record.cost(agent),
        "steps": agent.steps,
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "patch_lines": len(agent.patch.splitlines()),
        "error": agent.error,
    }


def _team_files(record: Record) -> dict[str, object]:
    """The task list of a team: upstream writes it, and counts it, when that feature is on."""
    if not record.team_features["task_list"]:
        return {}
    at = record.started.timestamp()
    tasks: list[dict[str, object]] = []
    events: list[dict[str, object]] = []
    for agent in record.agents:
        feature = agent.features[0]
        lead = agent.role == "lead"
        title = f"Lead-only: integrate and submit feature {feature}" if lead else f"Implement feature {feature}"
        metadata = {"feature_id": feature, "assigned_to": agent.agent_id} | ({"lead_task": True} if lead else {})
        number = f"{record.run_id}{feature:02d}"
        done = agent.status == "Submitted"
        tasks.append(
            {
                "id": number,
                "title": title,
                "owner": agent.agent_id,
                "status": "done" if done else "open",
                "created_by": "bench-runner",
                "created_at": at,
                "last_note": "",
                "metadata": metadata,
            }
        )
        events.append({"kind": "create", "task_id": number, "by": "bench-runner", "title": title, "ts": at})
        if done:
            events.append({"kind": "claim", "task_id": number, "by": agent.agent_id, "ts": at + 0.1 * record.duration})
            events.append(
                {
                    "kind": "update",
                    "task_id": number,
                    "by": agent.agent_id,
                    "status": "done",
                    "ts": at + agent.end * record.duration,
                }
            )
    events.sort(key=lambda event: float(str(event["ts"])))
    write_json(record.folder / "task_log.json", events)
    write_json(record.folder / "tasks.json", tasks)
    finished = [agent.agent_id for agent in record.agents if agent.status == "Submitted"]
    return {
        "tasks_total": len(tasks),
        "tasks_done": len(finished),
        "unowned_at_end": 0,
        "time_to_first_claim_seconds": round(0.1 * record.duration, 3) if finished else None,
        "claims_per_agent": dict.fromkeys(finished, 1),
        "updates_per_agent": dict.fromkeys(finished, 1),
    }


def _write_result(record: Record, result: dict[str, object]) -> None:
    path = record.folder / "result.json"
    fault = record.fault
    if fault is None or fault.name not in ("truncated", "wrong-types", "oversized"):
        write_json(path, result)
        return
    if fault.name == "wrong-types":
        result = {key: list(value.values()) if isinstance(value, dict) else value for key, value in result.items()}
        result |= {"total_cost": [result["total_cost"]], "duration_seconds": {"seconds": record.duration}}
        result["total_steps"] = str(record.total_steps)
    if fault.name == "oversized":
        result["log_dir"] = "x" * int(fault.number("mb", 64) * MEGABYTE)
    write_json(path, result)
    if fault.name == "truncated":
        content = path.read_bytes()
        at = fault.number("at", 0.5)
        path.write_bytes(content[: int(at * len(content) if at < 1 else at)])
