"""`coopdeck images prune`: shows what it would free, asks, and removes images that no running sweep needs."""

import argparse
import json
import sys
from pathlib import Path

from runner.adapters.docker_engine import Engine, EngineAway, connect, why_away
from runner.adapters.dotenv_file import project_environment
from runner.adapters.image_check import clear
from runner.adapters.images import Image, ours
from runner.adapters.listeners import runners
from runner.commands.images_needed import images_of
from runner.commands.planning import selected_pairs
from runner.commands.sweeps import known_sweeps
from runner.commands.yes import asked, at_terminal
from runner.model.hidden import plain
from runner.model.refusal import UsageRefused
from runner.model.sizes import size
from runner.model.supplies import image_name, short_image

SELECTION = ("subset", "repo", "task", "pairs", "smoke")


def execute(options: argparse.Namespace) -> int:
    """0 when what was to be removed is gone, else 1. Without flags that select pairs: all of cooperbench's."""
    root = Path.cwd()
    engine = connect(project_environment(root))
    clear(engine)
    roots = _roots(root)
    found, busy, used = ours(engine), {name for one in roots for name in _needed_now(one)}, _in_use(engine)
    if any(options.given.get(name) == "flag" for name in SELECTION):
        selected = images_of(selected_pairs(options, root))
        found = [image for image in found if image.name in selected]
    found.sort(key=lambda image: image.name)
    idle = [image for image in found if image.name not in busy and image.id not in used]
    kept = len(found) - len(idle)
    freed = sum({image.id: image.bytes for image in idle}.values())
    if not options.json:
        print(plain(f"what running sweeps need stays; looked at: {', '.join(map(str, roots))}"))
        for image in idle:
            print(plain(f"  {short_image(image.name)}  {size(image.bytes)}"))
        print(
            f"{len(idle)} images, at most {size(freed)}"
            + (f"; {kept} stay: a running sweep or a container needs them" if kept else "")
        )
    remove = bool(idle) and (options.yes or (not options.json and asked("remove them?")))
    problems = [problem for image in idle if (problem := _remove(engine, image))] if remove else []
    if options.json:
        shape = {"type": "prune", "images": [image.name for image in idle], "bytes": freed, "kept": kept}
        shape["folders"] = [str(one) for one in roots]
        print(json.dumps(shape | {"removed": remove, "problems": problems}))
    elif idle and not remove:
        print("nothing was removed" if at_terminal() else "nothing was removed; --yes removes them without asking")
    for problem in problems:
        print(plain(problem), file=sys.stderr)
    if remove and not options.json:
        print(f"removed {len(idle) - len(problems)} images")
    return 1 if problems else 0


def _roots(root: Path) -> list[Path]:
    """This folder, and those of this user's other runners. Raises UsageRefused where one's cannot be told."""
    found = {root}
    for pid, folder in runners():
        if folder is None or not folder.is_dir():
            raise UsageRefused(f"nobody can tell which images the runner with process {pid} needs; let it end first")
        found.add(folder)
    return sorted(found, key=lambda one: (one != root, one))


def _in_use(engine: Engine) -> set[str]:
    """The ids of images that have a container, whoever made it. Raises EngineAway."""
    import docker
    import requests

    try:
        return {str(one.get("ImageID")) for one in engine.api.containers(all=True)}
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineAway(why_away(error, engine.host)) from None


def _needed_now(root: Path) -> set[str]:
    """The images of the unfinished jobs of sweeps that have a runner."""
    names: set[str] = set()
    for sweep in known_sweeps(root):
        if sweep.pid is None:
            continue
        try:
            board = sweep.board()
        except UsageRefused:
            continue
        pairs = (row.spec.pair for row in board.jobs.values() if not row.settled)
        names |= {image_name(pair.repo, pair.task) for pair in pairs}
    return names


def _remove(engine: Engine, image: Image) -> str:
    """What kept it from being removed; empty when it is gone."""
    import docker
    import requests

    try:
        engine.api.remove_image(image.name)
    except docker.errors.ImageNotFound:
        return ""
    except docker.errors.APIError as error:
        return f"{short_image(image.name)} stays: {error.explanation or error}"
    except (requests.RequestException, OSError) as error:
        raise EngineAway(str(error)) from None
    return ""
