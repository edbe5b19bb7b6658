"""The recorded runs, and the seeded model for everything that was not recorded."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from runner.rehearsal.config import chance

RECORDED = Path(__file__).parent.parent / "data" / "lite_runs.csv"
LIMITS = "LimitsExceeded"
DURATION_SPREAD = 0.25
COST_SPREAD = 0.30
MICRO = 1_000_000


class Profile:
    """What one run takes and ends in. Money is whole micro-dollars, so that sums are exact."""

    __slots__ = ("duration", "features", "merge", "messages", "micro", "passed", "repo", "status", "steps", "task")

    def __init__(
        self,
        *,
        repo: str,
        task: int,
        features: tuple[int, ...],
        duration: float,
        micro: int,
        steps: int,
        status: str,
        messages: int,
        passed: tuple[bool, bool],
        merge: str,
    ) -> None:
        self.repo = repo
        self.task = task
        self.features = features
        self.duration = duration
        self.micro = micro
        self.steps = steps
        self.status = status
        self.messages = messages
        self.passed = passed
        self.merge = merge

    @property
    def cost(self) -> float:
        return self.micro / MICRO


def read_runs(setting: str, path: Path = RECORDED) -> list[Profile]:
    """The recorded runs of one setting, in the order of the file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        column = {name: index for index, name in enumerate(next(rows))}
        return [_profile(row, column) for row in rows if row[column["setting"]] == setting]


def _profile(row: list[str], column: dict[str, int]) -> Profile:
    def cell(name: str) -> str:
        return row[column[name]]

    return Profile(
        repo=cell("repo"),
        task=int(cell("task_id")),
        features=(int(cell("feature_a")), int(cell("feature_b"))),
        duration=float(cell("duration_s")),
        micro=round(float(cell("cost_usd")) * MICRO),
        steps=int(cell("steps")),
        status=cell("agent_status"),
        messages=int(cell("messages") or 0),
        passed=(cell("feature_a_passed") == "True", cell("feature_b_passed") == "True"),
        merge=cell("merge_outcome"),
    )


def profile_for(
    setting: str, repo: str, task: int, features: tuple[int, ...], *, seed: int = 0, repeat: int = 1
) -> Profile:
    """The recorded run of this pair; a modelled one for other pairs, for repeats and for `team`."""
    wanted = tuple(sorted(features))
    runs = read_runs("coop-comm" if setting == "team" else setting)
    same = [run for run in runs if (run.repo, run.task, run.features) == (repo, task, wanted)]
    if same and repeat == 1 and setting != "team":
        return same[0]
    pool = same or [run for run in runs if run.repo == repo] or runs
    key = (seed, setting, repo, task, *wanted, repeat)
    drawn = pool[int(chance("row", *key) * len(pool))]
    stretch = _lognormal(DURATION_SPREAD, "duration", *key)
    price = _lognormal(COST_SPREAD, "cost", *key)
    return Profile(
        repo=repo,
        task=task,
        features=wanted,
        duration=max(1.0, round(drawn.duration * stretch, 3)),
        micro=max(1, round(drawn.micro * price)),
        steps=drawn.steps,
        status=drawn.status,
        messages=drawn.messages,
        passed=drawn.passed,
        merge=drawn.merge,
    )


def _lognormal(spread: float, *key: object) -> float:
    # Box and Muller: the random module would cost every process its import.
    radius = math.sqrt(-2.0 * math.log(1.0 - chance("radius", *key)))
    return math.exp(spread * radius * math.cos(2.0 * math.pi * chance("angle", *key)))


def split(total: int, weights: list[float]) -> list[int]:
    """Whole parts of a total, in proportion to the weights, that add up to it exactly."""
    whole = sum(weights)
    if not weights or whole <= 0:
        return [0] * len(weights)
    parts = []
    passed = 0.0
    given = 0
    for weight in weights:
        passed += weight
        upto = round(total * min(1.0, passed / whole))
        parts.append(upto - given)
        given = upto
    parts[-1] += total - given
    return parts
