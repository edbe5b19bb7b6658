"""`coopdeck retry`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.commands.asking import ask
from runner.commands.sweeps import rows_of_pair, the_sweep
from runner.model.board import Board
from runner.model.commands import Command, Requeue, Retry, RetryFailed
from runner.model.hidden import plain
from runner.model.refusal import UsageRefused
from runner.model.rows import JobRow


def execute(options: argparse.Namespace) -> int:
    """Queue what failed again, all of it or one pair in every setting; or end what runs of a pair, to try it again."""
    if options.running and options.pair is None:
        raise UsageRefused("--running ends attempts of one pair: name it with --pair")
    sweep = the_sweep(options.sweep, Path.cwd())
    replies = ask(sweep, lambda board: _commands(board, options.pair, running=options.running))
    for reply in replies:
        print(plain(reply.says))
    return 0 if all(reply.ok for reply in replies) else 1


def _commands(board: Board, pair: str | None, *, running: bool) -> Sequence[Command]:
    if pair is None:
        return [RetryFailed()]
    rows = rows_of_pair(board, pair)
    if running:
        up = [row for row in rows if row.running is not None]
        if not up:
            raise UsageRefused(f"no job of '{pair}' is running: {_states(rows)}")
        return [Requeue(row.spec.id) for row in up]
    again = [row for row in rows if row.state in {"failed", "cancelled"}]
    if not again:
        raise UsageRefused(f"no job of '{pair}' has failed: {_states(rows)}")
    return [Retry(row.spec.id) for row in again]


def _states(rows: Sequence[JobRow]) -> str:
    return ", ".join(f"{row.spec.setting} is {row.state}" for row in rows)
