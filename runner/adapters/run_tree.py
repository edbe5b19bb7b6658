"""A run's folder as upstream lays it out, whoever launched it: `LOGS/NAME/{solo|coop|team}/REPO/TASK/f1_f2/`.

Nothing in it is trusted: files are read up to a bound, and what is no pair's folder is counted and passed over.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from runner.adapters.evaluations import EVAL_LIMIT
from runner.adapters.result_files import load_result, result_outcome
from runner.adapters.result_shape import NotAResult
from runner.model.failure import one_line, quoted
from runner.model.ids import PairId, job_id
from runner.model.outcome import FailureClass, Outcome
from runner.model.plan import JobSpec
from runner.model.refusal import UsageRefused
from runner.model.settings import SETTINGS

RESULT, EVALUATION, CONFIG = "result.json", "eval.json", "config.json"
MODES = frozenset(setting.mode for setting in SETTINGS.values())
MOST_ENTRIES = 20_000
"""Entries of one folder that are looked at."""
TRAJECTORY_LIMIT = 16 * 1024 * 1024

_FEATURES = re.compile(r"f\d{1,9}(?:_f\d{1,9})*")
_FAILURES: dict[object, FailureClass] = {name: name for name in get_args(FailureClass)}


@dataclass(frozen=True, slots=True)
class RunTree:
    """A run's folder, and the part of it that was asked for."""

    root: Path
    """`LOGS/NAME`."""
    below: tuple[str, ...] = ()
    """Up to four names: mode, repo, task, features."""

    @property
    def name(self) -> str:
        return self.root.name


@dataclass(frozen=True, slots=True)
class PairFolder:
    """A pair's folder."""

    path: Path
    mode: str
    pair: PairId


@dataclass(frozen=True, slots=True)
class Opened:
    """What a pair's files tell."""

    folder: PairFolder
    spec: JobSpec
    agent: str
    outcome: Outcome
    evaluated: str
    """A line; empty where there is no eval.json."""
    began: float
    ended: float
    """Seconds since the epoch."""


def run_tree(path: Path) -> RunTree:
    """The run that a folder is, or stands in.

    Raises:
        UsageRefused: it is no such folder; the message says what would be.
    """
    shown = str(path)
    if not os.path.isdir(path):  # noqa: PTH112 - a name too long for the file system is that of no folder
        raise UsageRefused(f"there is no folder {shown}; open takes a run's folder, like logs/NAME")
    whole = path.resolve()
    if _has_mode(whole):
        return RunTree(whole)
    for depth in range(1, 5):
        if len(whole.parts) > depth + 1 and whole.parts[-depth] in MODES:
            return RunTree(whole.parents[depth - 1], whole.parts[-depth:])
    try:
        inside = [entry.name for entry in _entries(whole) if _is_folder(entry) and _has_mode(Path(entry.path))]
    except OSError as error:
        raise UsageRefused(f"{shown} cannot be read: {error.strerror}") from None
    if inside:
        one = path / inside[0]
        raise UsageRefused(f"{shown} holds {len(inside)} runs; open one of them: coopdeck open {one}")
    raise UsageRefused(f"{shown} is no run of cooperbench: it has no folder solo, coop or team, and stands in none")


def pair_folders(tree: RunTree) -> Iterator[PairFolder | Path]:
    """The pairs' folders, in order; as a mere path, what stands in the place of one and is none."""
    for mode in tree.below[:1] or tuple(sorted(MODES)):
        yield from _below(tree.root / mode, mode, tree.below[1:], ())


def read_pair(folder: PairFolder, run: str, config: dict[str, Any]) -> Opened:
    """What its files tell; never raises for what is in them."""
    values: dict[str, Any] = {}
    try:
        values = load_result(folder.path / RESULT)
        model = values.get("model")
        spec = _spec(folder, run, model if isinstance(model, str) else "")
        outcome = _outcome(values, spec, folder.path)
    except FileNotFoundError:
        says = f"there is no {RESULT}: the job has not ended, or left none"
        outcome = Outcome("lost", "", says, None)
    except (NotAResult, OSError) as error:
        outcome = Outcome("corrupt", "", one_line(str(error)), None)
    model = values.get("model", config.get("model"))
    spec = _spec(folder, run, one_line(model) if isinstance(model, str) else "")
    agent = values.get("agent_framework", config.get("agent_framework"))
    began, ended = _times(values, folder.path)
    evaluated = _evaluated(folder.path / EVALUATION)
    if evaluated:
        outcome = replace(outcome, evidence=f"{outcome.evidence}; {evaluated}")
    return Opened(folder, spec, one_line(agent) if isinstance(agent, str) else "", outcome, evaluated, began, ended)


