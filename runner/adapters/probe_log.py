"""What the probe has told of an attempt's agents so far, read as it grows."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import anyio.to_thread

from runner.engine.ports import AgentProgress, Sighting, StartedContainer
from runner.model.events import ApiRetry, Doing
from runner.model.prices import NO_TOKENS, Price, Tokens, price_of

PROBE_NAME = "probe.jsonl"
AT_ONCE = 1024 * 1024
"""Bytes held at once."""
LINE_LIMIT = 64 * 1024
AGENTS_LIMIT = 64
CONTAINERS_LIMIT = 64
NAME_LIMIT = 64
COMMAND_LIMIT = 80
SHORT_ID = 12
TOKENS_LIMIT = 10**12
HUGE = 1e15
NOBODY = "?"
"""Stands for whoever made a call that the probe could not give to an agent: it is paid all the same."""
IN_PROCESS = frozenset({"mini_swe_agent_v2", "swe_agent"})
"""The agents whose calls are made where the probe is."""

_DOING: dict[str, Doing] = {
    "container": "starting",
    "llm_begin": "llm",
    "llm_retry": "retrying",
    "step": "exec",
    # What follows a command is the next call; that it has begun is told a moment later.
    "exec_end": "llm",
    "message_received": "exec",
    "agent_end": "ended",
}


@dataclass(slots=True)
class _Agent:
    progress: AgentProgress
    told: AgentProgress | None = None


class ProbeLog:
    """One attempt's `probe.jsonl`. A line that is no line of the probe's is passed over, never an error."""

    def __init__(self, folder: Path, model: str = "", prices: Mapping[str, Price] | None = None) -> None:
        """`prices` are the user's own, for calls that come without a cost; `model` is what the job calls it."""
        self._path = folder / PROBE_NAME
        self._model = model
        self._prices = prices or {}
        self._offset = 0
        self._rest = b""
        self._agents: dict[str, _Agent] = {}
        self._containers: dict[str, StartedContainer] = {}
        self._started: list[StartedContainer] = []

    @property
    def started(self) -> tuple[StartedContainer, ...]:
        """All containers told of so far."""
        return tuple(self._containers.values())

    async def news(self, *, last: bool = False) -> tuple[Sighting, ...]:
        """The agents of which something new is known since the last call, and the containers started since."""
        return await anyio.to_thread.run_sync(self._news)

    async def read(self) -> None:
        """Take in what is new and say nothing of it yet."""
        await anyio.to_thread.run_sync(self._read)

    def _read(self) -> None:
        for line in self._lines():
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(told, dict):
                self._take(told)

    def _news(self) -> tuple[Sighting, ...]:
        self._read()
        changed = [agent for agent in self._agents.values() if agent.progress != agent.told]
        for agent in changed:
            agent.told = agent.progress
        started, self._started = self._started, []
        return (*started, *(agent.progress for agent in changed))

    def _lines(self) -> Iterator[bytes]:
        """To the end that the file has now: the sums of a part are lower than those that may have been told already."""
        try:
            end = self._path.stat().st_size
            if end <= self._offset:
                return
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                while self._offset < end and (some := file.read(AT_ONCE)):
                    self._offset += len(some)
                    *whole, rest = (self._rest + some).split(b"\n")
                    self._rest = rest[:LINE_LIMIT]
                    yield from whole
        except OSError:
            return

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
            # Nobody is not waited for.
            agent = self._agents[name] = _Agent(AgentProgress(name, "ended" if name == NOBODY else "starting", 0, 0.0))
        at, before = told.get("at"), agent.progress.active_at
        active = max(before, float(at)) if _number(at) else before
        agent.progress = self._after(replace(agent.progress, active_at=active), kind, told)
        if kind == "container":
            self._container(name, told)

    def _after(self, was: AgentProgress, kind: str, told: dict[str, Any]) -> AgentProgress:
        """The agent after one more line."""
        progress = was
        doing = _DOING.get(kind)
        quiet = (kind == "container" and was.doing == "unseen") or (
            kind == "message_received" and was.doing != "waiting"
        )
        if doing is not None and not quiet:
            command = _brief(told.get("command")) if kind == "step" else ""
            progress = replace(was, doing=doing, since=was.active_at, command=command, peer="")
        match kind:
            case "llm_begin" if was.doing == "unseen":
                # It can be seen after all, from its first call on.
                return replace(progress, cost_usd=0.0)
            case "agent_begin" if _text(told.get("framework")) not in IN_PROCESS:
                # What it spends is told at its end, if at all.
                return replace(progress, doing="unseen", since=was.active_at, cost_usd=None)
            case "step" if _number(step := told.get("step")):
                return replace(progress, steps=max(was.steps, min(int(step), TOKENS_LIMIT)))
            case "message_sent" if told.get("wait") is True:
                peer = told.get("to")
                peer = peer[:NAME_LIMIT] if isinstance(peer, str) else ""
                return replace(progress, doing="waiting", since=was.active_at, peer=peer)
            case "llm_retry":
                return replace(progress, retry=_retry(told))
            case "llm_end" if told.get("status") == "ok":
                return self._answered(progress, told)
            case "agent_end":
                return _ended(progress, told)
        return progress

    def _answered(self, was: AgentProgress, told: dict[str, Any]) -> AgentProgress:
        """A call more that is paid for: by its own cost, else by the user's price, else by nobody knows how much."""
        tokens, cost, own = _tokens(told), _cost(told.get("cost_usd")), False
        price = price_of(self._prices, _text(told.get("model")), self._model)
        if cost is None and price is not None and tokens != NO_TOKENS:
            cost, own = price.cost(tokens), True
        # Where nothing was seen before, what comes now was not all.
        sum_usd = None if was.cost_usd is None or cost is None else was.cost_usd + cost
        return replace(was, retry=None, cost_usd=sum_usd, tokens=was.tokens + tokens, own_prices=was.own_prices or own)

    def _container(self, agent: str, told: dict[str, Any]) -> None:
        name, long_id = _text(told.get("name")), _text(told.get("id"))
        if name and long_id and long_id not in self._containers and len(self._containers) < CONTAINERS_LIMIT:
            started = StartedContainer(agent, name[:NAME_LIMIT], long_id[:SHORT_ID])
            self._containers[long_id] = started
            self._started.append(started)


