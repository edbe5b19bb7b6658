"""What upstream's evaluation has written beside a result: `eval.json`."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runner.model.board import Board
from runner.model.failure import quoted
from runner.model.outcome import Evaluation, Outcome
from runner.model.reduce import with_row
from runner.model.secrets import Mask, masked_text

EVAL, RESULT, CONFIG = "eval.json", "result.json", "config.json"
EVAL_LIMIT = 64 * 1024 * 1024
"""It holds the tests' whole output; one of more than this many bytes is not one."""
_SHAPELESS = "eval.json has not the shape that upstream gives it"


def read_tested(folder: Path, mask: Mask = masked_text) -> Evaluation | None:
    """What the evaluation of the result in this folder came to; None where there was none.

    Nothing in the file is trusted: what cannot be read is an evaluation that went wrong. `mask` is what takes secrets
    out of what it says.
    """
    try:
        with open(folder / EVAL, "rb") as file:
            raw = file.read(EVAL_LIMIT + 1)
        if len(raw) > EVAL_LIMIT:
            return Evaluation(error=f"eval.json is larger than {EVAL_LIMIT} bytes")
        return _tested(json.loads(raw), mask)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Evaluation(error=f"eval.json cannot be read: {error.strerror}")
    except (ValueError, RecursionError):
        return Evaluation(error="eval.json is not valid JSON")


def with_tests(outcome: Outcome, folder: Path, log: Sequence[str], mask: Mask = masked_text) -> Outcome:
    """The outcome of an attempt that was to be evaluated; `log` are the last lines it wrote."""
    if not outcome.is_result:
        return outcome
    tested = read_tested(folder, mask)
    if tested is None:
        said = f"; it said last: {log[-1].strip()}" if log else ""
        tested = Evaluation(error=quoted(f"the evaluation left no eval.json{said}", mask))
    return replace(outcome, tested=tested)


def stage(source: Path, folder: Path) -> None:
    """Copy what an evaluation reads of a delivered result: upstream writes beside what it reads, and not in one step.

    Both folders are of upstream's layout, in which the run's `config.json` stands four above.

    Raises:
        OSError: there is no result any more, or no room.
    """
    folder.mkdir(parents=True)
    for path in (source / RESULT, *sorted(source.glob("*.patch"))):
        shutil.copyfile(path, folder / path.name)
    config = source.parents[3] / CONFIG
    if config.is_file():
        shutil.copyfile(config, folder.parents[3] / CONFIG)


def deliver_evaluation(folder: Path, target: Path) -> None:
    """Put the `eval.json` of the folder beside the delivered result, in one step; raises OSError."""
    partial = target / f".{EVAL}.partial"
    try:
        shutil.copyfile(folder / EVAL, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(target / EVAL)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def with_evaluations(board: Board) -> Board:
    """The board with what stands beside the delivered results now, whoever has evaluated them."""
    for row in list(board.jobs.values()):
        if row.delivered is None or row.outcome is None or not row.outcome.is_result:
            continue
        tested = read_tested(Path(row.delivered))
        if tested is not None and tested != row.outcome.tested:
            board = with_row(board, replace(row, outcome=replace(row.outcome, tested=tested)))
    return board


def _tested(values: object, mask: Mask) -> Evaluation:
    if not isinstance(values, dict):
        return Evaluation(error=_SHAPELESS)
    error = values.get("error")
    if error:
        return Evaluation(error=quoted(str(error), mask))
    parts = [values.get(f"feature{number}") for number in (1, 2)]
    passed = tuple(part["passed"] for part in parts if isinstance(part, dict) and isinstance(part.get("passed"), bool))
    return Evaluation(passed) if len(passed) == len(parts) else Evaluation(error=_SHAPELESS)
