"""The 300 recorded runs of upstream's lite subset, as a forecast's starting point."""

import csv
from functools import cache
from importlib.resources import files
from statistics import fmean, stdev

from runner.model.forecast import Prior
from runner.model.plan import Expectation


@cache
def recorded_prior() -> Prior:
    """By setting, the means of the recorded runs."""
    runs: dict[str, list[tuple[float, float]]] = {}
    with (files("runner") / "data" / "lite_runs.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            runs.setdefault(row["setting"], []).append((float(row["duration_s"]), float(row["cost_usd"])))
    return {
        setting: Expectation(
            duration_s=fmean(duration for duration, _ in rows),
            cost_usd=fmean(cost for _, cost in rows),
            cost_sd=stdev(cost for _, cost in rows),
        )
        for setting, rows in runs.items()
    }
