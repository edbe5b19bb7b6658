"""What a sweep was asked to do: its plan and its jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runner.model.ids import JobId, PairId
from runner.model.prices import Price

STALL_S = 600.0
AGENT = "mini_swe_agent_v2"
"""Upstream's, unless another is asked for."""

OWN_REDIS = "own"
"""As a plan's `redis`: one of the sweep's own, whatever else answers on the machine."""

Launch = Literal["auto", "warm", "cli"]
"""How attempts start: forked from a process that has imported cooperbench, by its plain command, or as it can be."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A sweep against the built-in double: how fast, which seed, which attempts fail how."""

    speed: float = 60.0
    """Recorded seconds that pass in one real second."""
    seed: int = 0
    faults: str | None = None
    """Absolute path of a fault plan."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """One job of a setting, in recorded seconds and USD."""

    duration_s: float
    cost_usd: float
    cost_sd: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that holds for all jobs of a sweep. Paths are absolute; never a secret in here."""

    sweep: str
    program: tuple[str, ...]
    """The command that is `cooperbench`, without its arguments."""
    logs_dir: str
    settings: tuple[str, ...]
    models: tuple[str, ...]
    agent: str
    slots: int = 4
    attempts: int = 3
    """How often a job may be tried when the infrastructure fails, the first time included."""
    timeout_s: float = 3600.0
    budget_usd: float | None = None
    git: bool = False
    backend: str = "docker"
    redis: str | None = None
    """Its URL, or OWN_REDIS; None: one that is at hand, else one of the sweep's own."""
    agent_config: str | None = None
    dataset_dir: str | None = None
    extra: tuple[str, ...] = ()
    """Arguments that go to upstream's `run` as they are."""
    rehearsal: Rehearsal | None = None
    evaluate: bool = False
    """Upstream evaluates each result at the end of its attempt."""
    pull: bool = True
    """Whether images that are not here may be got."""
    force: bool = False
    """A result that is there already does not count."""
    launcher: Launch = "auto"
    prior: Mapping[str, Expectation] = field(default_factory=dict)
    """By setting, the means of runs recorded earlier: what to expect before anything is measured."""
    stall_s: float = STALL_S
    """When nothing has moved for so many recorded seconds, a job counts as stuck."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """The user's own, by model, for calls that upstream cannot price."""

    @property
    def speed(self) -> float:
        """Recorded seconds per real second; 1 for a real sweep."""
        return self.rehearsal.speed if self.rehearsal else 1.0


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One pair in one setting with one model; `repeat` counts from 1."""

    id: JobId
    setting: str
    run_name: str
    """Upstream's `-n`: the folder under the logs folder."""
    pair: PairId
    model: str
    repeat: int = 1
