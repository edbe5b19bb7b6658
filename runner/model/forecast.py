"""What jobs are expected to take and to cost: from recorded runs at first, from this sweep's own more and more."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from runner.model.board import Board
from runner.model.plan import Expectation, JobSpec
from runner.model.tally import Tally, total

PRIOR_WEIGHT = 8.0
"""How many measured jobs weigh as much as all recorded ones."""
P90 = 1.2816
"""Standard deviations above the mean that 90 of 100 sweeps stay below."""


Prior = Mapping[str, Expectation]
"""By setting: the means of runs recorded earlier. May be empty."""


@dataclass(frozen=True, slots=True)
class SettingForecast:
    """Of one setting, in USD and seconds."""

    jobs: int
    left: float
    """Jobs to come; one under way counts as half."""
    left_usd: float | None
    cost_usd: float | None
    """Spent and still to be spent; None where nothing is known."""
    eta_s: float | None
    """Real seconds until the setting is through: the queue goes setting by setting."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of a whole sweep; None where nothing is known."""

    by_setting: Mapping[str, SettingForecast]
    cost_usd: float | None
    cost_p90_usd: float | None
    left_usd: float | None
    wall_s: float | None
    """Real seconds until the sweep is through."""


def expected(setting: str, prior: Prior, tally: Tally | None = None) -> Expectation | None:
    """One job of the setting; None while nothing is recorded or measured.

    A setting that was never recorded (`team`) is expected to be as the others are.
    """
    known = prior.get(setting) or _mean(prior.values())
    if tally is None or not tally.measured:
        return known
    weight = PRIOR_WEIGHT if known else 0.0
    base = known or Expectation(0.0, 0.0)
    duration_s = (weight * base.duration_s + tally.measured_s) / (weight + tally.measured)
    # A model without a price is measured at no cost at all, which says nothing about the jobs to come.
    if not weight + tally.priced:
        return Expectation(duration_s, 0.0)
    cost_usd = (weight * base.cost_usd + tally.measured_usd) / (weight + tally.priced)
    spread = base.cost_sd / base.cost_usd if base.cost_usd else 0.0
    return Expectation(duration_s, cost_usd, spread * cost_usd)


def forecast_jobs(jobs: Iterable[JobSpec], prior: Prior, *, slots: int, speed: float = 1.0) -> Forecast:
    """Of a sweep that has not begun."""
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.setting] = counts.get(job.setting, 0) + 1
    tallies = {setting: Tally(jobs=count) for setting, count in counts.items()}
    left = {setting: float(count) for setting, count in counts.items()}
    return _forecast(tallies, left, prior, slots=slots, speed=speed)


def forecast_board(board: Board) -> Forecast:
    """Of a sweep under way, from its plan's prior; as cheap with 10,000 jobs as with 10."""
    prior = board.plan.prior if board.plan else {}
    order = [setting for setting in (board.plan.settings if board.plan else ()) if setting in board.tallies]
    order += [setting for setting in board.tallies if setting not in order]
    tallies = {setting: board.tallies[setting] for setting in order}
    left = {
        setting: tally.count("queued", "retrying") + tally.count("starting", "running", "delivering") / 2
        for setting, tally in tallies.items()
    }
    return _forecast(tallies, left, prior, slots=board.slots, speed=board.plan.speed if board.plan else 1.0)


def _forecast(
    tallies: Mapping[str, Tally], left: Mapping[str, float], prior: Prior, *, slots: int, speed: float
) -> Forecast:
    rows: dict[str, SettingForecast] = {}
    variance, before_s = 0.0, 0.0
    whole = True
    # A setting of which nothing is known yet is expected to be as the others have been.
    overall = expected("", {}, total(tallies.values()))
    for setting, tally in tallies.items():
        one = expected(setting, prior, tally) or overall
        jobs = left[setting]
        if one is None and jobs:
            rows[setting] = SettingForecast(tally.jobs, jobs, None, None, None)
            whole = False
            continue
        one = one or Expectation(0.0, 0.0)
        variance += jobs * one.cost_sd**2
        before_s += jobs * one.duration_s
        # Fewer jobs than slots take no less time than one of them does.
        eta_s = max(before_s / max(1, slots), one.duration_s if jobs >= 1 else 0.0) / speed
        left_usd = jobs * one.cost_usd
        rows[setting] = SettingForecast(tally.jobs, jobs, left_usd, tally.cost_usd + left_usd, eta_s if whole else None)
    costs = [row.cost_usd for row in rows.values() if row.cost_usd is not None]
    if not whole:
        return Forecast(rows, None, None, None, None)
    cost_usd = math.fsum(costs)
    return Forecast(
        rows,
        cost_usd,
        cost_usd + P90 * math.sqrt(variance),
        math.fsum(row.left_usd or 0.0 for row in rows.values()),
        max((row.eta_s or 0.0 for row in rows.values()), default=0.0),
    )


def _mean(expectations: Iterable[Expectation]) -> Expectation | None:
    known = tuple(expectations)
    if not known:
        return None
    total = reduce(
        lambda a, b: Expectation(a.duration_s + b.duration_s, a.cost_usd + b.cost_usd, a.cost_sd + b.cost_sd), known
    )
    count = len(known)
    return Expectation(total.duration_s / count, total.cost_usd / count, total.cost_sd / count)
