"""`coopdeck` alone: the dashboard of the sweep that runs, or the list of all."""

import argparse
from importlib import import_module
from pathlib import Path

from runner.commands.sweeps import known_sweeps


def execute(options: argparse.Namespace) -> int:
    running = [sweep for sweep in known_sweeps(Path.cwd()) if sweep.pid is not None]
    if len(running) == 1:
        status: int = import_module("runner.commands.attach").execute(argparse.Namespace(sweep=running[0].name))
        return status
    status = import_module("runner.commands.ls").execute(argparse.Namespace(json=None))
    return status
