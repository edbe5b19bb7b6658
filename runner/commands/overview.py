"""`coopdeck` alone: the dashboard of the sweep that runs, or the list of all."""

import argparse
from importlib import import_module
from pathlib import Path

from runner.commands.sweeps import known_sweeps


def execute(options: argparse.Namespace) -> int:
    running = [sweep for sweep in known_sweeps(Path.cwd()) if sweep.pid is not None]
    name, sweep = ("attach", running[0].name) if len(running) == 1 else ("ls", None)
    status: int = import_module(f"runner.commands.{name}").execute(argparse.Namespace(sweep=sweep, json=None))
    return status
