"""Files that are cut or rotten: `result.json` at every byte, the ledger at every byte of its tail."""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.delivery import result_folder
from runner.adapters.ledger import SqliteLedger, read_envelopes
from runner.adapters.result_files import load_result, result_outcome
from runner.adapters.result_shape import NotAResult
from runner.model.board import Board
from runner.model.events import Envelope
from runner.model.reduce import reduce
from runner.model.refusal import UsageRefused
from tests.faults.bed import Bed, kill
from tests.faults.invariants import at_the_end

LEDGER = ("ledger.db", "ledger.db-wal")


@dataclass(frozen=True, slots=True)
class Spoil:
    """A file cut at a place, or a bit of one flipped there."""

    name: str
    place: int
    bit: int = 0

    def apply(self, folder: Path) -> None:
        path = folder / self.name
        if not self.bit:
            os.truncate(path, self.place)
            return
        with open(path, "r+b") as file:
            file.seek(self.place)
            old = file.read(1)[0]
            file.seek(self.place)
            file.write(bytes([old ^ self.bit]))


def cut_results(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Each length of a real result is a case: what is left of it must never pass for a result."""
    bed = Bed(folder / "s", 2, settings=("solo", "coop-comm"), slots=2)
    try:
        wrong = bed.finish_with(bed.start()) + at_the_end(bed)
        if wrong:
            yield wrong
            return
        whole = [(spec, result_folder(Path(bed.plan.logs_dir), spec)) for spec in bed.jobs]
        lengths = [
            (spec, place, length)
            for spec, place in whole
            for length in range(len((place / "result.json").read_bytes()))
        ]
        some = lengths if cases >= len(lengths) else seeded.sample(lengths, cases)
        for spec, place, length in some:
            cut = folder / "result.json"
            cut.write_bytes((place / "result.json").read_bytes()[:length])
            try:
                outcome = result_outcome(load_result(cut), spec, folder)
            except NotAResult:
                yield []
            else:
                yield [f"{length} bytes of {spec.id} were taken for {outcome.label}"]
    finally:
        bed.close()


def cut_ledger(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """A third of the cases cut the write-ahead log, a third the database, the rest flip bits anywhere in either."""
    bed = Bed(folder / "s", 6, slots=2)
    try:
        pristine = _torn_ledgers(bed, folder)
        for case in range(cases):
            log = case % 6 in {0, 2, 3}
            source, history = pristine["torn" if log else "whole"]
            spoil = _flip(source, seeded) if case % 3 == 2 else _cut(source, log, case // 3)
            wrong = []
            for opens in (_reads, _goes_on):
                shutil.rmtree(folder / "copy", ignore_errors=True)
                _copy(source, folder / "copy")
                spoil.apply(folder / "copy")
                wrong += opens(folder / "copy" / "ledger.db", history)
            yield [f"{spoil}: {one}" for one in wrong]
    finally:
        bed.close()


def _torn_ledgers(bed: Bed, folder: Path) -> dict[str, tuple[Path, list[Envelope]]]:
    """As a killed runner leaves it, with its write-ahead log; and as an ended one does, all in one file."""
    runner = bed.start()
    bed.settles(5)
    kill(runner)
    torn = folder / "torn"
    _copy(bed.sweep_dir, torn)
    whole = folder / "whole"
    _copy(torn, whole)
    database = sqlite3.connect(whole / "ledger.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (whole / name).unlink(missing_ok=True)
    return {
        "torn": (torn, list(read_envelopes(bed.ledger))),
        "whole": (whole, list(read_envelopes(whole / "ledger.db"))),
    }


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in LEDGER:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def _cut(source: Path, log: bool, by: int) -> Spoil:
    name = "ledger.db-wal" if log else "ledger.db"
    size = (source / name).stat().st_size
    return Spoil(name, size - 1 - by % size)


def _flip(source: Path, seeded: random.Random) -> Spoil:
    name = seeded.choice([name for name in LEDGER if (source / name).exists() and (source / name).stat().st_size])
    return Spoil(name, seeded.randrange((source / name).stat().st_size), 1 << seeded.randrange(8))


def _reads(path: Path, history: list[Envelope]) -> list[str]:
    """As `status` reads it: a prefix of what happened, or a sentence."""
    try:
        found = list(read_envelopes(path))
    except UsageRefused as refused:
        return _sentence(refused)
    return _prefix(found, history)


def _goes_on(path: Path, history: list[Envelope]) -> list[str]:
    """As a new runner opens it."""
    try:
        ledger = SqliteLedger(path)
    except UsageRefused as refused:
        return _sentence(refused)
    try:
        board = ledger.board()
    except UsageRefused as refused:
        return _sentence(refused)
    finally:
        ledger.close()
    expected = Board()
    for envelope in history[: board.seq]:
        expected = reduce(expected, envelope)
    return [] if board == expected else [f"a runner would go on from a board that never was, at event {board.seq}"]


def _sentence(refused: UsageRefused) -> list[str]:
    says = str(refused)
    return [] if "ledger" in says and "\n" not in says else [f"no sentence: {says!r}"]


def _prefix(found: list[Envelope], history: list[Envelope]) -> list[str]:
    if found == history[: len(found)]:
        return []
    at = next((place for place, (one, other) in enumerate(zip(found, history, strict=False)) if one != other), None)
    return [f"{len(found)} events that are no prefix of the {len(history)}; the first difference is at {at}"]
