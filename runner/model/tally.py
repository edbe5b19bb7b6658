"""Counts and sums over jobs, kept by adding and taking away one row at a time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyrsistent import PMap, pmap

from runner.model.rows import SETTLED, JobRow, JobState


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts and sums over the jobs of one setting."""

    jobs: int = 0
    states: PMap[str, int] = field(default_factory=pmap)
    labels: PMap[str, int] = field(default_factory=pmap)
    """Outcome labels of settled jobs (`Submitted`, `no-patch`, `rate`, ...)."""
    statuses: PMap[str, int] = field(default_factory=pmap)
    """Upstream's statuses of jobs with a result."""
    attempts: int = 0
    cost_usd: float = 0.0
    wasted_usd: float = 0.0
    skipped_usd: float = 0.0
    """Paid in an earlier sweep for results that were there already."""
    unknown_costs: int = 0
    unknown_waste: int = 0
    """Of these, the attempts that ended without a result."""
    measured: int = 0
    """Jobs done here with a duration, and their sums for the forecast."""
    measured_s: float = 0.0
    measured_usd: float = 0.0
    priced: int = 0
    """The measured jobs whose cost is known."""

    def count(self, *states: JobState) -> int:
        return sum(self.states.get(state, 0) for state in states)

    @property
    def results(self) -> int:
        """Jobs with a result, those found there included."""
        return self.count("done", "skipped")

    @property
    def settled(self) -> int:
        return self.count(*SETTLED)


def _add(counts: PMap[str, int], key: str, by: int) -> PMap[str, int]:
    number = counts.get(key, 0) + by
    return counts.set(key, number) if number else counts.discard(key)


def count_row(tally: Tally, row: JobRow, sign: int) -> Tally:
    """The tally with a row added (`sign` 1) or taken away (-1)."""
    outcome = row.outcome
    labels, statuses = tally.labels, tally.statuses
    skipped_usd, measured, measured_s, measured_usd, priced = 0.0, 0, 0.0, 0.0, 0
    if row.settled:
        labels = _add(labels, "cancelled" if row.state == "cancelled" or outcome is None else outcome.label, sign)
        if outcome is not None and row.state in {"done", "skipped"}:
            statuses = _add(statuses, outcome.status, sign)
            if row.state == "skipped":
                skipped_usd = 0.0 if row.attempts else outcome.cost_usd or 0.0
            elif outcome.duration_s is not None:
                measured, measured_s, measured_usd = 1, outcome.duration_s, outcome.cost_usd or 0.0
                priced = int(outcome.cost_usd is not None)
    return Tally(
        jobs=tally.jobs + sign,
        states=_add(tally.states, row.state, sign),
        labels=labels,
        statuses=statuses,
        attempts=tally.attempts + sign * len(row.attempts),
        cost_usd=tally.cost_usd + sign * row.cost_usd,
        wasted_usd=tally.wasted_usd + sign * row.wasted_usd,
        skipped_usd=tally.skipped_usd + sign * skipped_usd,
        unknown_costs=tally.unknown_costs + sign * row.unknown_costs,
        unknown_waste=tally.unknown_waste + sign * row.unknown_waste,
        measured=tally.measured + sign * measured,
        measured_s=tally.measured_s + sign * measured_s,
        measured_usd=tally.measured_usd + sign * measured_usd,
        priced=tally.priced + sign * priced,
    )


def tally_of(rows: Iterable[JobRow]) -> Tally:
    """The tally of some rows, counted afresh."""
    tally = Tally()
    for row in rows:
        tally = count_row(tally, row, 1)
    return tally


def total(tallies: Iterable[Tally]) -> Tally:
    """Several settings as one."""
    sums = Tally()
    for tally in tallies:
        states, labels, statuses = sums.states, sums.labels, sums.statuses
        for state, number in tally.states.items():
            states = _add(states, state, number)
        for label, number in tally.labels.items():
            labels = _add(labels, label, number)
        for status, number in tally.statuses.items():
            statuses = _add(statuses, status, number)
        sums = Tally(
            jobs=sums.jobs + tally.jobs,
            states=states,
            labels=labels,
            statuses=statuses,
            attempts=sums.attempts + tally.attempts,
            cost_usd=sums.cost_usd + tally.cost_usd,
            wasted_usd=sums.wasted_usd + tally.wasted_usd,
            skipped_usd=sums.skipped_usd + tally.skipped_usd,
            unknown_costs=sums.unknown_costs + tally.unknown_costs,
            unknown_waste=sums.unknown_waste + tally.unknown_waste,
            measured=sums.measured + tally.measured,
            measured_s=sums.measured_s + tally.measured_s,
            measured_usd=sums.measured_usd + tally.measured_usd,
            priced=sums.priced + tally.priced,
        )
    return sums
