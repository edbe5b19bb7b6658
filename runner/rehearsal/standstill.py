"""How an agent comes to a halt that a probe sees: calls that fail again and again, and hangs at something."""

from __future__ import annotations

from runner.rehearsal.cast import Agent, Turn
from runner.rehearsal.faults import Fault
from runner.rehearsal.hook import Hook

LONGEST_WAIT = 60
SHORTEST_WAIT = 4
RETRIED = "RateLimitError"
RETRIED_TEXT = "litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached"
WAIT = 'send_message --wait {peer} "Have you pushed your part? I build on it."'


def waits(times: int) -> list[int]:
    """Recorded seconds before each repeated call, as upstream waits."""
    return [max(SHORTEST_WAIT, min(LONGEST_WAIT, 2**number)) for number in range(times)]


def retry_line(wait: int) -> str:
    """What upstream's logger `litellm_model` says of a call that it will make again."""
    name = "cooperbench.agents.mini_swe_agent_v2.models.litellm_model.LitellmModel._query"
    return f"Retrying {name} in {wait:.1f} seconds as it raised {RETRIED}: {RETRIED_TEXT}."


def begin_to_hang(fault: Fault, agents: list[Agent], hook: Hook | None) -> list[str]:
    """Have an agent begin what it will not end, or all of them wait for each other; the lines for the console."""
    where = fault.word("in", "llm")
    # Its model's call is what every agent is at when it does nothing else.
    if where == "llm":
        return []
    lines: list[str] = []
    for agent, colleague in zip(agents, [*agents[1:], agents[0]], strict=True):
        turn = next((turn for turn in agent.turns if turn.at > fault.after), None)
        said = (
            next((message for message in turn.messages if message.get("role") == "assistant"), None) if turn else None
        )
        if turn is None or said is None:
            continue
        waits = where == "peer" and colleague is not agent
        command = WAIT.format(peer=colleague.agent_id) if waits else _command(turn)
        if hook:
            hook.messages(agent.agent_id, {**said, "extra": {**_extra(said), "actions": [{"command": command}]}})
        lines.append(f"  {agent.agent_id} {command}")
        if not waits:
            break
    return lines


def _extra(message: dict[str, object]) -> dict[str, object]:
    extra = message.get("extra")
    return extra if isinstance(extra, dict) else {}


def _command(turn: Turn) -> str:
    for message in turn.messages:
        actions = _extra(message).get("actions")
        if isinstance(actions, list) and actions:
            return str(actions[0]["command"])
    return "sleep infinity"
