"""`coopdeck attach`: the dashboard of a sweep, running or over."""

import argparse
import sys
from pathlib import Path

from runner.adapters.places import Places
from runner.commands.dashboard import show, show_running
from runner.commands.sweeps import the_sweep
from runner.model.board import Board


def execute(options: argparse.Namespace) -> int:
    """Exit status as for `run`. A sweep with jobs left and no runner is offered to go on."""
    sweep = the_sweep(options.sweep, Path.cwd())
    board = sweep.planned_board() if sweep.pid is None else None
    if board is not None and _wanted(board, sweep.name):
        _go_on(sweep.places, sweep.name, board)
        return show_running(sweep.places, sweep.name)
    return show(sweep.places, sweep.name)


def _wanted(board: Board, name: str) -> bool:
    left = board.total.jobs - board.total.settled
    if not left or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    ended = board.runner.stopped_because if board.runner and board.runner.stopped_at is not None else ""
    how = f"has stopped ({ended})" if ended else "is gone without a last word"
    print(f"the runner of '{name}' {how}; {left} of {board.total.jobs} jobs are left")
    try:
        return input("go on with them? [Y/n] ").strip().lower() in {"", "y", "yes"}
    except EOFError:
        return False


def _go_on(places: Places, name: str, board: Board) -> None:
    # The runner's own modules are a tenth of the time that attaching takes, and seldom needed for it.
    from runner.commands.starting import start_checked
    from runner.daemon import StartOrder

    rows = [board.jobs[job] for job in board.order]
    left = tuple(row.spec for row in rows if not row.settled)
    start_checked(places, StartOrder(str(places.root), name, None, expects_client=True), board.plan, left)
