"""The single writer: what happens is stamped, made durable, folded into the board and published, in this order."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import anyio

from runner.engine.ports import Clock, Ledger, LedgerUnwritable
from runner.model.board import Board, Hold
from runner.model.events import CancelRequested, Envelope, Event, StopMode, StopRequested
from runner.model.reduce import reduce

BATCH = 256
"""Entries that one commit takes at the most."""


class _Entry:
    """Events to record together, and whether that was done."""

    __slots__ = ("done", "error", "events")

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.events = events
        self.done = anyio.Event()
        self.error: LedgerUnwritable | None = None


class Dispatcher:
    """Holds the board; everything that changes it goes through `record`."""

    def __init__(
        self, board: Board, ledger: Ledger, clock: Clock, publish: Callable[[tuple[Envelope, ...]], None]
    ) -> None:
        self.board = board
        self._ledger = ledger
        self._clock = clock
        self._publish = publish
        # Needs no bound: every entry's sender waits for it, so there are no more entries than tasks.
        self._waiting: deque[_Entry] = deque()
        self._news = anyio.Event()
        self._unwritable = ""
        self._owed: tuple[StopRequested | CancelRequested, ...] = ()
        self.short_at = float("-inf")
        """By the loop's clock, when the host was last seen to be short of something."""
        self.when_troubled: Callable[[str], None] = lambda _: None
        """Called with the reason when the ledger begins to refuse, and with an empty one when it takes events again."""

    @property
    def stopping(self) -> StopMode | None:
        """What the user wants, written already or not."""
        owed = [event.mode for event in self._owed if isinstance(event, StopRequested)]
        return owed[-1] if owed else self.board.stopping

    @property
    def shown(self) -> Board:
        """The board for clients: with a hold more while the ledger refuses, and with what it is still owed."""
        board = self.board
        for event in self._owed:
            board = reduce(board, Envelope(board.seq, board.at, event))
        if not self._unwritable:
            return board
        hold = Hold("ledger", f"the ledger cannot be written: {self._unwritable}", board.at)
        return replace(board, holds=(*board.holds, hold))

    async def record(self, *events: Event) -> None:
        """Make events durable, together and in this order, and fold them into the board.

        Shielded: a cancelled task still gets its last word into the ledger.

        Raises:
            LedgerUnwritable: none of them was recorded.
        """
        entry = _Entry(events)
        self._waiting.append(entry)
        self._news.set()
        with anyio.CancelScope(shield=True):
            await entry.done.wait()
        if entry.error is not None:
            raise entry.error

    async def insist(self, event: StopRequested | CancelRequested) -> str:
        """Record what ends spending. Where the ledger refuses, it holds all the same and is written before all else.

        Returns: what to add to the reply for the user, which is nothing when it is written.
        """
        try:
            await self.record(event)
        except LedgerUnwritable as error:
            self._owed = (*self._owed, event)
            self.when_troubled(self._unwritable)
            return f"; the ledger cannot be written, and hears of it when it can: {error}"
        return ""

    async def run(self) -> None:
        """Write for ever; what arrives while one commit is under way goes into the next one together."""
        while True:
            if not self._waiting:
                await self._news.wait()
                self._news = anyio.Event()
            entries = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if entries:
                await self._write(entries)

    async def _write(self, entries: list[_Entry]) -> None:
        at = max(self._clock.now(), self.board.at)
        owed = self._owed
        events = [*owed, *(event for entry in entries for event in entry.events)]
        envelopes = tuple(Envelope(self.board.seq + place, at, event) for place, event in enumerate(events, start=1))
        error: LedgerUnwritable | None = None
        try:
            with anyio.CancelScope(shield=True):
                await self._ledger.append(envelopes)
        except LedgerUnwritable as failure:
            error = failure
            self.short_at = anyio.current_time()
        else:
            self._owed = self._owed[len(owed) :]
            for envelope in envelopes:
                self.board = reduce(self.board, envelope)
            self._publish(envelopes)
        for entry in entries:
            entry.error = error
            entry.done.set()
        self._trouble("" if error is None else str(error))

    def _trouble(self, reason: str) -> None:
        news = bool(reason) != bool(self._unwritable)
        self._unwritable = reason
        if news:
            self.when_troubled(reason)
