"""`coopdeck report`."""

import argparse
import json
import time
from pathlib import Path

from runner.adapters.evaluations import with_evaluations
from runner.commands.lines import plain
from runner.commands.sweeps import the_sweep
from runner.model.summary import summarise, table


def execute(options: argparse.Namespace) -> int:
    """The numbers of a sweep, at any time."""
    summary = summarise(with_evaluations(the_sweep(options.sweep, Path.cwd()).board()), time.time())
    if options.json:
        print(json.dumps(summary.to_json()))
    else:
        print("\n".join(plain(line) for line in table(summary).splitlines()))
    return 0
