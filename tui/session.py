"""What the screens share: the source, the latest board, the clock, the glyphs, the keys."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner.client import Source
from runner.model.board import Board
from runner.model.commands import Command
from runner.model.supplies import lacking
from tui.glyphs import Glyphs
from tui.keys import Keymap
from tui.link import Change
from tui.rows import Eyes


@dataclass(slots=True)
class Session:
    """One dashboard's view of one sweep."""

    source: Source
    now: Callable[[], float]
    glyphs: Glyphs
    keymap: Keymap
    send: Callable[[Command], None]
    """Asks the runner, and shows what it answers."""
    busy: Callable[[], bool]
    """The terminal has not taken all output yet: a repaint that nobody asked for can wait."""
    folder: Path
    """Where what the user saves is put."""
    change: Change = field(default_factory=lambda: Change(Board(), None, "attached", 0))

    @property
    def board(self) -> Board:
        return self.change.board

    @property
    def over(self) -> bool:
        return self.change.link == "over"

    @property
    def sweep_dir(self) -> Path | None:
        return self.source.sweep_dir

    def eyes(self) -> Eyes:
        board, plan = self.board, self.board.plan
        lacks = partial(lacking, board) if board.supplies else None
        # Of a sweep whose runner is not heard nothing new is told: that is no sign of anything.
        stall_s = plan.stall_s if plan and self.change.link == "attached" else None
        speed, attempts = (plan.speed, plan.attempts) if plan else (1.0, 1)
        return Eyes(self.now(), speed, attempts, self.glyphs, lacks, stall_s)
