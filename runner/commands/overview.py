"""`coopdeck` alone: the dashboard of the sweep that runs, the list of all, or first contact."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from runner.commands.first_contact import execute as execute_first
from runner.commands.first_contact import nothing_set_up
from runner.commands.sweeps import known_sweeps


def execute(options: argparse.Namespace) -> int:
    """Without a terminal, or without any sweep, the list is that of `coopdeck ls`."""
    root = Path.cwd()
    sweeps = known_sweeps(root)
    running = [sweep for sweep in sweeps if sweep.pid is not None]
    if len(running) == 1:
        return _call("attach", running[0].name)
    if not running and nothing_set_up(root):
        return execute_first(root)
    if not sweeps or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _call("ls", None)
    from runner.commands.dashboard import choose

    chosen = choose(sweeps)
    return 0 if chosen is None else _call("attach", chosen)


def _call(command: str, sweep: str | None) -> int:
    status: int = import_module(f"runner.commands.{command}").execute(argparse.Namespace(sweep=sweep, json=None))
    return status
