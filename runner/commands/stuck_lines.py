"""Which jobs have stopped coming on, for a run without a dashboard: a line when it begins and one when it is over."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, tzinfo

from runner.commands.lines import job_name
from runner.model.board import Board
from runner.model.hidden import plain
from runner.model.ids import JobId
from runner.model.stall import Cause, stuck_jobs


class StuckLines:
    """Remembers what was said, so that each is said once."""

    def __init__(self, *, as_json: bool, zone: tzinfo | None = None) -> None:
        self._as_json = as_json
        self._zone = zone
        self._said: dict[JobId, tuple[Cause, str]] = {}

    def news(self, board: Board, now: float) -> Iterator[str]:
        """The lines that are due at `now`, in seconds since the epoch."""
        stuck = {row.spec.id: stall for row, stall in stuck_jobs(board, now)}
        for job in [job for job in self._said if job not in stuck]:
            del self._said[job]
            row = board.jobs.get(job)
            # Of a job that is over its end tells enough.
            if row is not None and row.running is not None and not row.cancelling:
                yield self._line(board, job, now, "comes on again", {"type": "Moving"})
        for job, stall in stuck.items():
            if self._said.get(job) != (stall.cause, stall.agent):
                self._said[job] = (stall.cause, stall.agent)
                yield self._line(board, job, now, f"STUCK: {stall.says}", {"type": "Stuck", **asdict(stall)})

    def _line(self, board: Board, job: JobId, now: float, says: str, shape: dict[str, object]) -> str:
        if self._as_json:
            kind = shape.pop("type")
            return json.dumps({"type": kind, "at": now, "job": job, **shape})
        time = datetime.fromtimestamp(now, self._zone).strftime("%H:%M:%S")
        mark = "[rehearsal] " if board.plan and board.plan.rehearsal else ""
        return f"{time} {mark}{plain(f'{job_name(board, board.jobs[job])}  {says}')}"
