"""The streams of Claude Code and Codex as the probe's records; nothing in them is trusted."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.agent_streams import AgentStream, ClaudeStream, CodexStream
from tests.e2e.streams import CLAUDE, CODEX


def told(stream: AgentStream, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for number, event in enumerate(events) for record in stream.take(event, 100.0 + number)]


def short(records: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [(record["type"], *(record[name] for name in names if name in record)) for record in records]


def test_claude_tells_calls_steps_and_commands() -> None:
    records = told(ClaudeStream(), CLAUDE)
    assert short(records, "step", "command", "thought", "returncode", "output") == [
        ("llm_begin",), ("llm_end",), ("step", 1, "ls -la", "I look around."), ("exec_end", 0, "calc.py\n"),
        ("llm_begin",), ("llm_end",), ("step", 2, "Edit /workspace/repo/calc.py", ""), ("exec_end", 1, "no such text"),
        ("llm_begin",), ("llm_end",), ("step", 3, "", "Done."), ("llm_end",),
    ]  # fmt: skip
    calls = [record for record in records if record["type"] == "llm_end"]
    # What the answers told of their beginnings, and the rest of the closing sums.
    assert [(call["input_tokens"], call["output_tokens"], call["cached_tokens"]) for call in calls] == [
        (1500, 2, 1000), (1700, 3, 1500), (1800, 1, 1700), (0, 294, 0),
    ]  # fmt: skip
    assert {call["cost_usd"] for call in calls} == {None}
    assert {call["model"] for call in calls} == {"claude-sonnet-4-6"}


def test_codex_tells_items_as_steps_and_the_turn_as_a_call() -> None:
    records = told(CodexStream(), CODEX)
    assert short(records, "step", "command", "thought", "returncode", "seconds") == [
        ("step", 1, "bash -lc ls", "I look around."), ("exec_end", 0, 1.0),
        ("step", 2, "edit /workspace/repo/calc.py", ""), ("exec_end", 0, 0.0),
        ("step", 3, "", "Done."), ("llm_begin",), ("llm_end",),
    ]  # fmt: skip
    assert records[-1]["input_tokens"] == 24763
    assert records[-1]["cached_tokens"] == 24448


def test_a_retry_of_claude_is_told() -> None:
    event = {"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 10, "retry_delay_ms": 2500,
             "error": "rate_limit"}  # fmt: skip
    (record,) = ClaudeStream().take(event, 1.0)
    assert (record["type"], record["attempt"], record["of"], record["wait_s"]) == ("llm_retry", 2, 10, 2.5)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "message", "item", "content", "usage", "id", "input", "command", "changes", "text",
                         "input_tokens", "tool_use_id"]), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip
kinds = st.sampled_from(["assistant", "user", "result", "system", "turn.completed", "item.started", "item.completed"])


@pytest.mark.parametrize("make", [ClaudeStream, CodexStream])
@given(events=st.lists(st.dictionaries(st.sampled_from(["message", "item", "usage", "subtype"]), values), max_size=4),
       kind=kinds)  # fmt: skip
def test_no_event_raises_and_every_record_is_small_json(make: Any, events: list[dict[str, Any]], kind: str) -> None:
    stream = make()
    for event in events:
        for record in stream.take({**event, "type": kind}, 1.0):
            assert len(json.dumps(record)) < 8192
