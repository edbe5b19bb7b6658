"""The jobs of a sweep in the order they are started, and the names they go by."""

import re
from collections.abc import Sequence

from runner.model.hidden import plain
from runner.model.ids import PairId, job_id, slug
from runner.model.plan import JobSpec
from runner.model.refusal import UsageRefused
from runner.model.selection import closest
from runner.model.settings import SETTINGS

NAME_LIMIT = 80


def make_jobs(
    sweep: str, settings: Sequence[str], pairs: Sequence[PairId], models: Sequence[str], repeats: int = 1
) -> tuple[JobSpec, ...]:
    """One queue over all settings: the first setting's pairs, then the next one's."""
    slugs = {model: slug(model) if len(models) > 1 else "" for model in models}
    jobs = []
    for setting in settings:
        for model in models:
            run = "-".join(part for part in (sweep, slugs[model], setting) if part)
            jobs += [
                JobSpec(
                    id=job_id(setting, pair, model_slug=slugs[model], repeat=repeat),
                    setting=setting,
                    run_name=run if repeat == 1 else f"{run}-r{repeat}",
                    pair=pair,
                    model=model,
                    repeat=repeat,
                )
                for pair in pairs
                for repeat in range(1, repeats + 1)
            ]
    return tuple(jobs)


def check_settings(settings: Sequence[str]) -> tuple[str, ...]:
    """Each once, in the order given. Raises UsageRefused for a name that is none."""
    if not settings:
        raise UsageRefused(f"--settings names no setting; there is {', '.join(SETTINGS)}")
    for setting in settings:
        if setting not in SETTINGS:
            raise UsageRefused(f"there is no setting '{setting}'; {closest(setting, list(SETTINGS))}")
    return tuple(dict.fromkeys(settings))


def check_models(models: Sequence[str]) -> tuple[str, ...]:
    """Each once. Raises UsageRefused for what is no model's name, and for two that would share a folder."""
    slugs: dict[str, str] = {}
    for model in dict.fromkeys(models):
        name = slug(model)
        if not name or not model.isprintable() or model.startswith("-") or " " in model:
            raise UsageRefused(f"{model!r} is not a model's name; write it as litellm does, like openai/gpt-4o")
        if name in slugs:
            raise UsageRefused(f"the models '{slugs[name]}' and '{model}' would share the folder name '{name}'")
        slugs[name] = model
    return tuple(slugs.values())


def check_sweep_name(name: str) -> str:
    """The name, if it is safe as the name of a folder and of a run.

    Raises:
        UsageRefused: it is not.
    """
    if len(name) > NAME_LIMIT:
        raise UsageRefused(f"a sweep's name has at most {NAME_LIMIT} characters, and this one has {len(name)}")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) or ".." in name:
        shown = plain(name)
        raise UsageRefused(
            f"'{shown}' cannot be a sweep's name: use letters, digits and . _ - in it, and begin with a letter or digit"
        )
    return name


def default_sweep_name(
    models: Sequence[str],
    *,
    subset: str | None = None,
    repos: Sequence[str] = (),
    task: int | None = None,
    pairs: Sequence[PairId] = (),
    smoke: int | None = None,
    rehearsal: bool = False,
) -> str:
    """A name that tells the sweep from others: `gpt-4o-lite-smoke5`. `pairs` are those named one by one."""
    parts = [slug(model.rpartition("/")[2]) for model in models[:2]]
    if len(models) > 2:
        parts = [parts[0], "and", str(len(models) - 1), "more"]
    if subset is not None:
        parts.append(re.sub(r"[^A-Za-z0-9._-]+", "-", subset))
    if len(pairs) == 1:
        parts += [slug(pairs[0].repo.removesuffix("_task")), str(pairs[0].task), pairs[0].folder]
    elif pairs:
        parts.append(f"{len(pairs)}-pairs")
    else:
        parts += [slug(repo.removesuffix("_task")) for repo in repos[:3]]
        parts += [str(task)] if task is not None else []
    if smoke is not None:
        parts.append(f"smoke{smoke}")
    if rehearsal:
        # Never under the name of a real sweep: what it leaves in the logs folder is made up.
        parts.append("rehearsal")
    return check_sweep_name("-".join(part for part in parts if part)[-NAME_LIMIT:].lstrip("-."))
