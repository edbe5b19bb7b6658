import json

from runner.model.board import Board
from runner.model.events import (
    AgentSeen,
    AttemptEnded,
    AttemptStarted,
    AttemptStarting,
    Envelope,
    Event,
    JobSettled,
    JobSkipped,
    JobsPlanned,
    RetryScheduled,
    RunnerStarted,
    SweepFinished,
    SweepPlanned,
)
from runner.model.ids import JobId, PairId
from runner.model.outcome import Outcome
from runner.model.plan import Plan, Rehearsal
from runner.model.prices import Tokens
from runner.model.queue import make_jobs
from runner.model.reduce import reduce
from runner.model.summary import summarise, table

PAIRS = tuple(PairId("toy_task", 1, (1, feature)) for feature in range(2, 6))
JOBS = make_jobs("s", ("solo", "coop-comm"), PAIRS[:2], ("m",))
RESULT = Outcome(None, "Submitted", "", 0.1, steps=3, patch_lines=4, duration_s=60.0, own_prices=True)
NO_PATCH = Outcome(None, "Submitted", "", 0.2, duration_s=60.0)
OVERLOADED = Outcome("provider", "Error", "overloaded", 0.05)
LOST = Outcome("lost", "", "the runner died", None)


def _plan(rehearsal: Rehearsal | None = None) -> Plan:
    return Plan("s", ("x",), "/l", ("solo", "coop-comm", "team"), ("m",), "a", rehearsal=rehearsal)


def _attempt(job: JobId, number: int, outcome: Outcome) -> list[Event]:
    own = outcome is RESULT
    return [
        AttemptStarting(job, number, "t", "f"),
        AttemptStarted(job, number, 1, 1),
        AgentSeen(job, number, "solo", "ended", 3, 0.1, Tokens(1_200_000, 3_400, 500_000), own_prices=own),
        AttemptEnded(job, number, outcome),
    ]


def _board(rehearsal: Rehearsal | None = None) -> Board:
    one, two, three, four = (job.id for job in JOBS)
    happened: list[Event] = [
        SweepPlanned(_plan(rehearsal)),
        JobsPlanned(JOBS),
        RunnerStarted(1, "h", "0"),
        JobSkipped(one, NO_PATCH, "/p"),
        *_attempt(two, 1, OVERLOADED),
        RetryScheduled(two, 2, 30.0, "overloaded"),
        *_attempt(two, 2, RESULT),
        JobSettled(two, "done"),
        *_attempt(three, 1, LOST),
        JobSettled(three, "failed"),
        AttemptStarting(four, 1, "t", "f"),
    ]
    board = Board()
    for seq, event in enumerate(happened, 1):
        board = reduce(board, Envelope(seq, 100.0 + seq, event))
    return board


def test_the_shape_is_the_documented_one() -> None:
    shape = json.loads(json.dumps(summarise(_board(), 203.0).to_json()))
    assert list(shape)[:9] == [
        "type", "sweep", "jobs", "results", "failed", "skipped", "attempts", "cost_usd", "wasted_usd",
    ]  # fmt: skip
    assert shape == {
        "type": "summary",
        "sweep": "s",
        "jobs": 4,
        "results": 2,
        "failed": 1,
        "skipped": 1,
        "attempts": 4,
        "cost_usd": 0.15,
        "wasted_usd": 0.05,
        "wall_s": 100.0,
        "cancelled": 0,
        "unfinished": 1,
        "cost_unknown_attempts": 1,
        "skipped_usd": 0.2,
        "cost_own_price_attempts": 1,
        "tokens": {"input": 3_600_000, "output": 10_200, "cached": 1_500_000},
        "tests": {"passed": 0, "partly": 0, "failed": 0, "error": 0, "none": 2},
        "rehearsal": False,
        "speed": None,
        "by_setting": {
            "solo": {
                "jobs": 2,
                "results": 2,
                "failed": 0,
                "skipped": 1,
                "attempts": 2,
                "cost_usd": 0.15,
                "wasted_usd": 0.05,
                "cancelled": 0,
                "unfinished": 0,
                "cost_unknown_attempts": 0,
                "skipped_usd": 0.2,
                "cost_own_price_attempts": 1,
                "tokens": {"input": 2_400_000, "output": 6_800, "cached": 1_000_000},
                "tests": {"passed": 0, "partly": 0, "failed": 0, "error": 0, "none": 2},
                "statuses": {"Submitted": 2},
                "labels": {"no-patch": 1, "Submitted": 1},
            },
            "coop-comm": {
                "jobs": 2,
                "results": 0,
                "failed": 1,
                "skipped": 0,
                "attempts": 2,
                "cost_usd": 0.0,
                "wasted_usd": 0.0,
                "cancelled": 0,
                "unfinished": 1,
                "cost_unknown_attempts": 1,
                "skipped_usd": 0.0,
                "cost_own_price_attempts": 0,
                "tokens": {"input": 1_200_000, "output": 3_400, "cached": 500_000},
                "tests": {"passed": 0, "partly": 0, "failed": 0, "error": 0, "none": 0},
                "statuses": {},
                "labels": {"lost": 1},
            },
            "team": summarise(Board(), 0).total.to_json() | {"statuses": {}, "labels": {}},
        },
    }


def test_the_table_tells_tokens_and_own_prices() -> None:
    text = table(summarise(_board(), 203.0))
    assert "tokens: 3.60M in (1.50M cached), 10.2k out." in text
    assert "Attempts with costs by the prices in coopdeck.toml: 1." in text
    assert "tokens" not in table(summarise(Board(), 0))


def test_costs_are_added_without_error() -> None:
    jobs = make_jobs("s", ("solo",), tuple(PairId("toy_task", task, (1, 2)) for task in range(1000)), ("m",))
    board = reduce(Board(), Envelope(1, 0.0, JobsPlanned(jobs)))
    seq = 1
    for job in jobs:
        for event in _attempt(job.id, 1, RESULT):
            seq += 1
            board = reduce(board, Envelope(seq, 0.0, event))
    assert summarise(board, 0.0).total.cost_usd == 100.0


def test_time_ends_with_the_sweep() -> None:
    board = reduce(_board(), Envelope(99, 150.0, SweepFinished()))
    assert summarise(board, 9999.0).wall_s == 47.0


def test_a_rehearsal_is_called_one() -> None:
    summary = summarise(_board(Rehearsal(speed=60)), 203.0)
    assert summary.to_json()["rehearsal"] is True
    assert "rehearsal x60" in table(summary)


def test_the_table_fits_80_columns() -> None:
    text = table(summarise(_board(), 203.0))
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.split() for line in text.splitlines()]
    assert ["total", "4", "2", "1", "1", "1", "4", "$0.15", "$0.05"] in lines
    assert "unknown cost, not in these sums: 1." in text
    assert table(summarise(Board(), 0.0))
