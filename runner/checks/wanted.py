"""What a sweep would need: of this the machine is checked."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runner.adapters.cooperbench import DEFAULTS
from runner.adapters.dotenv_file import project_environment
from runner.model.ids import PairId
from runner.model.plan import AGENT, JobSpec, Plan
from runner.model.settings import SETTINGS


@dataclass(frozen=True, slots=True)
class Wanted:
    """A sweep as the checks see it: one that is about to start, or one that somebody only thinks of."""

    root: Path
    program: str | None = None
    """The `cooperbench` that was named; None for the project's own."""
    models: tuple[str, ...] = ()
    agent: str = AGENT
    agent_config: str | None = None
    pairs: tuple[PairId, ...] = ()
    settings: tuple[str, ...] = ()
    slots: int = 4
    backend: str = "docker"
    dataset_dir: str | None = None
    logs_dir: str | None = None
    redis: str | None = None
    git: bool = False
    extra: tuple[str, ...] = ()
    ping: bool = True
    priced: frozenset[str] = frozenset()
    """Models whose prices the project's settings give."""
    caller: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def needs_redis(self) -> bool:
        return any(SETTINGS[setting].needs_redis for setting in self.settings)

    @property
    def needs_git(self) -> bool:
        return self.git and any(SETTINGS[setting].takes_git for setting in self.settings)

    def environment(self) -> dict[str, str]:
        """What the agents will get, before upstream adds to it."""
        return DEFAULTS | project_environment(self.root, self.caller) | self._base_url()

    def _base_url(self) -> dict[str, str]:
        """Upstream's own flag for another address of Anthropic's sets a variable."""
        flag = "--base-url"
        for index, argument in enumerate(self.extra):
            if argument == flag and index + 1 < len(self.extra):
                return {"ANTHROPIC_BASE_URL": self.extra[index + 1]}
            if argument.startswith(f"{flag}="):
                return {"ANTHROPIC_BASE_URL": argument.partition("=")[2]}
        return {}


def wanted_by(plan: Plan, jobs: tuple[JobSpec, ...], root: Path, *, ping: bool) -> Wanted:
    """What a planned sweep needs for these jobs."""
    return Wanted(
        root=root,
        program=plan.program[0],
        models=tuple(dict.fromkeys(job.model for job in jobs)),
        agent=plan.agent,
        agent_config=plan.agent_config,
        pairs=tuple(dict.fromkeys(job.pair for job in jobs)),
        settings=tuple(dict.fromkeys(job.setting for job in jobs)),
        slots=plan.slots,
        backend=plan.backend,
        dataset_dir=plan.dataset_dir,
        logs_dir=plan.logs_dir,
        redis=plan.redis,
        git=plan.git,
        extra=plan.extra,
        ping=ping,
        priced=frozenset(plan.prices),
    )
