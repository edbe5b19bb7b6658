"""What agents that work inside their container write about themselves, told as the probe would have told it. Pure.

Claude Code writes `--output-format=stream-json`: an event per content block, so that one answer's blocks come one by
one under one id; its usage counts the output as it was when the answer began, and the closing `result` has the sums.
Codex writes `exec --json`: an event per item, and tokens when a turn is over.
"""

from typing import Any, Protocol

Record = dict[str, Any]
BRIEF = 300
_COUNTS = ("input_tokens", "output_tokens", "cached_tokens")


class AgentStream(Protocol):
    """One agent's stream, an event after the other."""

    @property
    def mark(self) -> Record:
        """What another one must be made with to go on from here."""

    def take(self, event: Record, at: float) -> list[Record]:
        """What an event tells; `at` is when it was read, in seconds since the epoch."""


class ClaudeStream:
    """The `assistant`, `user` and `result` events of Claude Code."""

    def __init__(self, mark: Record | None = None) -> None:
        mark = mark or {}
        self.steps = int(_number(mark.get("steps")))
        self._answer = _text(mark.get("answer"))
        self._model = _text(mark.get("model")) or None
        self._thought = ""
        self._open = mark.get("open") is True
        """The answer in hand has not become a step yet."""
        told = _object(mark.get("told"))
        self._told = tuple(int(_number(told.get(name))) for name in _COUNTS)
        self._began: dict[str, float] = {}

    @property
    def mark(self) -> Record:
        told = dict(zip(_COUNTS, self._told, strict=True))
        return {"steps": self.steps, "answer": self._answer, "model": self._model, "open": self._open, "told": told}

    def take(self, event: Record, at: float) -> list[Record]:
        kind, message = event.get("type"), _object(event.get("message"))
        match kind:
            case "assistant":
                return self._assistant(message, at)
            case "user":
                return [*self._closed(at), *self._results(message, at)]
            case "result":
                return [*self._closed(at), *self._rest(_object(event.get("usage")), at)]
            case "system" if event.get("subtype") == "api_retry":
                wait, failure = _number(event.get("retry_delay_ms")), _text(event.get("error"))
                told = {"class": failure, "attempt": event.get("attempt"), "of": event.get("max_retries")}
                return [_record("llm_retry", at, **told, wait_s=wait / 1000)]
        return []

    def _assistant(self, message: Record, at: float) -> list[Record]:
        records: list[Record] = []
        name = _text(message.get("id")) or f"answer at {at}"
        if name != self._answer:
            records += self._closed(at)
            self._answer, self._thought, self._open = name, "", True
            self.steps += 1
            self._model = _text(message.get("model")) or self._model
            tokens = _claude_tokens(_object(message.get("usage")))
            self._told = _sum(self._told, tokens)
            records += _call(self._model, tokens, at)
        for block in _objects(message.get("content")):
            if block.get("type") in {"text", "thinking"}:
                said = _text(block.get("text")) or _text(block.get("thinking"))
                self._thought = f"{self._thought}\n{said}".strip()[:BRIEF]
            elif block.get("type") == "tool_use":
                if len(self._began) < 1000:
                    self._began[_text(block.get("id"))] = at
                records.append(self._step(_command(_text(block.get("name")), _object(block.get("input"))), at))
        return records

    def _closed(self, at: float) -> list[Record]:
        """An answer without a tool is a step as well."""
        return [self._step("", at)] if self._open else []

    def _step(self, command: str, at: float) -> Record:
        thought, self._thought, self._open = self._thought, "", False
        return _record("step", at, step=self.steps, command=command[:BRIEF], thought=thought, cost_usd=None)

    def _results(self, message: Record, at: float) -> list[Record]:
        records = []
        for block in _objects(message.get("content")):
            if block.get("type") == "tool_result":
                began = self._began.pop(_text(block.get("tool_use_id")), None)
                seconds = None if began is None else round(max(0.0, at - began), 3)
                status = 1 if block.get("is_error") is True else 0
                output = _content(block.get("content"))
                records.append(_record("exec_end", at, returncode=status, seconds=seconds, output=output))
        return records

    def _rest(self, usage: Record, at: float) -> list[Record]:
        """What the sums have more than the answers told."""
        tokens = _claude_tokens(usage)
        more = tuple(max(0, one - told) for one, told in zip(tokens, self._told, strict=True))
        self._told = _sum(self._told, more)
        return [_ended_call(self._model, more, at)] if any(more) else []


