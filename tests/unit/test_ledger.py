"""The ledger port: the one in memory and the one in SQLite keep the same promises."""

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.adapters.ledger import SqliteLedger, read_board, read_envelopes
from runner.engine.dispatcher import Dispatcher
from runner.engine.ports import LedgerUnwritable
from runner.model import events as ev
from runner.model.board import Board
from runner.model.refusal import UsageRefused
from tests.unit.fakes import MemoryLedger, QuickClock, jobs, the_plan

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "memory":
        yield MemoryLedger()
        return
    opened = SqliteLedger(tmp_path / "ledger.db")
    yield opened
    opened.close()


def envelopes(first: int, number: int) -> list[ev.Envelope]:
    return [ev.Envelope(seq, 5.0, ev.SlotsSet(seq)) for seq in range(first, first + number)]


async def test_what_was_appended_folds_into_the_board(ledger: Any) -> None:
    await ledger.append(envelopes(1, 3))
    await ledger.append(envelopes(4, 1))
    assert (ledger.board().seq, ledger.board().slots) == (4, 4)


async def test_the_dispatcher_numbers_events_without_gaps_in_the_order_they_came(ledger: Any) -> None:
    published: list[ev.Envelope] = []
    dispatcher = Dispatcher(Board(), ledger, QuickClock(), published.extend)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dispatcher.run)
        await dispatcher.record(ev.SweepPlanned(the_plan()), ev.JobsPlanned(jobs(20)))
        async with anyio.create_task_group() as several:
            for spec in jobs(20):
                several.start_soon(dispatcher.record, ev.JobSettled(spec.id, "failed"), ev.SlotsSet(3))
        tasks.cancel_scope.cancel()
    assert [one.seq for one in published] == list(range(1, 43))
    assert ledger.board().total.count("failed") == 20
    assert ledger.board() == dispatcher.board


async def test_a_ledger_that_cannot_be_written_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.append(envelopes(1, 1))
    with pytest.raises(LedgerUnwritable):
        await ledger.append([*envelopes(2, 1), *envelopes(1, 1)])
    assert ledger.board().seq == 1
    await ledger.append(envelopes(2, 1))
    ledger.close()
    assert read_board(tmp_path / "ledger.db").seq == 2


async def test_a_disk_that_refuses_even_the_way_back_ends_no_runner(tmp_path: Path) -> None:
    class Broken:
        in_transaction = True

        def execute(self, _: str) -> None:
            raise sqlite3.OperationalError("disk I/O error")

    ledger = SqliteLedger(tmp_path / "ledger.db")
    sound, ledger._database = ledger._database, Broken()  # type: ignore[assignment]
    with pytest.raises(LedgerUnwritable, match="disk I/O error"):
        await ledger.append(envelopes(1, 1))
    ledger._database = sound
    await ledger.append(envelopes(1, 1))
    assert ledger.board().seq == 1
    ledger.close()


async def test_it_is_read_while_it_is_written(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.append(envelopes(1, 5))
    assert [one.seq for one in read_envelopes(tmp_path / "ledger.db", after=3)] == [4, 5]
    ledger.close()


@pytest.mark.parametrize(
    "content", [b"not a database at all, only text that is long enough to be looked at" * 20, None]
)
def test_what_is_no_ledger_is_refused_in_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageRefused, match="ledger"):
        read_board(path)


async def test_an_event_of_a_later_version_is_kept_and_does_nothing(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.append(envelopes(1, 1))
    ledger.close()
    database = sqlite3.connect(tmp_path / "ledger.db")
    database.execute('INSERT INTO events (seq, v, at, body) VALUES (2, 9, 7.0, \'{"type": "MoonRose", "phase": 3}\')')
    database.commit()
    database.close()
    last = list(read_envelopes(tmp_path / "ledger.db"))[-1]
    assert isinstance(last.event, ev.ForeignEvent)
    assert (read_board(tmp_path / "ledger.db").seq, read_board(tmp_path / "ledger.db").slots) == (2, 1)


async def test_a_gap_or_a_changed_event_is_refused_and_never_folded(tmp_path: Path) -> None:
    for spoil in ("DELETE FROM events WHERE seq = 2", "UPDATE events SET body = replace(body, '3', '4') WHERE seq = 3"):
        path = tmp_path / f"{len(spoil)}.db"
        ledger = SqliteLedger(path)
        await ledger.append(envelopes(1, 4))
        ledger.close()
        with sqlite3.connect(path) as database:
            database.execute(spoil)
        database.close()
        with pytest.raises(UsageRefused, match=r"event [23] is"):
            read_board(path)
        reopened = SqliteLedger(path)
        with pytest.raises(UsageRefused, match=r"event [23] is"):
            reopened.board()
        reopened.close()


def test_an_emptied_file_is_no_new_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.touch()
    with pytest.raises(UsageRefused, match="ledger"):
        SqliteLedger(path).board()


async def test_a_ledger_from_before_the_checksums_is_read_and_continued(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY, v INTEGER, at REAL NOT NULL, body TEXT NOT NULL)"
        )
        database.execute('INSERT INTO events VALUES (1, 1, 7.0, \'{"type": "SlotsSet", "slots": 9}\')')
    database.close()
    assert read_board(path).slots == 9
    ledger = SqliteLedger(path)
    await ledger.append(envelopes(2, 1))
    assert ledger.board().slots == 2
    ledger.close()
