"""What the probe has told of an attempt's agents so far, read as it grows."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from runner.engine.ports import AgentProgress
from runner.model.events import Doing

PROBE_NAME = "probe.jsonl"
AT_ONCE = 1024 * 1024
"""Bytes read in one look; more than that is read in the next."""
LINE_LIMIT = 64 * 1024
AGENTS_LIMIT = 64
NAME_LIMIT = 64
NOBODY = "?"
"""Stands for whoever made a call that the probe could not give to an agent: it is paid all the same."""

_DOING: dict[str, Doing] = {
    "container": "starting",
    "llm_begin": "llm",
    "llm_retry": "retrying",
    "step": "exec",
    "agent_end": "ended",
}


@dataclass(slots=True)
class _Agent:
    progress: AgentProgress
    told: AgentProgress | None = None


class ProbeLog:
    """One attempt's `probe.jsonl`. A line that is no line of the probe's is passed over, never an error."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROBE_NAME
        self._offset = 0
        self._rest = b""
        self._agents: dict[str, _Agent] = {}

    async def news(self) -> tuple[AgentProgress, ...]:
        """The agents of which something new is known since the last call."""
        return await anyio.to_thread.run_sync(self._news)

    def _news(self) -> tuple[AgentProgress, ...]:
        for line in self._lines():
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(told, dict):
                self._take(told)
        changed = [agent for agent in self._agents.values() if agent.progress != agent.told]
        for agent in changed:
            agent.told = agent.progress
        return tuple(agent.progress for agent in changed)

    def _lines(self) -> list[bytes]:
        try:
            if self._path.stat().st_size <= self._offset:
                return []
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                some = file.read(AT_ONCE)
        except OSError:
            return []
        self._offset += len(some)
        *whole, rest = (self._rest + some).split(b"\n")
        self._rest = rest[:LINE_LIMIT]
        return whole

    def _take(self, told: dict[str, Any]) -> None:
        name, kind = told.get("agent"), told.get("type")
        if name is None and kind == "llm_end":
            name = NOBODY
        if not isinstance(name, str) or not isinstance(kind, str) or not 0 < len(name) <= NAME_LIMIT:
            return
        agent = self._agents.get(name)
        if agent is None:
            if len(self._agents) >= AGENTS_LIMIT:
                return
            agent = self._agents[name] = _Agent(AgentProgress(name, "starting", 0, 0.0))
        progress = agent.progress
        if kind in _DOING:
            progress = replace(progress, doing=_DOING[kind])
        if kind == "step" and isinstance(told.get("step"), int):
            progress = replace(progress, steps=max(progress.steps, told["step"]))
        if kind == "llm_end" and told.get("status") == "ok":
            progress = replace(progress, cost_usd=_more(progress.cost_usd, told.get("cost_usd")))
        agent.progress = progress


def _more(so_far: float | None, cost: object) -> float | None:
    """The sum; unknown from the first call on whose price nobody knows."""
    if so_far is None or isinstance(cost, bool) or not isinstance(cost, int | float):
        return None
    return so_far + cost if math.isfinite(cost) and cost >= 0 else None
