"""What the scripted model says: who is calling, and which command that agent runs next."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.e2e.dataset import FEATURES

Conversation = list[dict[str, Any]]
Behaviour = Literal["right", "loop", "wrong", "empty"]

# gpt-4o's price in litellm's own list: $2.50 and $10.00 a million tokens.
PROMPT_TOKENS = 1000
COMPLETION_TOKENS = 100
COST_PER_ANSWER = 0.0035

# An agent that was promised a message waits this often for it; then it goes on without.
MOST_WAITS = 5
_MARKER = re.compile(r"toy-task(\d+)-feature(\d+)")
_CALL_ID = re.compile(r"call_(?P<talk>\d+)_(?P<step>\d+)(?P<wait>w?)_\d+$")
_MESSAGE = re.compile(r"\[Message from (\w+)[^\]]*\]: (.*)", re.DOTALL)


@dataclass(frozen=True)
class Caller:
    """One agent of one pair, as its prompts describe it. A coop agent knows its own feature alone."""

    task: int
    features: tuple[int, ...]
    agent: str
    peer: str
    messaging: bool
    git: bool
    prompts: str = field(repr=False)

    @property
    def pair(self) -> str:
        return f"{self.task}/" + "_".join(f"f{feature}" for feature in self.features)


@dataclass(frozen=True)
class Step:
    thought: str
    command: str
    # The answer is held back until the other agent has come to the same step.
    meet: bool = False


def caller_of(conversation: Conversation) -> Caller | None:
    """Who is calling, or None when this is no conversation about a toy task."""
    prompts = "\n".join(text_of(message) for message in conversation[:2])
    markers = {(int(task), int(feature)) for task, feature in _MARKER.findall(prompts)}
    if not markers:
        return None
    agent = re.search(r"You are \*\*(\w+)\*\*", prompts)
    peer = re.search(r"Your colleague is (\w+)", prompts)
    return Caller(
        task=min(markers)[0],
        features=tuple(sorted(feature for _, feature in markers)),
        agent=agent[1] if agent else "solo",
        peer=peer[1] if peer else "",
        messaging="## Messaging" in prompts,
        git="is a real git remote" in prompts,
        prompts=prompts,
    )


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content or "")


@dataclass(frozen=True)
class Progress:
    """How far a conversation has come: told from the ids of our own earlier tool calls."""

    talk: int | None
    step: int
    waits: int
    answers: int


def progress_of(conversation: Conversation) -> Progress:
    talk, step, waits = None, 0, 0
    said = [message for message in conversation if message.get("role") == "assistant"]
    for message in said:
        for call in message.get("tool_calls") or []:
            if found := _CALL_ID.match(call["id"]):
                talk = int(found["talk"])
                if found["wait"]:
                    waits += 1
                else:
                    step = int(found["step"]) + 1
    return Progress(talk, step, waits, len(said))


def call_id(talk: int, step: int, answers: int, *, waiting: bool) -> str:
    return f"call_{talk}_{step}{'w' if waiting else ''}_{answers}"


def delivered_messages(conversation: Conversation) -> list[tuple[str, str]]:
    """The (sender, text) of each message upstream has put into this agent's conversation."""
    users = (text_of(message) for message in conversation[2:] if message.get("role") == "user")
    return [(found[1], found[2].strip()) for text in users if (found := _MESSAGE.match(text))]


def promise(caller: Caller) -> str:
    """The message an agent sends to its peer."""
    names = " and ".join(FEATURES[feature].name for feature in caller.features)
    return f"I am {caller.agent} and I add {names}() in its own slot of calc.py."


def wants_to_wait(caller: Caller, conversation: Conversation, progress: Progress) -> bool:
    """Whether this agent still expects a message at the step that comes after the meeting."""
    if not caller.messaging or progress.step != 3 or progress.waits >= MOST_WAITS:
        return False
    peer_is_gone = any(f"[{caller.peer} " in text_of(message) for message in conversation[2:])
    return not peer_is_gone and not delivered_messages(conversation)


WAIT = Step("My colleague's message is not here yet.", "sleep 1")


def next_step(caller: Caller, step: int, behaviour: Behaviour) -> Step:
    """The script. Its last step is repeated, should an agent be sent on after submitting."""
    if behaviour == "loop":
        return Step("I keep looking.", f"echo looking, time {step}; cat calc.py")
    steps = [Step("I look at the repository first.", "ls -la && cat calc.py && git log --oneline | head -3")]
    if caller.messaging and caller.peer:
        said = f"send_message {caller.peer} <<'MSG'\n{promise(caller)}\nMSG"
        steps.append(Step("I tell my colleague what I take.", said, meet=True))
    edit = "git status --short" if behaviour == "empty" else _edit(caller, wrong=behaviour == "wrong")
    steps.append(Step("I write the code.", edit, meet=len(steps) > 1))
    if behaviour != "empty":
        steps.append(Step("I open the pull request.", _publish(caller)))
    if caller.git and caller.peer and behaviour != "empty":
        seen = f"git fetch -q origin && git log -1 --format='seen: %s' origin/{caller.peer}"
        steps.append(Step("I look at what my colleague has pushed.", seen, meet=True))
    steps.append(Step("All is done.", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"))
    return steps[min(step, len(steps) - 1)]


def _edit(caller: Caller, *, wrong: bool) -> str:
    commands = []
    for number in caller.features:
        feature = FEATURES[number]
        code = feature.code.replace(feature.expression, "0") if wrong else feature.code
        commands.append(f"sed -i '/^{feature.slot}$/r /dev/stdin' calc.py <<'CODE'\n{code}CODE")
    return "\n".join([*commands, "git diff"])


def _publish(caller: Caller) -> str:
    title = " and ".join(FEATURES[feature].name for feature in caller.features)
    return (
        f"git add calc.py && git commit -q -m 'add {title}' && git push -q origin HEAD:{caller.agent} "
        f"&& gh pr create --title 'add {title}' --body 'As agreed.'"
    )


def completion(model: str, step: Step, tool_call_id: str) -> dict[str, Any]:
    """The step as a chat completion with one bash tool call and fixed usage."""
    arguments = json.dumps({"command": step.command})
    function = {"name": "bash", "arguments": arguments}
    message = {
        "role": "assistant",
        "content": step.thought,
        "tool_calls": [{"id": tool_call_id, "type": "function", "function": function}],
    }
    return {
        "id": f"chatcmpl-{tool_call_id}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }
