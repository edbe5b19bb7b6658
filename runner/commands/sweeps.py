"""The sweeps of the project, and which one a command means."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.adapters.ledger import read_board
from runner.adapters.places import Places
from runner.model.board import Board
from runner.model.ids import PairId
from runner.model.queue import check_sweep_name
from runner.model.refusal import UsageRefused
from runner.model.rows import JobRow
from runner.model.selection import DatasetIndex, closest, select_pairs

DEMO_FOLDER = Path(".coopdeck") / "demo"

State = Literal["running", "finished", "stopped"]
"""`stopped` has jobs left and no runner."""


@dataclass(frozen=True, slots=True)
class Known:
    """A sweep that stands in the project's folder."""

    name: str
    places: Places

    @property
    def pid(self) -> int | None:
        return self.places.runner_pid(self.name)

    @property
    def folder(self) -> Path:
        return self.places.sweep_dir(self.name)

    @property
    def socket(self) -> Path:
        return self.places.socket(self.name)

    def board(self) -> Board:
        return read_board(self.places.ledger(self.name))

    def planned_board(self) -> Board:
        """Raises UsageRefused where nothing is planned yet, or nothing ever was: whoever ran it left at the start."""
        board = self.board()
        if board.plan is not None:
            return board
        if self.pid is not None:
            raise UsageRefused(f"the sweep '{self.name}' is only starting; ask again in a moment")
        raise UsageRefused(
            f"the sweep '{self.name}' was stopped before anything was planned; start it with coopdeck run {self.name}"
        )

    def now(self, board: Board) -> float:
        """The time that the board's sweep is to be told as of: with nobody to run it, its clock stands."""
        return time.time() if self.pid is not None else board.at

    def state(self, board: Board) -> State:
        if self.pid is not None:
            return "running"
        return "finished" if board.finished_at is not None else "stopped"


def known_sweeps(root: Path) -> list[Known]:
    """The newest first; the demo, which has a folder of its own, behind the project's."""
    every = (Places(root), Places(root / DEMO_FOLDER))
    return [Known(name, places) for places in every for name in reversed(places.sweeps())]


def the_sweep(name: str | None, root: Path) -> Known:
    """The sweep of this name; without one, the only one that runs, else the newest.

    Raises:
        UsageRefused: there is none, or several run.
    """
    sweeps = known_sweeps(root)
    if name is not None:
        check_sweep_name(name)
        for sweep in sweeps:
            if sweep.name == name:
                return sweep
        raise UsageRefused(f"there is no sweep '{name}' in {root}; {closest(name, [one.name for one in sweeps])}")
    if not sweeps:
        raise UsageRefused(f"there is no sweep in {root}; start one with coopdeck run, or see coopdeck demo")
    running = [sweep for sweep in sweeps if sweep.pid is not None]
    if len(running) > 1:
        raise UsageRefused(f"{len(running)} sweeps are running; name one of {', '.join(one.name for one in running)}")
    return (running or sweeps)[0]


def rows_of_pair(board: Board, text: str) -> list[JobRow]:
    """The jobs of a pair in every setting, model and repeat.

    Raises:
        UsageRefused: the text names no pair of this sweep.
    """
    features: dict[str, dict[int, set[int]]] = {}
    rows = [board.jobs[job] for job in board.order]
    for row in rows:
        pair = row.spec.pair
        features.setdefault(pair.repo, {}).setdefault(pair.task, set()).update(pair.features)
    index = DatasetIndex(
        {repo: {task: tuple(sorted(ids)) for task, ids in tasks.items()} for repo, tasks in features.items()}, {}
    )
    try:
        pairs: tuple[PairId, ...] = select_pairs(index, pairs=[text])
    except UsageRefused as refusal:
        raise UsageRefused(str(refusal).replace("the dataset", "this sweep")) from None
    found = [row for row in rows if row.spec.pair in pairs]
    if not found:
        raise UsageRefused(f"the pair '{text}' is not in this sweep; see the pairs with coopdeck attach")
    return found
