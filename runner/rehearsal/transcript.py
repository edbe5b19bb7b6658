"""Each agent's messages, in the shape of upstream's trajectories."""

from __future__ import annotations

import json
import os

from runner.rehearsal.cast import Agent, Turn
from runner.rehearsal.profile import LIMITS, MICRO, split

SUBMIT = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
LISTING = (
    "total 28\ndrwxr-xr-x 1 root root 4096 Nov 21 19:51 .\ndrwxr-xr-x 1 root root 4096 Nov 21 19:51 ..\n"
    "drwxr-xr-x 1 root root 4096 Nov 21 20:24 .git\ndrwxr-xr-x 4 root root 4096 Nov 21 19:51 src\n"
    "drwxr-xr-x 2 root root 4096 Nov 21 19:51 tests\n"
)
SOURCE = "def apply(value):\n    return value\n"
EXPLORING = (
    ("ls -la", LISTING),
    ("git log --oneline -5", "6ff62cb init\n"),
    ("sed -n '1,120p' src/core.py", SOURCE),
    ('grep -rn "def apply" src tests', "src/core.py:1:def apply(value):\n"),
    ("cat tests/test_core.py", "from core import apply\n\n\ndef test_apply():\n    assert apply(1) == 1\n"),
)
WORKING = (
    ("printf 'feature_{f}_step = 1\\n' >> src/feature_{f}.py", ""),
    ("pytest -q tests/test_core.py", "F.                                [100%]\n1 failed, 1 passed in 0.42s\n"),
    ("sed -i 's/return value/return check(value)/' src/core.py", ""),
    ("pytest -q", "............                      [100%]\n12 passed in 1.38s\n"),
    ("git status --short", " M src/core.py\n?? src/feature_{f}.py\n"),
    ("sed -n '40,90p' src/core.py", SOURCE),
)
FINISHING = (
    ("git diff", "diff --git a/src/core.py b/src/core.py\n@@ -1,2 +1,3 @@\n def apply(value):\n"),
    (
        "git add -A && git commit -qm 'feature {f}' && git push origin HEAD:{a} 2>&1 | tail -1",
        "   6ff62cb..3a37c01  HEAD -> {a}\n",
    ),
    ("gh pr create --title 'feature {f}' --body 'Adds feature {f}.'", "opened PR for {a}: feature {f}\n"),
)


def write_transcript(agent: Agent, *, model: str, task: str, started: float, duration: float) -> None:
    """Give the agent its turns; `messages` holds what precedes the first of them."""
    agent.messages = [
        {"role": "system", "content": "You are a helpful assistant that can interact with a computer."},
        {"role": "user", "content": task},
    ]
    prompts = [1200 + 640 * step for step in range(agent.steps)]
    costs = split(agent.micro, [float(prompt) for prompt in prompts])
    spent = 0
    before = 0.0
    for step in range(agent.steps):
        at = (step + 1) / agent.steps * agent.end
        command, output = _action(agent, step)
        spent += costs[step]
        stamp = started + at * duration
        call = f"call_{os.urandom(6).hex()}"
        turn = Turn(at, _line(agent, step, spent, command), [])
        turn.messages.extend(
            {"role": "user", "content": f"[Message from {sender}]: {text}"}
            for when, sender, text in agent.inbox
            if before < when <= at
        )
        turn.messages.append(_assistant(call, step, command, model, stamp, costs[step], prompts[step]))
        if command != SUBMIT:
            turn.messages.append(_tool(call, output, stamp + 0.05))
        agent.turns.append(turn)
        before = at
    if agent.turns:
        agent.turns[-1].messages.append(exit_message(agent))


def exit_message(agent: Agent) -> dict[str, object]:
    extra: dict[str, object] = {"exit_status": agent.exit_status, "submission": ""}
    if agent.error is not None:
        extra["exception_str"] = agent.error
        extra["traceback"] = f"Traceback (most recent call last):\n{agent.error}\n"
    content = agent.error or (LIMITS if agent.status == LIMITS else "")
    return {"role": "exit", "content": content, "extra": extra}


def _action(agent: Agent, step: int) -> tuple[str, str]:
    sends = agent.sends.get(step)
    if sends:
        return (
            "\n".join(f'send_message {receiver} "{text}"' for receiver, text in sends),
            "\n".join(f"Message sent to {receiver}" for receiver, _ in sends),
        )
    left = agent.steps - 1 - step
    if agent.status != LIMITS and left == 0:
        return SUBMIT, ""
    if agent.status != LIMITS and agent.patch and left <= len(FINISHING):
        command, output = FINISHING[len(FINISHING) - left]
    elif step < max(2, agent.steps // 3):
        command, output = EXPLORING[step % len(EXPLORING)]
    else:
        command, output = WORKING[step % len(WORKING)]
    names = {"f": agent.features[0], "a": agent.agent_id}
    return command.format(**names), output.format(**names)


def _line(agent: Agent, step: int, spent: int, command: str) -> str:
    return f"  {agent.agent_id} step {step + 1} ${spent / MICRO:.4f} {command.splitlines()[0]}"


def _assistant(
    call: str, step: int, command: str, model: str, stamp: float, micro: int, prompt_tokens: int
) -> dict[str, object]:
    spoken: dict[str, object] = {
        "content": f"Step {step + 1}.",
        "role": "assistant",
        "tool_calls": [
            {
                "function": {"arguments": json.dumps({"command": command}), "name": "bash"},
                "id": call,
                "type": "function",
            }
        ],
        "function_call": None,
        "provider_specific_fields": {"refusal": None},
    }
    completion_tokens = 60 + len(command)
    response: dict[str, object] = {
        "id": f"chatcmpl-{call}",
        "created": int(stamp),
        "model": model.rsplit("/", 1)[-1],
        "object": "chat.completion",
        "system_fingerprint": None,
        "choices": [{"finish_reason": "tool_calls", "index": 0, "message": spoken, "provider_specific_fields": {}}],
        "usage": {
            "completion_tokens": completion_tokens,
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "completion_tokens_details": None,
            "prompt_tokens_details": None,
        },
        "moderation": None,
        "service_tier": None,
    }
    return {
        **spoken,
        "extra": {
            "actions": [{"tool_name": "bash", "tool_call_id": call, "command": command}],
            "response": response,
            "cost": micro / MICRO,
            "timestamp": stamp,
        },
    }


def _tool(call: str, output: str, stamp: float) -> dict[str, object]:
    return {
        "content": json.dumps({"returncode": 0, "output": output}, indent=2),
        "extra": {"raw_output": output, "returncode": 0, "timestamp": stamp, "exception_info": ""},
        "tool_call_id": call,
        "role": "tool",
    }
