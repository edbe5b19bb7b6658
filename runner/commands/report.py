"""`coopdeck report`."""

import argparse
import json
from pathlib import Path

from runner.adapters.evaluations import with_evaluations
from runner.commands.sweeps import the_sweep
from runner.model.hidden import plain
from runner.model.summary import summarise, table


def execute(options: argparse.Namespace) -> int:
    """The numbers of a sweep, at any time."""
    sweep = the_sweep(options.sweep, Path.cwd())
    board = sweep.planned_board()
    summary = summarise(with_evaluations(board), sweep.now(board))
    if options.json:
        print(json.dumps(summary.to_json()))
    else:
        print("\n".join(plain(line) for line in table(summary).splitlines()))
    return 0
