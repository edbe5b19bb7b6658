"""`coopdeck attach`: the dashboard of a sweep, running or over."""

import argparse
from pathlib import Path

from runner.commands.dashboard import show
from runner.commands.sweeps import the_sweep


def execute(options: argparse.Namespace) -> int:
    """Exit status as for `run`."""
    sweep = the_sweep(options.sweep, Path.cwd())
    return show(sweep.places, sweep.name)