def read_config(tree: RunTree) -> dict[str, Any]:
    """The run's config.json; empty where there is none that can be read."""
    try:
        return load_result(tree.root / CONFIG)
    except (NotAResult, OSError):
        return {}


def _has_mode(folder: Path) -> bool:
    return any((folder / mode).is_dir() for mode in MODES)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What stands in a folder, in order; raises OSError."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in islice(entries, MOST_ENTRIES) if entry.name[0] != "."), key=_in_order)


def _in_order(entry: os.DirEntry[str]) -> tuple[int, str]:
    """Numbers as numbers: task 25 comes before task 100."""
    return (int(entry.name) if re.fullmatch(r"[0-9]{1,9}", entry.name) else 0, entry.name)


def _below(folder: Path, mode: str, wanted: tuple[str, ...], names: tuple[str, ...]) -> Iterator[PairFolder | Path]:
    """The tree below a mode, three names deep: repo, task, features."""
    try:
        entries = _entries(folder)
    except FileNotFoundError:
        return
    except OSError:
        yield folder
        return
    for entry in entries:
        if wanted and entry.name != wanted[0]:
            continue
        path, deeper = Path(entry.path), (*names, entry.name)
        if not _is_folder(entry):
            yield path
        elif len(deeper) < 3:
            yield from _below(path, mode, wanted[1:], deeper)
        elif (pair := _pair(*deeper)) is not None:
            yield PairFolder(path, mode, pair)
        else:
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _pair(repo: str, task: str, features: str) -> PairId | None:
    if not re.fullmatch(r"[0-9]{1,9}", task) or not _FEATURES.fullmatch(features):
        return None
    return PairId(repo, int(task), tuple(int(number) for number in re.findall(r"[0-9]+", features)))


def _spec(folder: PairFolder, run: str, model: str) -> JobSpec:
    # Whether the agents of a coop run might talk stands nowhere in its files.
    return JobSpec(job_id(folder.mode, folder.pair), folder.mode, run, folder.pair, model)


def _outcome(values: dict[str, Any], spec: JobSpec, folder: Path) -> Outcome:
    outcome = result_outcome(values, spec, folder, trajectory_limit=TRAJECTORY_LIMIT)
    named = values.get("infra_class")
    failure = _FAILURES.get(named) if isinstance(named, str) else None
    if values.get("infra_error") is True and failure is not None:
        return replace(outcome, failure=failure, status="Error")
    return outcome


def _times(values: dict[str, Any], folder: Path) -> tuple[float, float]:
    """Begin and end as upstream wrote them, in this machine's zone as it does; else the folder's own time."""
    began, ended = (_stamp(values.get(key)) for key in ("started_at", "ended_at"))
    try:
        touched = folder.stat().st_mtime
    except OSError:
        touched = 0.0
    end = touched if ended is None else ended
    return min(end, end if began is None else began), end


def _stamp(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _evaluated(path: Path) -> str:
    """eval.json in a line."""
    try:
        values = load_result(path, EVAL_LIMIT)
    except FileNotFoundError:
        return ""
    except (NotAResult, OSError) as error:
        return one_line(str(error))
    if trouble := values.get("error"):
        return quoted(f"evaluation failed: {trouble}")
    merge = values.get("merge")
    status = merge.get("status") if isinstance(merge, dict) else None
    merged = f", merge {one_line(status)}" if isinstance(status, str) else ""
    if values.get("both_passed") is True:
        return f"evaluated: both passed{merged}"
    parts = [
        f"{name} {'passed' if one.get('passed') is True else 'failed'}"
        for name, one in list(values.items())[:100]
        if re.fullmatch(r"feature[0-9]{1,9}", name) and isinstance(one, dict)
    ]
    return f"evaluated: {', '.join(parts[:16]) or 'not passed'}{merged}"
