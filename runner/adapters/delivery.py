"""Moving what an attempt left to where upstream and everybody's scripts look for it, in one step."""

import errno
import json
import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.adapters.evaluations import EVAL, read_tested
from runner.adapters.result_files import load_result
from runner.adapters.result_shape import NotAResult
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan
from runner.model.settings import SETTINGS

RESULT = "result.json"
KEPT = "result.rejected.json"
KEPT_EVAL = "eval.rejected.json"


def result_folder(root: Path, spec: JobSpec) -> Path:
    """Upstream's layout: `ROOT/NAME/{solo|coop|team}/REPO/TASK/f1_f2`."""
    mode = SETTINGS[spec.setting].mode
    return root / spec.run_name / mode / spec.pair.repo / str(spec.pair.task) / spec.pair.folder


def deliver(plan: Plan, spec: JobSpec, folder: Path, outcome: Outcome, *, tag: bool, keep: bool) -> Path:
    """Put the attempt's files at the job's place; safe to repeat after a crash at any point.

    Args:
        folder: the attempt's own folder, with upstream's tree under `logs/`.
        tag: mark result.json with `infra_error` and `infra_class`.
        keep: a sound result that is there already stays (a failure does not replace what was bought before).

    Raises:
        OSError: nothing has been lost; everything is in the attempt's folder or at its old place.
    """
    staged, target = result_folder(folder / "logs", spec), result_folder(Path(plan.logs_dir), spec)
    if keep and (target / RESULT).exists():
        return target
    if not staged.is_dir():
        if outcome.is_result and (target / RESULT).is_file():
            return target  # moved by a runner that was killed before it could say so
        staged.mkdir(parents=True, exist_ok=True)
    _complete(plan, spec, folder, staged, target, outcome, tag=tag)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not outcome.is_result or staged.stat().st_dev != target.parent.stat().st_dev:
        # Failed attempts stay where they are, whole; what is delivered is a copy.
        copy = target.parent / f".{target.name}.delivering"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(staged, copy)
        staged = copy
    if target.exists():
        _put_aside(target, folder / "replaced")
    staged.rename(target)
    _sync(target.parent)
    return target


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Replace a JSON file in one step, durably; raises OSError with the old file as it was."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise


def _complete(
    plan: Plan, spec: JobSpec, folder: Path, staged: Path, target: Path, outcome: Outcome, *, tag: bool
) -> None:
    """Give result.json its final place and, where due, its tag; make one where upstream left none it could use.

    An evaluation that came to no verdict stays behind.
    """
    path = staged / RESULT
    try:
        values = load_result(path)
    except FileNotFoundError:
        values = _stand_in(plan, spec, outcome)
    except NotAResult:
        _reject(path, folder)
        values = _stand_in(plan, spec, outcome)
    else:
        # What could not be read is no sound result either, whatever stands in it.
        if outcome.failure in {"corrupt", "quarantine"}:
            _reject(path, folder)
            values = _stand_in(plan, spec, outcome)
    tested = read_tested(staged)
    if tested is not None and tested.verdict == "error":
        # Upstream writes one all the same, and would skip the evaluation for ever.
        (staged / EVAL).replace(folder / KEPT_EVAL)
    values["log_dir"] = os.path.relpath(target) if target.is_relative_to(Path.cwd()) else str(target)
    if tag:
        values["infra_error"] = True
        values["infra_class"] = outcome.failure
    write_json(path, values)


def _reject(path: Path, folder: Path) -> None:
    # When a delivery is repeated, what stands there is our own stand-in, and upstream's file is kept already.
    if not (folder / KEPT).exists():
        path.replace(folder / KEPT)


def _stand_in(plan: Plan, spec: JobSpec, outcome: Outcome) -> dict[str, Any]:
    """A result.json in upstream's shape for a job that has none; its status makes upstream run the job again."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    agent: dict[str, Any] = {
        "status": "Error",
        "cost": 0,
        "steps": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "patch_lines": 0,
        "error": outcome.evidence,
    }
    features = sorted(spec.pair.features)
    mode = SETTINGS[spec.setting].mode
    agents: dict[str, Any] = (
        {"agent": agent}
        if mode == "solo"
        else {
            "agents": {
                f"agent{place}": {"feature_id": feature, **agent} for place, feature in enumerate(features, start=1)
            }
        }
    )
    return {
        "repo": spec.pair.repo,
        "task_id": spec.pair.task,
        "features": features,
        "setting": mode,
        "run_id": None,
        "run_name": spec.run_name,
        "agent_framework": plan.agent,
        "model": spec.model,
        "started_at": now,
        "ended_at": now,
        "duration_seconds": 0.0,
        **agents,
        "total_cost": outcome.cost_usd or 0,
        "total_steps": 0,
    }


def _put_aside(source: Path, target: Path) -> None:
    if target.exists():
        # It was put aside before a crash: what stands there now is what was delivered then.
        shutil.rmtree(source)
        return
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial)
        partial.rename(target)
        shutil.rmtree(source)


def _sync(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
