"""`coopdeck logs`."""

import argparse
from pathlib import Path

from runner.adapters.processes import LOG_NAME
from runner.commands.sweeps import rows_of_pair, the_sweep
from runner.model.refusal import UsageRefused


def execute(options: argparse.Namespace) -> int:
    """The path of every attempt's log, the latest of each job last: for `tail -f` and `less`."""
    sweep = the_sweep(options.sweep, Path.cwd())
    rows = rows_of_pair(sweep.planned_board(), options.pair)
    paths = [sweep.folder / attempt.folder / LOG_NAME for row in rows for attempt in row.attempts]
    if not paths:
        raise UsageRefused(f"no attempt of '{options.pair}' has started yet")
    for path in paths:
        print(path)
    return 0
