"""A sweep in a few numbers: what `report` prints and what a headless run ends with."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from runner.model.board import Board
from runner.model.prices import NO_TOKENS, Tokens
from runner.model.rows import JobRow

_DIGITS = 6
_TESTS: Mapping[str, str] = {
    "passed": "passed",
    "partly": "passed in part",
    "failed": "failed",
    "error": "evaluated without a verdict",
    "none": "not evaluated",
}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of some jobs. `results` counts those that were there already, `cost_usd` only what was spent here."""

    jobs: int
    results: int
    failed: int
    skipped: int
    cancelled: int
    unfinished: int
    attempts: int
    cost_usd: float
    wasted_usd: float
    """The part of it that went into attempts without a result."""
    skipped_usd: float
    """Paid in an earlier sweep for results that were there already."""
    cost_unknown_attempts: int
    statuses: Mapping[str, int]
    """Upstream's statuses of the jobs with a result."""
    labels: Mapping[str, int]
    """What the settled jobs came to: statuses, `no-patch`, failure classes, `cancelled`."""
    tests: Mapping[str, int]
    """Results by what their evaluation came to: `passed`, `partly`, `failed`, `error`, and `none` without one."""
    tokens: Tokens = NO_TOKENS
    """Of all attempts, as far as somebody counted them."""
    own_price_attempts: int = 0
    """Attempts whose cost is by the user's own prices, wholly or in part."""

    def to_json(self) -> dict[str, object]:
        return {
            "jobs": self.jobs,
            "results": self.results,
            "failed": self.failed,
            "skipped": self.skipped,
            "attempts": self.attempts,
            "cost_usd": self.cost_usd,
            "wasted_usd": self.wasted_usd,
            "cancelled": self.cancelled,
            "unfinished": self.unfinished,
            "cost_unknown_attempts": self.cost_unknown_attempts,
            "skipped_usd": self.skipped_usd,
            "tests": dict(self.tests),
            "cost_own_price_attempts": self.own_price_attempts,
            "tokens": asdict(self.tokens),
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """The sweep's numbers; `wall_s` is how many real seconds its runners were up."""

    sweep: str
    total: Numbers
    wall_s: float
    by_setting: Mapping[str, Numbers]
    speed: float | None = None
    """Of a rehearsal; None for a real sweep."""

    def to_json(self, kind: str = "summary") -> dict[str, object]:
        """One documented shape, a JSON object on a line."""
        return {
            "type": kind,
            "sweep": self.sweep,
            **_with(self.total.to_json(), after="wasted_usd", key="wall_s", value=self.wall_s),
            "rehearsal": self.speed is not None,
            "speed": self.speed,
            "by_setting": {
                setting: {**numbers.to_json(), "statuses": dict(numbers.statuses), "labels": dict(numbers.labels)}
                for setting, numbers in self.by_setting.items()
            },
        }


def summarise(board: Board, now: float) -> Summary:
    """The sweep's numbers as of `now`, in seconds since the epoch."""
    rows = [board.jobs[job] for job in board.order]
    plan = board.plan
    settings = dict.fromkeys((*(plan.settings if plan else ()), *(row.spec.setting for row in rows)))
    members: dict[str, list[JobRow]] = {setting: [] for setting in settings}
    for row in rows:
        members[row.spec.setting].append(row)
    return Summary(
        sweep=plan.sweep if plan else "",
        total=_numbers(rows),
        wall_s=round(board.wall_s(now), 3),
        by_setting={setting: _numbers(some) for setting, some in members.items()},
        speed=plan.rehearsal.speed if plan and plan.rehearsal else None,
    )


def table(summary: Summary) -> str:
    """The summary for a person: plain text, at most 80 columns."""
    total = summary.total
    rehearsal = f"  rehearsal x{summary.speed:g}" if summary.speed is not None else ""
    heads = ("setting", "jobs", "results", "failed", "skipped", "open", "tries", "cost", "wasted")
    rows = [_row(setting, numbers) for setting, numbers in summary.by_setting.items()]
    grid = [heads, *rows, _row("total", total)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(heads))]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in grid]
    lines.insert(1, "-" * len(lines[0]))
    lines.insert(len(lines) - 1, "-" * len(lines[0]))
    out = [f"{summary.sweep}  up {span(summary.wall_s)}{rehearsal}", "", *lines, ""]
    for setting, numbers in summary.by_setting.items():
        out += _wrapped(f"{setting}: ", [f"{count} {label}" for label, count in numbers.labels.items()])
    if any(count for verdict, count in total.tests.items() if verdict != "none"):
        for setting, numbers in summary.by_setting.items():
            counts = [f"{number} {_TESTS[verdict]}" for verdict, number in numbers.tests.items() if number]
            out += _wrapped(f"tests of {setting}: ", counts)
    if total.skipped_usd:
        out.append(f"${total.skipped_usd:.2f} more was paid earlier for the skipped results.")
    if total.tokens != NO_TOKENS:
        tokens = total.tokens
        out.append(f"tokens: {count(tokens.input)} in ({count(tokens.cached)} cached), {count(tokens.output)} out.")
    if total.own_price_attempts:
        out.append(f"Attempts with costs by the prices in coopdeck.toml: {total.own_price_attempts}.")
    if total.cost_unknown_attempts:
        out.append(f"Attempts of unknown cost, not in these sums: {total.cost_unknown_attempts}.")
    return "\n".join(out).rstrip()


