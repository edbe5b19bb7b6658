"""Opening the dashboard on a sweep: the one place where the command line meets the screen."""

import gc
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from runner.adapters.evaluations import with_evaluations
from runner.adapters.ledger import read_board
from runner.adapters.places import Places
from runner.client import FinishedSweep, RunningSweep, Source
from runner.commands.guard import restored_terminal
from runner.commands.sweeps import Known
from runner.model.board import Board
from runner.model.refusal import UsageRefused
from runner.model.summary import summarise, table

if TYPE_CHECKING:
    from runner.commands.first_contact import SetUp

LEFT = ("detached", "stopped", "over")
"""How a user leaves."""


def show(places: Places, sweep: str) -> int:
    """The dashboard of a sweep, running or over; exit status as for `run`."""
    if places.runner_pid(sweep) is not None:
        return show_running(places, sweep)
    return _open(
        places, sweep, FinishedSweep(with_evaluations(read_board(places.ledger(sweep))), places.sweep_dir(sweep))
    )


def show_running(places: Places, sweep: str) -> int:
    return _open(places, sweep, RunningSweep(places.socket(sweep)))


def choose(sweeps: list[Known]) -> str | None:
    """Let the user choose among sweeps on the screen; None when they only leave."""
    from tui.app import SweepLine, choose_sweep

    lines: dict[str, SweepLine] = {}
    for sweep in sweeps:
        try:
            board = sweep.board()
        except UsageRefused as error:
            lines.setdefault(sweep.name, SweepLine(sweep.name, "unreadable", str(error), "", ""))
            continue
        total, rehearsal = board.total, board.plan is not None and board.plan.rehearsal is not None
        counts = f"{total.results}/{total.jobs}{'  rehearsal' if rehearsal else ''}"
        seen = datetime.fromtimestamp(board.at).strftime("%m-%d %H:%M")
        # Of two sweeps of one name, the one that attach takes.
        state, cost = sweep.state(board), f"${total.cost_usd:.2f}"
        lines.setdefault(sweep.name, SweepLine(sweep.name, state, counts, cost, seen))
    with restored_terminal():
        return choose_sweep(list(lines.values()))


def show_first(
    looked_at: Callable[[], Awaitable[Sequence[tuple[str, bool, str]]]], set_up: "SetUp", root: Path
) -> bool:
    """The screen of first contact; says whether the user wants the rehearsal."""
    from tui.first import Piece, Workshop, open_first

    async def look() -> list[Piece]:
        return [Piece(*found) for found in await looked_at()]

    with restored_terminal():
        return open_first(Workshop(look, set_up, set_up.log), root) is not None


def exit_status(board: Board) -> int:
    """0 when every job has a result, else 1."""
    total = board.total
    return 0 if total.jobs == total.results else 1


def open_on(source: Source) -> str:
    """The dashboard on a source that is no sweep of ours; a sentence about why it ended, if that was not the user."""
    ended = _shown(source)
    return "" if ended in LEFT else ended


def _shown(source: Source) -> str:
    # Until the board is painted nearly everything that is made stays: looking for garbage is a tenth of the start.
    gc.disable()
    try:
        from tui.app import open_dashboard

        with restored_terminal():
            return open_dashboard(source)
    finally:
        gc.enable()


def _open(places: Places, sweep: str, source: Source) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageRefused("the dashboard needs a terminal; without one use coopdeck status or coopdeck report")
    ended = _shown(source)
    board = read_board(places.ledger(sweep))
    # One that has said its last word may hold its lock a moment longer.
    has_ended = board.finished_at is not None or (board.runner is not None and board.runner.stopped_at is not None)
    if places.runner_pid(sweep) is not None and not has_ended:
        print(f"the sweep '{sweep}' goes on in the background: coopdeck attach {sweep}")
        return 0
    if ended not in LEFT:
        raise UsageRefused(ended)
    print(table(summarise(board, board.at)))
    return exit_status(board)
