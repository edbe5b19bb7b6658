"""What must hold after every fault, read from the ledger, the disk and /proc and from nothing the runner says."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

from runner.adapters.delivery import result_folder
from runner.adapters.ledger import read_envelopes
from runner.adapters.result_files import load_result, result_outcome
from runner.adapters.result_shape import NotAResult
from runner.model import events as ev
from runner.model.board import Board
from runner.model.ids import JobId
from runner.model.reduce import reduce
from runner.model.rows import AttemptRow, JobRow
from tests.faults.bed import SWEEP, Bed, attempts_up

CENT_PARTS = 1e-6


def between(bed: Bed) -> list[str]:
    """With the runner gone: what is wrong already, before anybody has mended anything."""
    if not bed.ledger.exists():
        return [f"process {pid} was started before its ledger" for pid in attempts_up(bed.folder)]
    # First the processes: one that starts later than we look at the ledger would be no one's fault.
    up = attempts_up(bed.folder)
    envelopes = list(read_envelopes(bed.ledger))
    tokens = {one.event.token for one in envelopes if isinstance(one.event, ev.AttemptStarting)}
    wrong = [f"process {pid} has a token that the ledger does not know" for pid, one in up.items() if one not in tokens]
    return wrong + _history(envelopes) + _started_once(bed) + _sound(bed)


def at_the_end(bed: Bed, *, settled: bool = True) -> list[str]:
    """With the sweep finished: everything."""
    envelopes = list(read_envelopes(bed.ledger))
    board = Board()
    for envelope in envelopes:
        board = reduce(board, envelope)
    wrong = _history(envelopes) + _started_once(bed) + _sound(bed) + _costs(bed, board)
    if settled:
        wrong += [
            f"{row.spec.id} is {row.state}: {row.reason}"
            for row in (board.jobs[job] for job in board.order)
            if row.state not in {"done", "skipped"}
        ]
    wrong += [f"process {pid} is still up" for pid in attempts_up(bed.folder)]
    if bed.places.runner_pid(SWEEP) is not None:
        wrong.append("a runner still owns the sweep")
    for pattern in (".*.partial", ".*.delivering"):
        wrong += [f"half written: {path}" for path in bed.folder.rglob(pattern)]
    return wrong


def _history(envelopes: list[ev.Envelope]) -> list[str]:
    wrong: list[str] = []
    if [one.seq for one in envelopes] != list(range(1, len(envelopes) + 1)):
        wrong.append("the ledger's numbers have gaps")
    if any(later.at < earlier.at for earlier, later in pairwise(envelopes)):
        wrong.append("the ledger's time goes backwards")
    attempts: Counter[JobId] = Counter()
    tokens: set[str] = set()
    acknowledged: set[tuple[JobId, int]] = set()
    bought: set[JobId] = set()
    for event in (one.event for one in envelopes):
        match event:
            case ev.AttemptStarting(job, number, token, _):
                if job in bought:
                    wrong.append(f"{job} has a result and was started again")
                if number != attempts[job] + 1 or token in tokens:
                    wrong.append(f"{job}: attempt {number} appears twice, or out of turn")
                attempts[job] = number
                tokens.add(token)
            case ev.AttemptStarted(job, number):
                if (job, number) in acknowledged or number != attempts[job]:
                    wrong.append(f"{job}: the start of attempt {number} was recorded twice, or without its intent")
                acknowledged.add((job, number))
            case ev.AttemptEnded(job, _, outcome) if outcome.is_result:
                if job in bought:
                    wrong.append(f"{job} has two attempts with a result")
                bought.add(job)
    return wrong


def _started_once(bed: Bed) -> list[str]:
    """The double's probe writes one line when its process begins: two of them were two purchases."""
    wrong: list[str] = []
    for probe in bed.sweep_dir.glob("attempts/*/*/probe.jsonl"):
        begun = probe.read_bytes().count(b'"probe_begin"')
        if begun > 1:
            wrong.append(f"{probe.parent} was started {begun} times")
    return wrong


def _sound(bed: Bed) -> list[str]:
    """Every result that stands at its final place is whole and the right job's."""
    wrong: list[str] = []
    expected = {result_folder(Path(bed.plan.logs_dir), spec) / "result.json": spec for spec in bed.jobs}
    for path in Path(bed.plan.logs_dir).rglob("result.json"):
        spec = expected.get(path)
        try:
            if spec is None:
                raise NotAResult("it is of no job of this sweep")
            result_outcome(load_result(path), spec, path.parent)
        except NotAResult as error:
            wrong.append(f"{path}: {error}")
    return wrong


def _costs(bed: Bed, board: Board) -> list[str]:
    wrong: list[str] = []
    for job in board.order:
        row = board.jobs[job]
        for attempt in row.attempts:
            known = attempt.cost_usd
            on_disk = _on_disk(bed, row, attempt)
            if known is not None and abs(known - on_disk) > CENT_PARTS:
                wrong.append(f"{job} attempt {attempt.number}: ${known} in the ledger, ${on_disk} on disk")
    total = sum(row.cost_usd for row in (board.jobs[job] for job in board.order))
    if abs(total - board.total.cost_usd) > CENT_PARTS:
        wrong.append("the board's sum is not the sum of its rows")
    return wrong


def _on_disk(bed: Bed, row: JobRow, attempt: AttemptRow) -> float:
    folder = bed.sweep_dir / attempt.folder
    places = [result_folder(folder / "logs", row.spec)]
    if attempt.outcome is not None and attempt.outcome.is_result:
        places = [result_folder(Path(bed.plan.logs_dir), row.spec)]
    seen = 0.0
    for place in places:
        try:
            seen = float(load_result(place / "result.json")["total_cost"])
        except (OSError, NotAResult, KeyError, TypeError, ValueError):
            continue
    if attempt.outcome is not None and attempt.outcome.is_result:
        return seen
    return max(seen, _probed(folder / "probe.jsonl"))


def _probed(path: Path) -> float:
    spent = 0.0
    try:
        told = path.read_bytes().splitlines()
    except OSError:
        return 0.0
    for line in told:
        try:
            values = json.loads(line)
        except ValueError:
            continue  # the line that was being written when its process died
        if values.get("type") == "llm_end" and values.get("status") == "ok":
            spent += float(values.get("cost_usd") or 0.0)
    return spent
