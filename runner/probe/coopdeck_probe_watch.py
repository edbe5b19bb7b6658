"""What each agent does, told from upstream's log records and from the calls that are wrapped."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.probe import coopdeck_probe_agents as told
    from runner.probe.coopdeck_probe_agents import MESSAGE, NAME, SHORT, Agent, Call
    from runner.probe.coopdeck_probe_lines import Lines, brief, number
else:
    import coopdeck_probe_agents as told
    from coopdeck_probe_agents import MESSAGE, NAME, SHORT, Agent, Call
    from coopdeck_probe_lines import Lines, brief, number

IN_PROCESS = ("mini_swe_agent_v2", "swe_agent")
# These do not count as input what came from the cache, or went into it.
CACHE_APART = ("claude_code",)

_CONTAINER = re.compile(r"Started container (\S{1,256}) with ID (\S{1,256})$")
_GIT = re.compile(r"Setting up git for (\S{1,200})$")
_RETRY = re.compile(r"Retrying \S{0,200} in ([0-9.e+-]{1,20}) seconds as it raised (\w{1,100})")
_RECEIVED = re.compile(r"\[Message from (\w{1,200})[^\]]{0,400}\]: ?(.*)", re.DOTALL)
_SEND = re.compile(
    r"send_message\s+(?P<wait>--wait\s+)?(?P<to>\w+)(?P<waits>\s+--wait)?\s+"
    r"(?:<<'?(?P<end>\w+)'?[ \t]*\n(?P<here>.*?)\n(?P=end)|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')",
    re.DOTALL,
)


class Watch:
    """Turns what is seen into lines. Its callers guard against whatever it raises."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        # What is seen directly need not be told from the messages: "litellm", "mailbox", "runners".
        self.wrapped: set[str] = set()
        self._local = threading.local()
        self._running: list[Agent] = []

    def current(self) -> Agent:
        agent = getattr(self._local, "agent", None)
        if isinstance(agent, Agent):
            return agent
        if len(self._running) == 1:
            # A helper thread of the one agent there is.
            return self._running[0]
        agent = self._local.agent = Agent(None)
        return agent

    def tell(self, kind: str, agent: Agent, fields: dict[str, Any], at: float | None = None) -> None:
        self.lines.write(kind, agent.name, fields, at)

    # From upstream's runners.

    def agent_begins(self, arguments: dict[str, Any], framework: str) -> Agent | None:
        held = getattr(self._local, "agent", None)
        if isinstance(held, Agent) and held.managed:
            return None
        name, image = brief(arguments.get("agent_id"), NAME), brief(arguments.get("image"), SHORT)
        agent = Agent(name or None, image or None, managed=True)
        agent.blind = framework not in IN_PROCESS
        agent.cache_apart = framework in CACHE_APART
        agent.model = brief(arguments.get("model_name"), NAME) or None
        self._local.agent = agent
        self._running.append(agent)
        begun = {"framework": brief(framework, NAME), "model": agent.model, "image": agent.image}
        self.tell("agent_begin", agent, begun)
        return agent

    def agent_ends(self, agent: Agent, result: Any, error: BaseException | None) -> None:
        self._local.agent = None
        self._running.remove(agent)
        self._release(agent)
        if error is not None:
            agent.error_class = type(error).__name__
            self._end(agent, "Error", agent.spent, agent.steps, str(error), None)
            return
        cost = number(result.cost)
        if agent.unpriced or not cost:
            # Upstream's zero may mean that nobody could tell.
            cost = agent.spent
        # Upstream's steps include the call that was never answered.
        steps = number(result.steps)
        self._end(agent, brief(result.status, NAME), cost, steps, getattr(result, "error", None), result)

    def _end(
        self, agent: Agent, status: str, cost: float | None, steps: float | None, error: object, result: Any
    ) -> None:
        fields: dict[str, Any] = {"status": status, "cost_usd": cost, "steps": steps}
        for ours, theirs in (("input", "input"), ("output", "output"), ("cached", "cache_read")):
            # Upstream's zero means that nobody counted.
            fields[f"{ours}_tokens"] = number(getattr(result, f"{theirs}_tokens", None)) or None
        if agent.cache_apart and fields["input_tokens"]:
            for part in ("read", "write"):
                fields["input_tokens"] += number(getattr(result, f"cache_{part}_tokens", None)) or 0
        self.tell("agent_end", agent, {**fields, "class": agent.error_class, "error": brief(error, SHORT) or None})

    # From litellm.

    def call_begins(self, model: object) -> Call:
        agent = self.current()
        self._release(agent)
        call = Call(agent, brief(model, NAME) or agent.model)
        self.tell("llm_begin", agent, {"model": call.model})
        return call

    def call_ends(self, call: Call, response: Any) -> None:
        agent = call.agent
        agent.retries = 0
        hidden = getattr(response, "_hidden_params", None)
        cost = hidden.get("response_cost") if isinstance(hidden, dict) else None
        ended = told.answer(call.model, time.monotonic() - call.since, told.field(response, "usage"), cost)
        if agent.speaks:
            agent.held = ended
            return
        agent.blind = False
        agent.cost += ended["cost_usd"] or 0.0
        agent.unpriced = agent.unpriced or ended["cost_usd"] is None
        self.tell("llm_end", agent, ended)

    def call_fails(self, call: Call, error: BaseException) -> None:
        self.tell("llm_end", call.agent, told.failure(call.model, time.monotonic() - call.since, type(error).__name__))

    def _release(self, agent: Agent) -> None:
        """An answer that no message followed (a summary, an unusable answer) is paid, yet not in upstream's sum."""
        if agent.held is not None:
            held, agent.held = agent.held, None
            agent.unpriced = agent.unpriced or held["cost_usd"] is None
            self.tell("llm_end", agent, {**held, "counted": False})

    # From upstream's mailbox.

    def waits(self, waits: bool) -> None:
        self.current().waits = waits

    def sent(self, sender: object, receiver: object, text: object, at: float, *, delivered: bool) -> None:
        agent = self.current()
        kind = "message_sent" if delivered else "message_lost"
        self.tell(kind, agent, {**told.letter(sender, receiver, text), "wait": agent.waits}, at)

    def received(self, receiver: object, messages: object) -> None:
        if isinstance(messages, list):
            for message in messages:
                if isinstance(message, dict):
                    letter = told.letter(message.get("from"), receiver, message.get("content"))
                    self.tell("message_received", self.current(), letter)

    # From the loggers.

    def environment(self, text: object) -> None:
        if isinstance(text, str) and (found := _CONTAINER.match(text)):
            agent = self.current()
            started = {"name": found[1], "id": found[2], "image": agent.image}
            if agent.name is None:
                agent.nameless.append(("container", started, time.time()))
            else:
                self.tell("container", agent, started)

    def git(self, text: object) -> None:
        if isinstance(text, str) and (found := _GIT.match(text)):
            agent = self.current()
            if agent.name is None:
                agent.name = found[1]
            self.introduce(agent)

    def retry(self, text: object) -> None:
        if isinstance(text, str) and (found := _RETRY.match(text)):
            agent = self.current()
            agent.retries += 1
            limit = os.environ.get("MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT", "10")
            most = int(limit) if limit.isdecimal() and len(limit) < 9 else None
            again = {"class": found[2], "attempt": agent.retries, "of": most, "wait_s": float(found[1])}
            self.tell("llm_retry", agent, again)

    def introduce(self, agent: Agent) -> None:
        """Whose thread this is will not become clearer than it is now."""
        nameless, agent.nameless = agent.nameless, []
        for kind, fields, at in nameless:
            self.tell(kind, agent, fields, at)

    def talk(self, messages: object) -> None:
        agent = self.current()
        if not isinstance(messages, tuple):
            self._release(agent)
            return
        agent.speaks, agent.blind = True, False
        self.introduce(agent)
        role: object = None
        for message in messages:
            if not isinstance(message, dict):
                continue
            role = message.get("role")
            extra = message.get("extra")
            extra = extra if isinstance(extra, dict) else {}
            if role == "assistant":
                self._assistant(agent, message, extra)
            elif role == "exit":
                self._exit(agent, extra)
            elif extra.get("interrupt_type") == "FormatError":
                self._unusable(agent)
            elif "returncode" in extra:
                more = message is not messages[-1]
                self._command_ends(agent, extra.get("returncode"), extra.get("raw_output"), more=more)
            elif role == "user" and "mailbox" not in self.wrapped:
                self._told(agent, message.get("content"))
        if role in ("tool", "user") and "litellm" not in self.wrapped and agent.thinking_since is None:
            agent.thinking_since = time.monotonic()
            self.tell("llm_begin", agent, {"model": agent.model})

    def _assistant(self, agent: Agent, message: dict[str, Any], extra: dict[str, Any]) -> None:
        cost = number(extra.get("cost"))
        if agent.held is not None:
            ended, agent.held = {**agent.held, "cost_usd": told.price(cost)}, None
        else:
            response = extra.get("response")
            agent.model = brief(told.field(response, "model"), NAME) or agent.model
            ended = told.answer(agent.model, told.since(agent.thinking_since), told.field(response, "usage"), cost)
        self.tell("llm_end", agent, ended)
        agent.thinking_since = None
        agent.steps += 1
        agent.cost += cost or 0.0
        agent.unpriced = agent.unpriced or told.price(cost) is None
        actions = extra.get("actions")
        actions = [action for action in actions if isinstance(action, dict)] if isinstance(actions, list) else []
        command = brief("\n".join(brief(action.get("command"), MESSAGE) for action in actions[:20]), MESSAGE)
        thought = brief(message.get("content"), SHORT) or brief(message.get("reasoning_content"), SHORT)
        agent.running_since = time.monotonic() if actions else None
        step = {"step": agent.steps, "command": brief(command, SHORT), "thought": thought, "cost_usd": agent.spent}
        self.tell("step", agent, step)
        if "mailbox" not in self.wrapped and "send_message" in command:
            for found in _SEND.finditer(command):
                text = found["here"] or found["double"] or found["single"]
                waits = bool(found["wait"] or found["waits"])
                self.tell("message_sent", agent, {**told.letter(agent.name, found["to"], text), "wait": waits})

    def _unusable(self, agent: Agent) -> None:
        """An answer without a usable command: a step to upstream, whose cost it does not add up."""
        self._release(agent)
        agent.thinking_since = None
        agent.steps += 1
        self.tell("step", agent, {"step": agent.steps, "command": "", "thought": "", "cost_usd": agent.spent})

    def _command_ends(self, agent: Agent, status: object, output: object, *, more: bool) -> None:
        # The commands of one step are told together, at the last one's end.
        seconds = None if more else told.since(agent.running_since)
        self.tell("exec_end", agent, {"returncode": number(status), "seconds": seconds, "output": brief(output, SHORT)})
        if not more:
            agent.running_since = None

    def _exit(self, agent: Agent, extra: dict[str, Any]) -> None:
        self._release(agent)
        status = brief(extra.get("exit_status"), NAME)
        failed = "exception_str" in extra
        if agent.running_since is not None:
            returned = 0 if status == "Submitted" else None
            self._command_ends(agent, returned, extra.get("submission"), more=False)
        agent.error_class = status if failed else None
        if failed and agent.thinking_since is not None:
            agent.steps += 1
            self.tell("llm_end", agent, told.failure(agent.model, told.since(agent.thinking_since), status))
        agent.thinking_since = None
        if not agent.managed:
            ended = "Error" if failed else status
            self._end(agent, ended, agent.spent, agent.steps, extra.get("exception_str"), None)

    def _told(self, agent: Agent, content: object) -> None:
        if found := _RECEIVED.match(brief(content, MESSAGE)):
            self.tell("message_received", agent, told.letter(found[1], agent.name, found[2]))
