"""What a job needs of the machine beyond a slot: its image, a Redis, the git server. Pure, and constant in time."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from runner.model.outcome import FailureClass, Outcome
from runner.model.plan import JobSpec, Plan
from runner.model.settings import SETTINGS

if TYPE_CHECKING:
    from runner.model.board import Board

SupplyKind = Literal["image", "redis", "git"]
SupplyState = Literal["unknown", "getting", "there", "failed", "down"]
"""`failed` is for good: jobs that need it end so, until somebody asks again. `down` passes: they wait."""
SupplyKey = tuple[SupplyKind, str]

_CLASSES: dict[SupplyKind, FailureClass] = {"image": "image", "redis": "redis", "git": "docker"}


@dataclass(frozen=True, slots=True)
class Supply:
    """One thing that jobs need, and how it stands."""

    kind: SupplyKind
    name: str = ""
    """An image's; empty where there is but one of its kind."""
    state: SupplyState = "unknown"
    says: str = ""
    """What is being done, or what is wrong and how to mend it, in a line."""
    done_bytes: int = 0
    total_bytes: int = 0
    """0 while it is not known."""
    address: str = ""
    """Where jobs find it; empty for what is not on the network."""

    @property
    def key(self) -> SupplyKey:
        return self.kind, self.name

    @property
    def percent(self) -> int | None:
        return min(100, 100 * self.done_bytes // self.total_bytes) if self.total_bytes > 0 else None

    @property
    def label(self) -> str:
        """For people: `image pallets-jinja:task1621`, `Redis`, `git server`."""
        if self.kind == "image":
            return f"image {short_image(self.name)}"
        return {"redis": "Redis", "git": "git server"}[self.kind]

    @property
    def line(self) -> str:
        """How it stands, for a cell: `image pallets-jinja:task1621: pulling 40%`."""
        percent = f" {self.percent}%" if self.state == "getting" and self.percent is not None else ""
        says = self.says or {"unknown": "not looked at yet", "getting": "on its way"}.get(self.state, self.state)
        head, comma, rest = says.partition(",")
        return f"{self.label}: {head}{percent}{comma}{rest}"


def image_name(repo: str, task: int) -> str:
    """As upstream names a task's image (its `utils.get_image_name`)."""
    return f"akhatua/cooperbench-{repo.removesuffix('_task').replace('_', '-')}:task{task}"


def short_image(name: str) -> str:
    """Without what all of them begin with."""
    return name.rpartition("/")[2].removeprefix("cooperbench-")


def needed(plan: Plan, spec: JobSpec) -> tuple[SupplyKey, ...]:
    """What this job needs; a rehearsal needs nothing."""
    if plan.rehearsal is not None:
        return ()
    setting = SETTINGS.get(spec.setting)
    keys: list[SupplyKey] = []
    if plan.backend == "docker":
        keys.append(("image", image_name(spec.pair.repo, spec.pair.task)))
    if setting is not None and setting.needs_redis:
        keys.append(("redis", ""))
    if setting is not None and setting.takes_git and plan.git:
        keys.append(("git", ""))
    return tuple(keys)


def supplied(plan: Plan, board: "Board") -> Plan:
    """The plan for a job that is to start now: with the address of the Redis that is there."""
    redis = board.supplies.get(("redis", ""))
    return plan if redis is None or not redis.address else replace(plan, redis=redis.address)


def lacking(board: "Board", spec: JobSpec) -> Supply | None:
    """What the job has to wait for, if anything. What nobody watches over is not waited for."""
    if board.plan is None or not board.supplies:
        return None
    for key in needed(board.plan, spec):
        supply = board.supplies.get(key)
        if supply is not None and supply.state != "there":
            return supply
    return None


def without_it(supply: Supply) -> Outcome:
    """What a job ends in that needs a supply which failed for good; no attempt was made."""
    return Outcome(_CLASSES[supply.kind], "", supply.says or supply.line, 0.0)


def waiting(board: "Board") -> list[tuple[Supply, int]]:
    """What jobs wait for now, and how many of them; looks at every job."""
    counts: dict[SupplyKey, int] = {}
    for row in board.jobs.values():
        if row.state in {"queued", "retrying"} and (supply := lacking(board, row.spec)) is not None:
            counts[supply.key] = counts.get(supply.key, 0) + 1
    return [(board.supplies[key], counts[key]) for key in sorted(counts)]
