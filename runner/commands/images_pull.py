"""`coopdeck images pull`: the missing ones, a few at once, with a forecast before."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from runner.adapters.docker_engine import Engine, connect
from runner.adapters.dotenv_file import project_environment
from runner.adapters.images import UNPACKED, Connection, Patience, Puller, free_bytes, look
from runner.adapters.registry import registry_sizes
from runner.commands.images_needed import images_of
from runner.commands.images_show import Show
from runner.commands.planning import selected_pairs
from runner.model.hidden import plain
from runner.model.refusal import PreflightRefused
from runner.model.sizes import size
from runner.model.supplies import Supply, short_image

SIZES_S = 6.0
TYPICAL_BYTES = 1_200_000_000
"""Over the network, for an image whose size no registry tells."""
PATIENCE = Patience(tries=6, every_s=0.2)


def execute(options: argparse.Namespace) -> int:
    """0 when all are here in the end, 1 when some could not be got."""
    root = Path.cwd()
    needed, engine = images_of(selected_pairs(options, root)), connect(project_environment(root))
    here = look(engine, needed)
    missing = [name for name in needed if name not in here]
    sizes = registry_sizes(engine, missing, within_s=SIZES_S) if missing else {}
    show = Show(len(needed), len(here), as_json=bool(options.json))
    for line in _forecast(engine, needed, missing, sizes):
        show.say(line)
    fetch = _fetch_bytes(missing, sizes)
    room = free_bytes(engine)
    if missing and room is not None and fetch * UNPACKED > room and not options.yes:
        raise PreflightRefused(
            f"about {size(fetch * UNPACKED)} of images would come to a disk with {size(room)} free "
            f"({engine.root_dir}); make room (coopdeck images prune, docker system df), or pull all the same with --yes"
        )
    engine.close()
    if not missing:
        return 0
    try:
        failed = anyio.run(_pull_all, missing, sizes, show)
    except KeyboardInterrupt:
        show.end()
        show.say("interrupted: the images that have come stay, the next pull gets the rest")
        raise
    show.end()
    for supply in failed:
        print(plain(f"{short_image(supply.name)}: {supply.says}"), file=sys.stderr)
    show.say(
        f"{len(needed) - len(failed)} of {len(needed)} images are here" + (f", {len(failed)} failed" if failed else "")
    )
    return 1 if failed else 0


async def _pull_all(names: Sequence[str], sizes: Mapping[str, int], show: Show) -> list[Supply]:
    """Those that could not be got."""
    connection = Connection(lambda: connect(project_environment(Path.cwd())))
    puller, ends = Puller(connection, PATIENCE, sizes=sizes), dict[str, Supply]()

    async def get(name: str) -> None:
        ends[name] = await puller.get(name, show.told)

    async with anyio.create_task_group() as pulls:
        pulls.start_soon(show.draw_for_ever)
        async with anyio.create_task_group() as each:
            for name in names:
                each.start_soon(get, name)
        pulls.cancel_scope.cancel()
    connection.close()
    return [supply for supply in ends.values() if supply.state != "there"]


def _fetch_bytes(missing: Sequence[str], sizes: Mapping[str, int]) -> float:
    told = [sizes[name] for name in missing if name in sizes]
    typical = sum(told) / len(told) if told else TYPICAL_BYTES
    return sum(sizes.get(name, typical) for name in missing)


def _forecast(engine: Engine, needed: Mapping[str, int], missing: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    if not missing:
        return [f"all {len(needed)} images are here already"]
    fetch = _fetch_bytes(missing, sizes)
    known = sum(name in sizes for name in missing)
    source = "as the registry tells" if known == len(missing) else "an estimate"
    room = free_bytes(engine)
    free = "" if room is None else f"; {size(room)} free where images live"
    return [
        f"{len(missing)} of {len(needed)} images are missing: about {size(fetch)} to fetch ({source})",
        f"about {size(fetch * UNPACKED)} on disk, less where they share layers{free}",
    ]
