"""How others end an attempt that is under way, and what that makes of it."""

from dataclasses import dataclass, field, replace
from typing import Literal

import anyio

from runner.model.outcome import FailureClass, Outcome

OwnAct = Literal["cancelled", "timeout", "stopped", "requeued"]
RUN_AGAIN: dict[OwnAct | None, str] = {
    "stopped": "ended with the sweep; will run again",
    "requeued": "ended by the user to be tried again",
}
"""After these the job goes back into the queue."""


@dataclass(slots=True)
class Control:
    """Held by an attempt; whoever has it may end the attempt."""

    asked: anyio.Event = field(default_factory=anyio.Event)
    act: OwnAct | None = None

    def end(self, act: OwnAct) -> None:
        # Who cancels a job that would run again means that it must not.
        if self.act is None or (act == "cancelled" and self.act in RUN_AGAIN):
            self.act = act
        self.asked.set()


def ended_by(act: OwnAct, outcome: Outcome, timeout_s: float) -> Outcome:
    """What the attempt ended in, which was ended by us and brought no result; `timeout_s` is the plan's."""
    says: dict[OwnAct, tuple[FailureClass, str]] = {
        "cancelled": ("cancelled", "cancelled by the user"),
        "stopped": ("cancelled", "ended because the sweep was stopped"),
        "requeued": ("cancelled", RUN_AGAIN["requeued"]),
        "timeout": ("timeout", f"not over after {timeout_s:g} s (--timeout)"),
    }
    failure, evidence = says[act]
    return replace(outcome, failure=failure, evidence=evidence)
