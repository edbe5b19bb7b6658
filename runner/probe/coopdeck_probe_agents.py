"""One agent, its calls, and what is told of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.probe.coopdeck_probe_lines import brief, number
else:
    # The folder is on PYTHONPATH of another program's process: there is no package around it.
    from coopdeck_probe_lines import brief, number

SHORT = 300
NAME = 200
MESSAGE = 6000


class Agent:
    """One agent: in upstream, and in the rehearsal, a thread of its own."""

    def __init__(self, name: str | None, image: str | None = None, *, managed: bool = False) -> None:
        self.name = name
        self.image = image
        # Its end is the return of its runner, not its exit message: it may be sent on after that.
        self.managed = managed
        self.model: str | None = None
        self.steps = 0
        self.cost = 0.0
        self.unpriced = False
        self.error_class: str | None = None
        self.retries = 0
        self.speaks = False
        # Its calls may be made where nobody sees them, in its container.
        self.blind = False
        self.cache_apart = False
        self.waits = False
        self.thinking_since: float | None = None
        self.running_since: float | None = None
        # An ended call whose cost the agent's next message will tell.
        self.held: dict[str, Any] | None = None
        # Lines from before anybody said whose thread this is.
        self.nameless: list[tuple[str, dict[str, Any], float]] = []

    @property
    def spent(self) -> float | None:
        return None if self.unpriced or self.blind else self.cost


class Call:
    """One call of a model that is under way."""

    def __init__(self, agent: Agent, model: str | None) -> None:
        self.agent = agent
        self.model = model
        self.since = time.monotonic()


def answer(model: str | None, latency: float | None, usage: object, cost: object) -> dict[str, Any]:
    details = field(usage, "prompt_tokens_details") or field(usage, "input_tokens_details")
    return {
        "model": model,
        "latency_s": None if latency is None else round(latency, 3),
        "input_tokens": _either(usage, "prompt_tokens", "input_tokens"),
        "output_tokens": _either(usage, "completion_tokens", "output_tokens"),
        "cached_tokens": _either(details, "cached_tokens", "") or _either(usage, "cache_read_input_tokens", ""),
        "cost_usd": price(cost),
        "status": "ok",
        "counted": True,
    }


def failure(model: str | None, latency: float | None, status: str) -> dict[str, Any]:
    # No answer, no bill: an unknown cost here would make that of every retried job unknown.
    return {**answer(model, latency, None, None), "cost_usd": 0.0, "status": status, "counted": False}


def price(cost: object) -> float | None:
    """Upstream has 0 for what litellm cannot price; nothing that was answered is free."""
    value = number(cost)
    return value if value is not None and value > 0 else None


def _either(usage: object, first: str, second: str) -> float | None:
    found = number(field(usage, first))
    return number(field(usage, second)) if found is None and second else found


def field(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def since(begun: float | None) -> float | None:
    return None if begun is None else round(time.monotonic() - begun, 3)


def letter(sender: object, receiver: object, text: object) -> dict[str, Any]:
    return {"from": brief(sender, NAME), "to": brief(receiver, NAME), "text": brief(text, MESSAGE)}
