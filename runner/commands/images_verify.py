"""`coopdeck images verify`: looks into each image in a throw-away container, and remembers what it found."""

import argparse
import json
import signal
from contextlib import suppress
from pathlib import Path

import anyio

from runner.adapters.docker_engine import Engine, connect
from runner.adapters.dotenv_file import project_environment
from runner.adapters.image_check import Verdict, Verdicts, check, clear
from runner.adapters.images import Image, in_thread, look, verdicts_path
from runner.adapters.places import Places
from runner.commands.images import image_shape
from runner.commands.images_needed import images_of
from runner.commands.planning import selected_pairs
from runner.model.hidden import plain
from runner.model.supplies import short_image

CHECKS_AT_ONCE = 2


def execute(options: argparse.Namespace) -> int:
    """0 when all are here and good, else 1."""
    root = Path.cwd()
    needed, engine = images_of(selected_pairs(options, root)), connect(project_environment(root))
    clear(engine)
    verdicts = Verdicts(verdicts_path(Places(root).state))
    # As any end: what a check has made is removed on the way out.
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    bad = anyio.run(_verify_all, engine, list(needed), verdicts, options)
    engine.close()
    return 1 if bad else 0


async def _verify_all(engine: Engine, names: list[str], verdicts: Verdicts, options: argparse.Namespace) -> int:
    """How many are missing or bad."""
    here, known = look(engine, names), verdicts.all()
    width, bad = max(map(len, map(short_image, names)), default=0), 0
    turns = anyio.Semaphore(CHECKS_AT_ONCE)

    def tell(name: str, says: str, verdict: Verdict | None) -> None:
        nonlocal bad
        bad += verdict is None or not verdict.good
        if options.json:
            image = here.get(name)
            print(json.dumps(image_shape(name, image, {image.id: verdict} if image and verdict else {})), flush=True)
        else:
            print(plain(f"  {short_image(name):{width}}  {says}"), flush=True)

    async def one(name: str, image: Image) -> None:
        async with turns:
            with anyio.CancelScope(shield=True):  # a check takes seconds, and removes its container at its end
                verdict = await in_thread(lambda: check(engine, name, image.id))
            verdicts.remember(image.id, verdict)
            tell(name, "verified" if verdict.good else f"BAD: {verdict.says}", verdict)

    async with anyio.create_task_group() as checks:
        for name in names:
            image = here.get(name)
            verdict = known.get(image.id) if image else None
            if image is None:
                tell(name, "missing", None)
            elif verdict is not None and verdict.good and not options.again:
                tell(name, "verified before", verdict)
            else:
                checks.start_soon(one, name, image)
    if not options.json:
        print(f"{len(names) - bad} of {len(names)} images are good" + (f", {bad} bad or missing" if bad else ""))
    return bad
