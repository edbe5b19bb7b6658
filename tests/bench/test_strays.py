"""CPU of a look for left processes among 8 running attempts, against one reading of every process's environment."""

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runner.adapters.processes import ProcessLauncher
from runner.adapters.strays import carriers
from runner.engine.ports import LaunchOrder

pytestmark = pytest.mark.bench

ATTEMPTS = 8
LOOKS = 200


def test_a_look_costs_less_than_one_through_the_machine(tmp_path: Path) -> None:
    look, everywhere = anyio.run(_measure, tmp_path)
    print(
        f"\na look at {ATTEMPTS} running attempts: {look * 1e6:.0f} us of CPU; at every process of the machine: "
        f"{everywhere * 1e6:.0f} us; ratio {everywhere / look:.1f}"
    )
    assert look < everywhere


async def _measure(folder: Path) -> tuple[float, float]:
    launcher = ProcessLauncher()
    running = [await launcher.start(_order(folder / str(number))) for number in range(ATTEMPTS)]
    began = time.process_time()
    for _ in range(LOOKS):
        await launcher.end_strays({"t1"})
    look = (time.process_time() - began) / LOOKS
    everywhere = _cpu(lambda: carriers({"t1"}))
    for one in running:
        await one.end(0)
    return look, everywhere


def _order(folder: Path) -> LaunchOrder:
    folder.mkdir()
    return LaunchOrder(("sleep", "60"), {"PATH": "/usr/bin:/bin", "COOPDECK_TOKEN": folder.name}, folder, folder)


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(LOOKS):
        work()
    return (time.process_time() - began) / LOOKS
