"""The ledger in SQLite: append-only, synced at every commit, readable by anyone while it is written."""

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import anyio
import anyio.to_thread

from runner.engine.ports import LedgerUnwritable
from runner.model.board import Board
from runner.model.events import Envelope
from runner.model.reduce import reduce
from runner.model.refusal import UsageRefused
from runner.wire.codec import ENVELOPE_VERSION, dump_event, load_event

_SCHEMA = "CREATE TABLE events (seq INTEGER PRIMARY KEY, v INTEGER, at REAL NOT NULL, body TEXT NOT NULL, crc INTEGER)"
_REMEDY = "bring it back from a copy, or start the sweep anew under another name: results that are there stay"
_BUSY_S = 5.0


class SqliteLedger:
    """The runner's own ledger: one connection, used by one worker thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the ledger.

        Raises:
            UsageRefused: the file is no ledger, is damaged, or cannot be written.
        """
        self._path = path
        # One at a time: the order of commits is the order of events.
        self._turn = anyio.CapacityLimiter(1)
        try:
            if not path.exists():
                _create(path)
            self._database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            _check(self._database, path)
            if not _has_crc(self._database):
                self._database.execute("ALTER TABLE events ADD COLUMN crc INTEGER")
        except (sqlite3.Error, OSError) as error:
            raise UsageRefused(f"the ledger {path} cannot be opened: {error}") from None

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        """One commit; raises LedgerUnwritable with nothing written."""
        rows = [(one.seq, one.v, one.at, dump_event(one.event)) for one in envelopes]
        await anyio.to_thread.run_sync(self._commit, rows, limiter=self._turn)

    def board(self) -> Board:
        """The board that all events up to now fold into."""
        return _fold(self._database, self._path)

    def close(self) -> None:
        self._database.close()

    def _commit(self, rows: list[tuple[int, int, float, str]]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT INTO events (seq, v, at, body, crc) VALUES (?, ?, ?, ?, ?)",
                [(*row, _crc(*row)) for row in rows],
            )
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            # Where this fails too, the next commit cannot begin, and comes here again.
            with suppress(sqlite3.Error):
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


def _create(path: Path) -> None:
    """In one step: a ledger without its table is a damaged one, never a new one."""
    fresh = path.with_name(f".{path.name}.new")
    for stale in (fresh, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        stale.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as database:
        database.execute(_SCHEMA)
    fresh.replace(path)


def _check(database: sqlite3.Connection, path: Path) -> None:
    """Raises UsageRefused where SQLite's own structures are damaged: what is appended might be lost."""
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise UsageRefused(f"the ledger {path} is damaged ({' '.join(str(found).split())[:200]}); {_REMEDY}")


def _has_crc(database: sqlite3.Connection) -> bool:
    return any(column[1] == "crc" for column in database.execute("PRAGMA table_info(events)"))


def _crc(seq: int, v: int, at: float, body: str) -> int:
    return zlib.crc32(f"{seq} {v} {at!r} {body}".encode())


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise UsageRefused(f"there is no ledger at {path}")
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)


def _fold(database: sqlite3.Connection, path: Path) -> Board:
    board = Board()
    for envelope in _envelopes(database, path, 0):
        board = reduce(board, envelope)
    return board


def _envelopes(database: sqlite3.Connection, path: Path, after: int) -> Iterator[Envelope]:
    expected = after
    try:
        crc = "crc" if _has_crc(database) else "NULL"  # older ledgers have none
        rows = database.execute(f"SELECT seq, v, at, body, {crc} FROM events WHERE seq > ? ORDER BY seq", (after,))  # noqa: S608 - {crc} is ours
        for seq, v, at, body, written in rows:
            expected += 1
            if seq != expected or (written is not None and written != _crc(seq, v, at, body)):
                raise ValueError(f"its event {expected} is {'damaged' if seq == expected else 'missing'}; {_REMEDY}")
            yield Envelope(seq, float(at), load_event(body), int(v or ENVELOPE_VERSION))
    except (sqlite3.Error, ValueError, TypeError) as error:
        says = " ".join(str(error).split())[:300]
        raise UsageRefused(f"the ledger {path} cannot be read: {says}") from None
