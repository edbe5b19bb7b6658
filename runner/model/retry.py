"""Whether a failed attempt deserves another, and when."""

from dataclasses import dataclass

from runner.model.events import RetryScheduled
from runner.model.failure import one_line
from runner.model.outcome import FailureClass, Outcome
from runner.model.plan import Plan
from runner.model.rows import JobRow

_DELAY_S: dict[FailureClass, tuple[float, float]] = {
    "rate": (30.0, 300.0),
    "provider": (30.0, 300.0),
    "network": (15.0, 120.0),
    "registry": (60.0, 300.0),
    "docker": (15.0, 120.0),
    "container": (5.0, 5.0),
    "redis": (10.0, 60.0),
    "host": (30.0, 300.0),
    "oom": (30.0, 30.0),
    "crash": (10.0, 60.0),
    "corrupt": (5.0, 30.0),
    "lost": (5.0, 5.0),
}
"""First and longest delay in seconds of each class that is tried again; the rest are final."""

HOST_TRIES = 10
"""Of class `host` alone; they do not count against the limit, and end some time all the same."""

_ONCE: frozenset[FailureClass] = frozenset({"container", "oom", "lost"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to try again, after how many seconds, and why or why not."""

    again: bool
    delay_s: float
    reason: str


def verdict(failure: FailureClass, number: int, same: int, limit: int, jitter: float) -> Verdict:
    """Judge the attempt `number` (from 1) of at most `limit`, of which `same` with this one ended in this class.

    `jitter` in 0..1 is drawn by the caller. The delay doubles with every attempt up to the class's longest, half of
    it fixed and half drawn ("equal jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/),
    so that jobs that failed together do not return together.
    """
    delays = _DELAY_S.get(failure)
    if delays is None:
        return Verdict(False, 0.0, f"{failure} is not tried again")
    if failure in _ONCE and same > 1:
        return Verdict(False, 0.0, f"{failure} is tried again once")
    allowed = HOST_TRIES if failure == "host" else limit
    if number >= allowed:
        return Verdict(False, 0.0, f"{failure}: {number} of {allowed} tries used")
    first, longest = delays
    delay = min(longest, first * 2.0 ** (number - 1))
    return Verdict(True, delay / 2 + delay / 2 * jitter, failure)


def next_try(row: JobRow, number: int, outcome: Outcome, plan: Plan, jitter: float) -> RetryScheduled | None:
    """What follows from the end of the row's attempt `number`; None where none does. `jitter` as in `verdict`."""
    if outcome.failure is None or outcome.failure == "cancelled":
        return None
    # A host that is short of something says nothing about the job: those are counted for themselves.
    before = row.attempts[row.retries_from : number - 1]
    hosts = sum(one.outcome is not None and one.outcome.failure == "host" for one in before)
    tries = hosts if outcome.failure == "host" else len(before) - hosts
    same = sum(one.outcome is not None and one.outcome.failure == outcome.failure for one in before)
    decided = verdict(outcome.failure, tries + 1, same + 1, plan.attempts, jitter)
    if not decided.again:
        return None
    reason = f"{outcome.failure}: {one_line(outcome.evidence)}"
    return RetryScheduled(row.spec.id, number + 1, decided.delay_s / plan.speed, reason)
