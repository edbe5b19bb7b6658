"""The ledger in SQLite: append-only, synced at every commit, readable by anyone while it is written."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread

from runner.engine.ports import LedgerUnwritable
from runner.model.board import Board
from runner.model.events import Envelope
from runner.model.reduce import reduce
from runner.model.refusal import UsageRefused
from runner.wire.codec import ENVELOPE_VERSION, dump_event, load_event

_SCHEMA = "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, v INTEGER, at REAL NOT NULL, body TEXT NOT NULL)"
_BUSY_S = 5.0


class SqliteLedger:
    """The runner's own ledger: one connection, used by one worker thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the ledger.

        Raises:
            UsageRefused: the file is no ledger, or cannot be written.
        """
        self._path = path
        # One at a time: the order of commits is the order of events.
        self._turn = anyio.CapacityLimiter(1)
        try:
            self._database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise UsageRefused(f"the ledger {path} cannot be opened: {error}") from None

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        """One commit; raises LedgerUnwritable with nothing written."""
        rows = [(one.seq, one.v, one.at, dump_event(one.event)) for one in envelopes]
        await anyio.to_thread.run_sync(self._commit, rows, limiter=self._turn)

    def board(self) -> Board:
        """The board that all events up to now fold into."""
        return _fold(self._database)

    def close(self) -> None:
        self._database.close()

    def _commit(self, rows: list[tuple[int, int, float, str]]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO events (seq, v, at, body) VALUES (?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise LedgerUnwritable(f"{self._path}: {error}") from None


def read_envelopes(path: Path, after: int = 0) -> Iterator[Envelope]:
    """The events behind seq `after`, also while a runner writes.

    Raises:
        UsageRefused: the file is missing or no ledger.
    """
    with closing(_open(path)) as database:
        yield from _envelopes(database, path, after)


def read_board(path: Path) -> Board:
    """The board that the ledger folds into; raises UsageRefused as `read_envelopes` does."""
    with closing(_open(path)) as database:
        return _fold(database, path)


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise UsageRefused(f"there is no ledger at {path}")
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)


def _fold(database: sqlite3.Connection, path: Path | None = None) -> Board:
    board = Board()
    for envelope in _envelopes(database, path, 0):
        board = reduce(board, envelope)
    return board


def _envelopes(database: sqlite3.Connection, path: Path | None, after: int) -> Iterator[Envelope]:
    try:
        rows = database.execute("SELECT seq, v, at, body FROM events WHERE seq > ? ORDER BY seq", (after,))
        for seq, v, at, body in rows:
            yield Envelope(int(seq), float(at), load_event(body), int(v or ENVELOPE_VERSION))
    except (sqlite3.Error, ValueError) as error:
        raise UsageRefused(f"the ledger {path or ''} cannot be read: {error}") from None
