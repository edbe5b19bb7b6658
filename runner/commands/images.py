"""`coopdeck images`: what Docker images a selection needs; the rest of it is a file a verb."""

import argparse
import json
import shlex
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from runner.adapters.dataset import read_dataset
from runner.adapters.docker_engine import EngineAway, connect
from runner.adapters.dotenv_file import project_environment
from runner.adapters.image_check import Verdict, Verdicts
from runner.adapters.images import Image, free_bytes, look, verdicts_path
from runner.adapters.places import Places, absolute
from runner.commands.images_needed import images_of
from runner.commands.images_show import age
from runner.commands.planning import selected_pairs
from runner.model.hidden import plain
from runner.model.refusal import PreflightRefused
from runner.model.selection import USUAL, usual_subset
from runner.model.sizes import size
from runner.model.supplies import short_image


def execute(options: argparse.Namespace) -> int:
    """Exit status 0 when every image is as it should be, 1 when one is not, 3 when Docker cannot be used."""
    if not any((options.subset, options.repo, options.task is not None, options.pairs, options.smoke)):
        dataset = absolute(Path.cwd(), options.dataset_dir) if options.dataset_dir is not None else None
        options.subset = usual_subset(read_dataset(dataset))
    try:
        if options.what == "list":
            return _list(options, Path.cwd())
        status: int = import_module(f"runner.commands.images_{options.what}").execute(options)
        return status
    except* EngineAway as group:
        # Wrapped by task groups, or not.
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise PreflightRefused(str(first)) from None
    return 1


def _list(options: argparse.Namespace, root: Path) -> int:
    needed, engine = images_of(selected_pairs(options, root)), connect(project_environment(root))
    here, verdicts = look(engine, needed), Verdicts(verdicts_path(Places(root).state)).all()
    room, missing = free_bytes(engine), [name for name in needed if name not in here]
    if options.json:
        for name, pairs in needed.items():
            print(json.dumps(image_shape(name, here.get(name), verdicts) | {"pairs": pairs}))
        total = {"type": "images", "images": len(needed), "present": len(here), "missing": len(missing)}
        stored = sum(image.bytes for image in here.values())
        print(json.dumps(total | {"bytes": stored, "free_bytes": room, "engine": engine.host}))
        return 0
    print(plain(f"{len(needed)} images for {sum(needed.values())} pairs; Docker {engine.version} at {engine.host}"))
    width = max(map(len, map(short_image, needed)), default=0)
    for name in needed:
        print(plain(f"  {short_image(name):{width}}  {_state(here.get(name), verdicts)}"))
    stored = sum(image.bytes for image in here.values())
    free = "" if room is None else f"; {size(room)} free where images live"
    there = f"{len(here)} here ({size(stored)}, less where they share layers)" if here else "none is here"
    print(f"{there}, {len(missing)} missing{free}")
    if missing:
        print(f"get what is missing with: coopdeck images pull{_flags(options)}")
    return 0


def _state(image: Image | None, verdicts: Mapping[str, Verdict]) -> str:
    if image is None:
        return "missing"
    verdict = verdicts.get(image.id)
    judged = "not verified" if verdict is None else "verified" if verdict.good else f"BAD: {verdict.says}"
    return f"here  {size(image.bytes):>8}  {age(time.time() - image.made_at):>5}  {judged}"


def image_shape(name: str, image: Image | None, verdicts: Mapping[str, Verdict]) -> dict[str, object]:
    verdict = verdicts.get(image.id) if image else None
    return {
        "type": "image",
        "name": name,
        "present": image is not None,
        "id": image.id if image else None,
        "bytes": image.bytes if image else None,
        "made_at": image.made_at if image else None,
        "verified": verdict.good if verdict else None,
        "says": verdict.says if verdict else "",
    }


def _flags(options: argparse.Namespace) -> str:
    """What was selected, for a command that is to be copied."""
    given = [f" --repo {repo}" for repo in options.repo] + [f" --pairs {shlex.quote(pairs)}" for pairs in options.pairs]
    named = (("subset", options.subset), ("task", options.task), ("smoke", options.smoke))
    given += [f" --{name} {value}" for name, value in named if value is not None and (name, value) != ("subset", USUAL)]
    return "".join(given) + (f" --dataset-dir {shlex.quote(options.dataset_dir)}" if options.dataset_dir else "")
