"""Which images jobs need, and refusing a sweep that may not get those that are missing."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import anyio

from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.docker_engine import EngineAway, connect
from runner.adapters.dotenv_file import project_environment
from runner.adapters.images import look
from runner.adapters.places import Places
from runner.model.ids import PairId
from runner.model.plan import JobSpec, Plan
from runner.model.refusal import PreflightRefused
from runner.model.supplies import image_name, short_image

NAMED = 3


def images_of(pairs: Iterable[PairId]) -> dict[str, int]:
    """The images of these pairs in their order, each with the number of pairs that need it."""
    counts: dict[str, int] = {}
    for pair in pairs:
        name = image_name(pair.repo, pair.task)
        counts[name] = counts.get(name, 0) + 1
    return counts


def check_images(places: Places, plan: Plan, jobs: tuple[JobSpec, ...]) -> None:
    """With --no-pull, every image of a job without a result must be here. Raises PreflightRefused."""
    if plan.pull or plan.rehearsal is not None or plan.backend != "docker":
        return
    names = images_of(job.pair for job in anyio.run(_to_run, places.root, plan, jobs))
    try:
        with closing(connect(project_environment(places.root))) as engine:
            here = look(engine, names)
    except EngineAway as away:
        raise PreflightRefused(str(away)) from None
    missing = [short_image(name) for name in names if name not in here]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise PreflightRefused(
            f"{len(missing)} of {len(names)} images are not here ({', '.join(missing[:NAMED])}{more}), and --no-pull "
            "forbids getting them: run coopdeck images pull for the same pairs, or leave --no-pull out"
        )


async def _to_run(root: Path, plan: Plan, jobs: tuple[JobSpec, ...]) -> list[JobSpec]:
    files = CooperbenchFiles(root)
    return [job for job in jobs if plan.force or await files.delivered(plan, job) is None]
