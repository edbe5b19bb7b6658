"""What an attempt ended in."""

from dataclasses import dataclass
from typing import Literal

FailureClass = Literal[
    "auth", "config", "request", "model", "quota", "rate", "provider", "network", "image", "registry", "docker",
    "container", "redis", "host", "oom", "timeout", "lost", "crash", "corrupt", "cancelled", "empty", "unknown",
    "quarantine",
]  # fmt: skip
"""Why an attempt has no result. Those that say little by themselves: `crash` (the process ended and left no result),
`corrupt` (the result is there and cannot be trusted), `empty` (upstream found nothing to run), `unknown` (an Error with
no evidence that names its cause), `quarantine` (the runner died twice while it read or delivered what the attempt had
left, or looked at what was there already)."""


Verdict = Literal["passed", "partly", "failed", "error"]
"""Of all features' tests together; `error`: the evaluation itself went wrong, which says nothing about the result."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What upstream's evaluation found out about a result."""

    passed: tuple[bool, ...] = ()
    """By feature, whether its tests passed."""
    error: str = ""
    """Why the evaluation came to no verdict; `passed` tells nothing then."""

    @property
    def verdict(self) -> Verdict:
        if self.error or not self.passed:
            return "error"
        return "passed" if all(self.passed) else "partly" if any(self.passed) else "failed"

    @property
    def label(self) -> str:
        """For a cell: `both passed`, `1 of 2 passed`, `eval failed`."""
        if self.verdict == "error":
            return "eval failed"
        if self.verdict == "passed" and len(self.passed) == 2:
            return "both passed"
        return f"{sum(self.passed)} of {len(self.passed)} passed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result, or a failure with a class. Costs in USD, durations in seconds."""

    failure: FailureClass | None
    """None for a result."""
    status: str
    """Of all agents together: the first that is not Submitted, else Submitted; empty where no agent reported."""
    evidence: str
    """One line that says how we know."""
    cost_usd: float | None
    """None where it cannot be known; never 0 for unknown."""
    steps: int = 0
    patch_lines: int = 0
    messages: int = 0
    duration_s: float | None = None
    """As upstream recorded it."""
    own_prices: bool = False
    """Some of the cost is by the user's own prices, and not upstream's."""
    tested: Evaluation | None = None
    """Of a result that was evaluated."""

    @property
    def is_result(self) -> bool:
        return self.failure is None

    @property
    def label(self) -> str:
        """For a cell: the status, `no-patch` for an empty submission, else the failure's class."""
        if self.failure is not None:
            return self.failure
        if self.status == "Submitted" and self.patch_lines == 0:
            return "no-patch"
        return self.status