def _ended(was: AgentProgress, told: dict[str, Any]) -> AgentProgress:
    """The sums of who could not be seen at work, or not to the last, are told at its end."""
    tokens, cost, steps = _tokens(told), _cost(told.get("cost_usd")), told.get("steps")
    return replace(
        was,
        retry=None,
        steps=was.steps or (int(min(max(steps, 0), TOKENS_LIMIT)) if _number(steps) else 0),
        cost_usd=cost if was.cost_usd is None else was.cost_usd,
        tokens=Tokens(
            max(was.tokens.input, tokens.input),
            max(was.tokens.output, tokens.output),
            max(was.tokens.cached, tokens.cached),
        ),
    )


def _retry(told: dict[str, Any]) -> ApiRetry:
    number, most, wait_s = told.get("attempt"), told.get("of"), told.get("wait_s")
    return ApiRetry(
        number=int(min(max(number, 1), 10**6)) if _number(number) else 1,
        of=int(min(max(most, 1), 10**6)) if _number(most) else None,
        failure=(_text(told.get("class")) or "")[:NAME_LIMIT],
        wait_s=float(max(wait_s, 0)) if _number(wait_s) else 0.0,
    )


def _tokens(told: dict[str, Any]) -> Tokens:
    def count(key: str) -> int:
        value = told.get(key)
        return int(min(max(value, 0), TOKENS_LIMIT)) if _number(value) else 0

    return Tokens(count("input_tokens"), count("output_tokens"), count("cached_tokens"))


def _cost(value: object) -> float | None:
    return float(value) if _number(value) and value >= 0 else None


def _brief(command: object) -> str:
    """A command in one line of at most COMMAND_LIMIT characters."""
    words = " ".join(command.split()) if isinstance(command, str) else ""
    return words if len(words) <= COMMAND_LIMIT else words[: COMMAND_LIMIT - 3] + "..."


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> TypeGuard[float]:
    # Neither infinite nor NaN, nor an integer of a thousand digits.
    return not isinstance(value, bool) and isinstance(value, int | float) and -HUGE < value < HUGE