def span(seconds: float) -> str:
    """A duration as hours, minutes and seconds: `01:12:44`, `06:12`."""
    minutes, left = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{left:02}" if hours else f"{minutes:02}:{left:02}"


def count(number: int) -> str:
    """A large number in at most six characters: `987`, `12.3k`, `4.56M`."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.{2 if number < 10 * size else 1 if number < 100 * size else 0}f}{letter}"
    return str(number)


def _numbers(rows: Sequence[JobRow]) -> Numbers:
    states = Counter(row.state for row in rows)
    statuses: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for row in rows:
        if not row.settled:
            continue
        labels["cancelled" if row.state == "cancelled" or row.outcome is None else row.outcome.label] += 1
        if row.state in {"done", "skipped"} and row.outcome is not None:
            statuses[row.outcome.status] += 1
    skipped = (
        row.outcome.cost_usd for row in rows if row.state == "skipped" and row.outcome is not None and not row.attempts
    )
    return Numbers(
        jobs=len(rows),
        results=states["done"] + states["skipped"],
        failed=states["failed"],
        skipped=states["skipped"],
        cancelled=states["cancelled"],
        unfinished=sum(not row.settled for row in rows),
        attempts=sum(len(row.attempts) for row in rows),
        cost_usd=_usd(attempt.cost_usd for row in rows for attempt in row.attempts),
        wasted_usd=_usd(
            attempt.cost_usd
            for row in rows
            for attempt in row.attempts
            if attempt.outcome is not None and not attempt.outcome.is_result
        ),
        skipped_usd=_usd(skipped),
        cost_unknown_attempts=sum(row.unknown_costs for row in rows),
        tokens=sum((attempt.tokens for row in rows for attempt in row.attempts), NO_TOKENS),
        own_price_attempts=sum(attempt.own_prices for row in rows for attempt in row.attempts),
        statuses=dict(statuses.most_common()),
        labels=dict(labels.most_common()),
        tests=_tests(rows),
    )


def _tests(rows: Sequence[JobRow]) -> dict[str, int]:
    outcomes = [row.outcome for row in rows if row.state in {"done", "skipped"} and row.outcome is not None]
    found = Counter(one.tested.verdict if one.tested is not None else "none" for one in outcomes)
    return {verdict: found[verdict] for verdict in _TESTS}


def _usd(costs: Iterable[float | None]) -> float:
    return round(math.fsum(cost or 0.0 for cost in costs), _DIGITS)


def _with(values: dict[str, object], *, after: str, key: str, value: object) -> dict[str, object]:
    placed: dict[str, object] = {}
    for name, one in values.items():
        placed[name] = one
        if name == after:
            placed[key] = value
    return placed


def _row(name: str, numbers: Numbers) -> tuple[str, ...]:
    counts = (numbers.jobs, numbers.results, numbers.failed, numbers.skipped, numbers.unfinished, numbers.attempts)
    return (name, *map(str, counts), f"${numbers.cost_usd:.2f}", f"${numbers.wasted_usd:.2f}")


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]


def _wrapped(head: str, parts: Sequence[str], width: int = 80) -> list[str]:
    lines = [head]
    for index, part in enumerate(parts):
        text = part + (", " if index + 1 < len(parts) else "")
        if len(lines[-1]) + len(text.rstrip()) > width:
            lines.append(" " * len(head))
        lines[-1] += text
    return [line.rstrip() for line in lines] if parts else []
