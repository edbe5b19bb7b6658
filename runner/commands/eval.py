"""`coopdeck eval`."""

import argparse
import json
import signal
import sys
from pathlib import Path

import anyio
import anyio.abc

from runner.commands.evaluating import Evaluated, Evaluations, due, lock_of
from runner.commands.lines import job_name
from runner.commands.sweeps import Known, the_sweep
from runner.model.board import Board
from runner.model.hidden import plain
from runner.model.refusal import UsageRefused
from runner.model.rows import JobRow
from runner.model.summary import span

MOST_SLOTS = 256
FAILED, INTERRUPTED = 1, 130


def execute(options: argparse.Namespace) -> int:
    """Test the results that were not tested yet; 0 when all came to a verdict."""
    slots = _slots(options.slots)
    sweep = the_sweep(options.sweep, Path.cwd())
    board = sweep.planned_board()
    lock = lock_of(sweep.places, sweep.name)
    try:
        rows = due([board.jobs[job] for job in board.order])
        teller = _Teller(board, len(rows), sweep.places.evaluations(sweep.name), as_json=bool(options.json))
        interrupted = anyio.run(_run, sweep, board, rows, slots or board.slots, teller)
    finally:
        lock.release()
    teller.end(interrupted=interrupted)
    return INTERRUPTED if interrupted else FAILED if teller.counts["error"] else 0


async def _run(sweep: Known, board: Board, rows: list[JobRow], slots: int, teller: "_Teller") -> bool:
    """Whether it was interrupted."""
    assert board.plan is not None  # noqa: S101 - planned_board() has looked
    evaluations = Evaluations(sweep.places, board.plan)
    interrupted = False

    async def listen(scope: anyio.CancelScope) -> None:
        nonlocal interrupted
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for _ in signals:
                if not interrupted:
                    interrupted = True
                    print("ending what runs; what was evaluated stays", file=sys.stderr, flush=True)
                    scope.cancel()

    async with anyio.create_task_group() as listening:
        listening.start_soon(listen, listening.cancel_scope)
        await evaluations.clear_left()
        await evaluations.run(rows, slots, teller.tell)
        listening.cancel_scope.cancel()
    return interrupted


class _Teller:
    """A line for every result."""

    def __init__(self, board: Board, rows: int, folder: Path, *, as_json: bool) -> None:
        self._board = board
        self._rows = rows
        self._folder = folder
        self._as_json = as_json
        self.counts = {"passed": 0, "partly": 0, "failed": 0, "error": 0}

    def tell(self, one: Evaluated) -> None:
        tested = one.tested
        self.counts[tested.verdict] += 1
        if self._as_json:
            shape: dict[str, object] = {"type": "evaluated", "job": one.row.spec.id, "verdict": tested.verdict}
            shape |= {"passed": tested.passed, "error": tested.error or None, "seconds": round(one.seconds, 3)}
            print(json.dumps(shape), flush=True)
            return
        width = len(str(self._rows))
        why = f": {tested.error}" if tested.error else ""
        name = job_name(self._board, one.row)
        said = f"{sum(self.counts.values()):{width}}/{self._rows} {name}  {tested.label}  {span(one.seconds)}{why}"
        print(plain(said), flush=True)

    def end(self, *, interrupted: bool) -> None:
        left = self._rows - sum(self.counts.values())
        sweep = self._board.plan.sweep if self._board.plan else ""
        if self._as_json:
            shape = {"type": "evaluation", "sweep": sweep, **self.counts, "left": left, "interrupted": interrupted}
            print(json.dumps(shape))
        elif not self._rows:
            print(f"all results of '{sweep}' are evaluated")
        else:
            words = {"passed": "passed", "partly": "passed in part", "failed": "failed", "error": "without a verdict"}
            counts = ", ".join(f"{number} {words[verdict]}" for verdict, number in self.counts.items() if number)
            rest = f"; {left} are left: coopdeck eval {sweep}" if left else ""
            print(plain(f"evaluated: {counts or 'nothing'}{rest}"))
            if self.counts["error"]:
                print(plain(f"what cooperbench said of the errors: {self._folder}/*/output.log"))


def _slots(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_SLOTS:
        raise UsageRefused(f"--slots must be a whole number from 1 to {MOST_SLOTS}, not '{text}'")
    return int(text)