class CodexStream:
    """The items and turns of `codex exec --json`."""

    def __init__(self, mark: Record | None = None) -> None:
        self.steps = int(_number((mark or {}).get("steps")))
        self._thought = ""
        self._began: dict[str, float] = {}

    @property
    def mark(self) -> Record:
        return {"steps": self.steps}

    def take(self, event: Record, at: float) -> list[Record]:
        item = _object(event.get("item"))
        match event.get("type"), item.get("type"):
            case "turn.completed", _:
                usage = _object(event.get("usage"))
                names = ("input_tokens", "output_tokens", "cached_input_tokens")
                return _call(None, tuple(int(_number(usage.get(name))) for name in names), at)
            case "item.completed", "reasoning":
                self._thought = f"{self._thought}\n{_text(item.get('text'))}".strip()[:BRIEF]
            case "item.completed", "agent_message":
                self._thought = f"{self._thought}\n{_text(item.get('text'))}".strip()[:BRIEF]
                return [self._step("", at)]
            case ("item.started" | "item.completed") as when, "command_execution" | "mcp_tool_call" | "file_change":
                return self._item(when, item, at)
        return []

    def _item(self, when: str, item: Record, at: float) -> list[Record]:
        name, records = _text(item.get("id")), []
        if name not in self._began:
            if len(self._began) >= 10_000:
                self._began.clear()
            self._began[name] = at
            records.append(self._step(_codex_command(item), at))
        if when == "item.completed":
            status = item.get("exit_code")
            if not isinstance(status, int):
                status = 0 if item.get("status") == "completed" else 1
            output = _text(item.get("aggregated_output"))[:BRIEF]
            seconds = round(max(0.0, at - self._began[name]), 3)
            records.append(_record("exec_end", at, returncode=status, seconds=seconds, output=output))
        return records

    def _step(self, command: str, at: float) -> Record:
        self.steps += 1
        thought, self._thought = self._thought, ""
        return _record("step", at, step=self.steps, command=command[:BRIEF], thought=thought, cost_usd=None)


def _call(model: str | None, tokens: tuple[int, ...], at: float) -> list[Record]:
    """A call that is over; that it began is told with it, for its price is not known and must not count as 0."""
    return [_record("llm_begin", at, model=model), _ended_call(model, tokens, at)]


def _ended_call(model: str | None, tokens: tuple[int, ...], at: float) -> Record:
    counts = dict(zip(_COUNTS, tokens, strict=True))
    return _record("llm_end", at, model=model, latency_s=None, **counts, cost_usd=None, status="ok", counted=True)


def _record(kind: str, at: float, **fields: object) -> Record:
    return {"v": 1, "at": round(at, 6), "type": kind, **fields}


def _claude_tokens(usage: Record) -> tuple[int, int, int]:
    """As everybody else counts: what came from the cache is part of the input."""
    read, made = (_number(usage.get(f"cache_{how}_input_tokens")) for how in ("read", "creation"))
    return int(_number(usage.get("input_tokens")) + read + made), int(_number(usage.get("output_tokens"))), int(read)


def _sum(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(mine + theirs for mine, theirs in zip(one, other, strict=True))


def _command(tool: str, given: Record) -> str:
    """A shell command as it is, another tool by its name and its first short value."""
    if command := _text(given.get("command")):
        return command
    value = next((one for one in given.values() if isinstance(one, str)), "")
    return f"{tool} {value}".strip()


def _codex_command(item: Record) -> str:
    if item.get("type") == "command_execution":
        return _text(item.get("command"))
    if item.get("type") == "mcp_tool_call":
        return f"{_text(item.get('server'))} {_text(item.get('tool'))}".strip()
    paths = [_text(change.get("path")) for change in _objects(item.get("changes"))[:10]]
    return f"edit {' '.join(paths)}".strip()


def _content(value: object) -> str:
    if isinstance(value, list):
        value = "\n".join(_text(one.get("text")) for one in _objects(value)[:20])
    return _text(value)[:BRIEF]


def _object(value: object) -> Record:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Record]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    """0 for whatever cannot be counted with."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if good and isinstance(value, int | float) else 0.0
