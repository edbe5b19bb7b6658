"""`coopdeck retry`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.commands.asking import ask
from runner.commands.lines import plain
from runner.commands.sweeps import rows_of_pair, the_sweep
from runner.model.board import Board
from runner.model.commands import Command, Retry, RetryFailed
from runner.model.refusal import UsageRefused


def execute(options: argparse.Namespace) -> int:
    """Queue what failed again: all of it, or one pair in every setting."""
    sweep = the_sweep(options.sweep, Path.cwd())
    replies = ask(sweep, lambda board: _commands(board, options.pair))
    for reply in replies:
        print(plain(reply.says))
    return 0 if all(reply.ok for reply in replies) else 1


def _commands(board: Board, pair: str | None) -> Sequence[Command]:
    if pair is None:
        return [RetryFailed()]
    rows = rows_of_pair(board, pair)
    again = [row for row in rows if row.state in {"failed", "cancelled"}]
    if not again:
        states = ", ".join(f"{row.spec.setting} is {row.state}" for row in rows)
        raise UsageRefused(f"no job of '{pair}' has failed: {states}")
    return [Retry(row.spec.id) for row in again]
