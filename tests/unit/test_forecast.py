import math
from dataclasses import replace

import pytest

from runner.adapters.dataset import read_dataset
from runner.adapters.recorded import recorded_prior
from runner.model.board import Board
from runner.model.events import AttemptEnded, AttemptStarted, AttemptStarting, Envelope, Event, JobSettled, JobsPlanned
from runner.model.forecast import PRIOR_WEIGHT, expected, forecast_board, forecast_jobs
from runner.model.outcome import Outcome
from runner.model.plan import Expectation
from runner.model.queue import make_jobs
from runner.model.reduce import reduce
from runner.model.rows import AttemptRow, JobRow
from runner.model.selection import select_pairs
from runner.model.tally import Tally, tally_of
from tests.unit.fakes import jobs as some_jobs
from tests.unit.fakes import the_plan

PRIOR = {"solo": Expectation(100.0, 0.5, 0.25)}


def test_the_recorded_sweep_is_foreseen_as_it_went() -> None:
    pairs = select_pairs(read_dataset(), subset="lite")
    jobs = make_jobs("s", ("solo", "coop-comm", "coop-nocomm"), pairs, ("command-a",))
    forecast = forecast_jobs(jobs, recorded_prior(), slots=4)
    assert forecast.cost_usd == pytest.approx(138.586, abs=0.01)
    assert forecast.wall_s == pytest.approx(131.3 * 60, abs=60)
    assert forecast_jobs(jobs, recorded_prior(), slots=4, speed=60).wall_s == pytest.approx(131.3, abs=1)
    solo, comm, nocomm = (forecast.by_setting[name].eta_s for name in ("solo", "coop-comm", "coop-nocomm"))
    assert solo is not None
    assert comm is not None
    assert nocomm is not None
    assert solo < comm < nocomm
    assert nocomm == forecast.wall_s


def test_measured_jobs_replace_the_recorded_ones_gradually() -> None:
    def after(measured: int) -> Expectation:
        one = expected(
            "solo",
            PRIOR,
            Tally(measured=measured, measured_s=200.0 * measured, measured_usd=1.0 * measured, priced=measured),
        )
        assert one is not None
        return one

    assert after(0) == PRIOR["solo"]
    assert after(int(PRIOR_WEIGHT)).duration_s == 150.0
    assert after(int(PRIOR_WEIGHT)).cost_usd == 0.75
    assert after(10_000).cost_usd == pytest.approx(1.0, abs=0.001)
    costs = [after(measured).cost_usd for measured in range(20)]
    assert costs == sorted(costs)


def test_jobs_of_unknown_cost_say_nothing_about_cost() -> None:
    one = expected("solo", PRIOR, Tally(measured=5, measured_s=1000.0, unknown_costs=5))
    assert one is not None
    assert one.cost_usd == 0.5
    assert one.duration_s > 100.0


def test_who_runs_or_failed_at_an_unknown_cost_takes_nothing_from_what_was_measured() -> None:
    spec = some_jobs(1)[0]
    done = Outcome(None, "Submitted", "", 1.0, duration_s=200.0)
    results = [JobRow(spec, "done", (AttemptRow(1, "t", "f", 0.0, cost_usd=1.0, outcome=done),), outcome=done)] * 20
    running = [JobRow(spec, "running", (AttemptRow(1, "t", "f", 0.0, cost_usd=None),))] * 8
    lost = Outcome("crash", "", "gone", None)
    failed = [JobRow(spec, "failed", (AttemptRow(1, "t", "f", 0.0, cost_usd=None, outcome=lost),), outcome=lost)] * 12
    tally = tally_of((*results, *running, *failed))
    assert (tally.unknown_costs, tally.unknown_waste, tally.priced) == (20, 12, 20)
    one = expected("solo", PRIOR, tally)
    assert one is not None
    assert one.cost_usd == pytest.approx((8 * 0.5 + 20 * 1.0) / 28)


def test_a_setting_that_was_never_recorded_is_as_the_others() -> None:
    assert expected("team", PRIOR) == PRIOR["solo"]
    assert expected("team", {}) is None
    assert forecast_jobs(make_jobs("s", ("team",), (), ("m",)), {}, slots=1).wall_s == 0.0


def test_nothing_known_is_no_forecast() -> None:
    jobs = make_jobs("s", ("solo",), select_pairs(read_dataset(), smoke=2), ("m",))
    forecast = forecast_jobs(jobs, {}, slots=4)
    assert (forecast.cost_usd, forecast.wall_s) == (None, None)
    assert forecast.by_setting["solo"].jobs == 2


def test_fewer_jobs_than_slots_take_no_less_than_one_job() -> None:
    jobs = make_jobs("s", ("solo",), select_pairs(read_dataset(), smoke=2), ("m",))
    assert forecast_jobs(jobs, PRIOR, slots=64).wall_s == 100.0


def test_a_board_counts_what_is_spent_and_what_is_left() -> None:
    jobs = make_jobs("s", ("solo",), select_pairs(read_dataset(), smoke=4), ("m",))
    board = replace(Board(), slots=1, plan=the_plan(prior=PRIOR, rehearsal=None))
    first, second = jobs[0].id, jobs[1].id
    result = Outcome(None, "Submitted", "", 2.0, duration_s=300.0, patch_lines=1)
    happened: tuple[Event, ...] = (
        JobsPlanned(jobs),
        AttemptStarting(first, 1, "t", "f"),
        AttemptStarted(first, 1, 1, 1),
        AttemptEnded(first, 1, result),
        JobSettled(first, "done"),
        AttemptStarting(second, 1, "t", "f"),
    )
    for seq, event in enumerate(happened, 1):
        board = reduce(board, Envelope(seq, float(seq), event))
    forecast = forecast_board(board)
    each = (PRIOR_WEIGHT * 0.5 + 2.0) / (PRIOR_WEIGHT + 1)
    assert forecast.by_setting["solo"].left == 2.5
    assert forecast.cost_usd == pytest.approx(2.0 + 2.5 * each)
    assert forecast.cost_p90_usd is not None
    assert forecast.cost_p90_usd > 2.0 + 2.5 * each
    assert forecast.wall_s == pytest.approx(2.5 * (PRIOR_WEIGHT * 100 + 300) / (PRIOR_WEIGHT + 1))
    assert math.isfinite(forecast.cost_p90_usd)
