import pytest

from runner.model.outcome import Outcome
from runner.model.prices import NO_TOKENS, Price, Tokens, price_of
from runner.model.rows import AgentRow, AttemptRow, JobRow
from runner.model.spend import reconciled
from tests.unit.fakes import OK, PROVIDER, jobs


@pytest.mark.parametrize(
    ("price", "tokens", "usd"),
    [
        (Price(2.5, 10.0), NO_TOKENS, 0.0),
        (Price(2.5, 10.0), Tokens(1_000_000, 0), 2.5),
        (Price(2.5, 10.0), Tokens(0, 1_000_000), 10.0),
        (Price(2.5, 10.0), Tokens(1_000_000, 0, 1_000_000), 2.5),
        (Price(2.5, 10.0, 0.25), Tokens(1_000_000, 0, 400_000), 1.6),
        (Price(2.5, 10.0, 0.0), Tokens(1_000_000, 100_000, 1_000_000), 1.0),
        # Some count what was cached beside the input: it is never more than the input is paid for.
        (Price(2.5, 10.0, 0.25), Tokens(100, 0, 1_000_000), 0.000025),
    ],
)
def test_a_price_is_per_million_tokens_and_cached_ones_have_their_own(price: Price, tokens: Tokens, usd: float) -> None:
    assert price.cost(tokens) == pytest.approx(usd)


def test_the_first_name_that_has_a_price_counts() -> None:
    one, two = Price(1, 1), Price(2, 2)
    assert price_of({"a": one, "b": two}, "x", "b", "a") == two
    assert price_of({"a": one}, None, "x") is None


def row(*costs: float | None, own: bool = False) -> JobRow:
    agents = tuple(AgentRow(f"agent{place}", "llm", 1, cost, 0.0) for place, cost in enumerate(costs))
    spent = None if None in costs else sum(cost or 0 for cost in costs)
    return JobRow(jobs(1)[0], "running", (AttemptRow(1, "t", "f", 0.0, cost_usd=spent, own_prices=own),), agents)


UNKNOWN = Outcome(None, "Submitted", "result.json", None)
FREE = Outcome("provider", "Error", "x", 0.0)
GONE = Outcome("lost", "", "x", None)


@pytest.mark.parametrize(
    ("outcome", "seen", "cost", "own"),
    [
        (OK, row(0.3), 0.5, False),
        (OK, row(None), 0.5, False),
        (OK, row(0.3, own=True), 0.5, False),
        (UNKNOWN, row(0.3, own=True), 0.3, True),
        (UNKNOWN, row(0.3), 0.3, False),
        (UNKNOWN, row(None, own=True), None, False),
        (FREE, row(0.3, 0.2), 0.5, False),
        (FREE, row(0.3, own=True), 0.3, True),
        (FREE, row(0.3, None), None, False),
        (FREE, row(), 0.0, False),
        (GONE, row(0.3), 0.3, False),
        (GONE, row(), None, False),
        (GONE, row(0.0), 0.0, False),
        (PROVIDER, row(0.05), 0.1, False),
        (PROVIDER, row(None), 0.1, False),
    ],
)
def test_what_was_seen_being_spent_stands_where_upstream_has_nothing(
    outcome: Outcome, seen: JobRow, cost: float | None, own: bool
) -> None:
    settled = reconciled(outcome, seen)
    assert (settled.cost_usd, settled.own_prices) == (cost, own)
