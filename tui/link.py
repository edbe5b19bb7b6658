"""From a source's updates to at most ten changes of the screen a second."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from runner.client import Link, Source, Update, touched
from runner.model.board import Board
from runner.model.ids import JobId

INTERVAL_S = 0.1
PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """What the screens are told."""

    board: Board
    jobs: frozenset[JobId] | None
    """The jobs that may look different now; None for any of them."""
    link: Link
    attached: int


class BoardLink:
    """Follows a source and posts coalesced changes; holds them back while the terminal is behind."""

    def __init__(
        self, source: Source, post: Callable[[Change], None], *, busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._source = source
        self._post = post
        self._busy = busy
        self._pending: Change | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._posted_at = float("-inf")

    async def run(self) -> None:
        """Until the source has no more to say.

        Raises:
            Refused, OSError: as the source does.
        """
        try:
            await self._source.follow(self._seen)
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._pending is not None:
                self._flush()

    def _seen(self, update: Update) -> None:
        pending = self._pending
        jobs: frozenset[JobId] | None = None if update.whole else touched(update.envelopes)
        if pending is not None and jobs is not None:
            jobs = None if pending.jobs is None else pending.jobs | jobs
        self._pending = Change(update.board, jobs, update.link, update.attached)
        if self._timer is None:
            self._arm(self._posted_at + INTERVAL_S)

    def _arm(self, at: float) -> None:
        loop = asyncio.get_running_loop()
        if at <= loop.time() and not self._busy():
            self._flush()
        else:
            self._timer = loop.call_at(max(at, loop.time() + INTERVAL_S / 4), self._due)

    def _due(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        # A terminal that takes nothing for seconds is told anyway: its queue is bounded, our patience must be too.
        if self._busy() and loop.time() < self._posted_at + PATIENCE_S:
            self._timer = loop.call_later(INTERVAL_S / 2, self._due)
        else:
            self._flush()

    def _flush(self) -> None:
        change, self._pending = self._pending, None
        if change is not None:
            self._posted_at = asyncio.get_running_loop().time()
            self._post(change)
