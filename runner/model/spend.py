"""What an attempt cost: upstream's sum against what was seen being spent."""

from dataclasses import replace

from runner.model.outcome import Outcome
from runner.model.rows import JobRow


def reconciled(outcome: Outcome, row: JobRow) -> Outcome:
    """The outcome with the cost and steps to be recorded; `row` is the job as last seen, its attempt still under way.

    A result's cost is upstream's own. Where upstream has none, and for attempts without a result, of which it
    records 0, what was seen being spent is the truth; if that is unknown, so is the cost.
    """
    if not row.agents or not row.attempts:
        return outcome
    attempt = row.attempts[-1]
    seen = attempt.cost_usd
    told = outcome.cost_usd
    if outcome.is_result and told is not None:
        return outcome
    if not outcome.is_result:
        outcome = replace(outcome, steps=max(outcome.steps, row.steps))
    if seen is None:
        return replace(outcome, cost_usd=told or None)
    if told is not None and seen <= told:
        return outcome
    return replace(outcome, cost_usd=seen, own_prices=attempt.own_prices)
