"""`config.json` and `summary.json` of each run name, as upstream writes them, right however many jobs ran at once."""

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.adapters.delivery import write_json
from runner.adapters.result_files import load_result
from runner.adapters.result_shape import NotAResult
from runner.model.board import Board
from runner.model.rows import JobRow
from runner.model.settings import SETTINGS

SUMMARY_LIMIT = 64 * 1024 * 1024
"""It names every task."""
_STATUS = {"done": "done", "skipped": "skip", "failed": "failed"}


def write_run_files(board: Board) -> None:
    """Raises OSError; whatever was there before is then as it was."""
    plan = board.plan
    if plan is None:
        return
    runs: dict[str, list[JobRow]] = defaultdict(list)
    for job in board.order:
        runs[board.jobs[job].spec.run_name].append(board.jobs[job])
    for run_name, rows in runs.items():
        folder = Path(plan.logs_dir) / run_name
        if not folder.is_dir():
            continue
        starts = [row.attempts[0].starting_at for row in rows if row.attempts]
        ends = [attempt.ended_at for row in rows for attempt in row.attempts if attempt.ended_at is not None]
        spec = rows[0].spec
        write_json(
            folder / "config.json",
            {
                "run_name": run_name,
                "agent_framework": plan.agent,
                "model": spec.model,
                "setting": SETTINGS[spec.setting].mode,
                "concurrency": plan.slots,
                "total_tasks": len(rows),
                "started_at": _iso(min(starts, default=board.at)),
            },
        )
        settled = [row for row in rows if row.settled and row.outcome is not None]
        summary: dict[str, Any] = {
            "run_name": run_name,
            "completed_at": _iso(max(ends, default=board.at)),
            "pass_rate": None,
            "total_tasks": len(rows),
            "completed": sum(row.state == "done" for row in rows),
            "skipped": sum(row.state == "skipped" for row in rows),
            "failed": sum(row.state == "failed" for row in rows),
            "total_cost": sum(row.outcome.cost_usd or 0.0 for row in settled if row.outcome),
            "total_time_seconds": max(ends) - min(starts) if starts and ends else 0.0,
            "results": [_entry(row) for row in settled if row.state in _STATUS],
        }
        _keep_evaluation(folder / "summary.json", summary)
        write_json(folder / "summary.json", summary)


def _entry(row: JobRow) -> dict[str, Any]:
    features = ",".join(str(feature) for feature in row.spec.pair.features)
    return {
        "task": f"{row.spec.pair.repo}/{row.spec.pair.task}/{features}",
        "status": _STATUS[row.state],
        "cost": row.outcome.cost_usd or 0.0 if row.outcome else 0.0,
    }


def _keep_evaluation(path: Path, summary: dict[str, Any]) -> None:
    """An evaluation that upstream noted in the summary is not ours to forget."""
    try:
        before = load_result(path, SUMMARY_LIMIT)
        summary["eval"] = before["eval"]
        summary["pass_rate"] = before["pass_rate"]
    except (FileNotFoundError, NotAResult, KeyError):
        summary.pop("eval", None)


def _iso(at: float) -> str:
    """Local time without a zone, as upstream's `datetime.now().isoformat()`."""
    return datetime.fromtimestamp(at).isoformat()
