"""`coopdeck stop`."""

import argparse
from pathlib import Path

from runner.commands.asking import ask
from runner.commands.sweeps import the_sweep
from runner.model.commands import Stop
from runner.model.hidden import plain


def execute(options: argparse.Namespace) -> int:
    """With `--now`, returns when the runner has ended; 1 if that was not seen."""
    sweep = the_sweep(options.sweep, Path.cwd())
    replies = ask(sweep, lambda _: [Stop("now" if options.now else "drain")], until_over=options.now)
    for reply in replies:
        print(plain(reply.says))
    return 0 if all(reply.ok for reply in replies) else 1
