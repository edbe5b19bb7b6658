"""`cooperbench run`."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from runner.rehearsal import console
from runner.rehearsal.console import say
from runner.rehearsal.endings import traceback
from runner.rehearsal.evaluate import Delivered, evaluate, verdict_of
from runner.rehearsal.job import Ended, Order, earlier_result, play
from runner.rehearsal.output import Record, write_json
from runner.rehearsal.selection import Pair


class Tally:
    """What one invocation did."""

    __slots__ = ("agent_time", "completed", "cost", "evals", "results", "skipped", "worth")

    def __init__(self) -> None:
        self.completed = 0
        self.skipped = 0
        self.cost = 0.0
        # With the skipped ones, as upstream prints it.
        self.worth = 0.0
        self.agent_time = 0.0
        self.results: list[dict[str, object]] = []
        self.evals = {"pass": 0, "fail": 0, "error": 0}


def run_command(order: Order, selected: list[Pair], *, concurrency: int, auto_eval: bool) -> int:
    faults = {pair: order.fault_for(pair) for pair in selected}
    names = {pair: fault.name for pair, fault in faults.items() if fault}
    pairs = [pair for pair in selected if names.get(pair) != "no-tasks"]
    if not pairs:
        say("no tasks found")
        return 0
    begun = time.monotonic()
    console.header(
        name=order.name,
        setting=order.setting,
        what=_what(pairs, concurrency),
        agent=order.agent,
        model=order.model,
        messaging=order.messaging,
        git=order.git,
    )
    if "redis" in names.values():
        # Upstream only asks Redis when agents may talk; a plan may ask for it anyway.
        return traceback("redis")
    if order.setting != "solo" and order.messaging:
        say("  redis connected")
    root = order.logs / order.name
    root.mkdir(parents=True, exist_ok=True)
    _write_config(root, order, len(pairs), concurrency)
    tally = Tally()
    try:
        for pair in pairs:
            _run_pair(order, pair, tally, single=len(pairs) == 1)
            if auto_eval:
                _evaluate_pair(order, pair, tally, single=len(pairs) == 1)
    except Ended as ended:
        return ended.status
    wall = time.monotonic() - begun
    _write_summary(root, order, len(pairs), tally, wall, auto_eval=auto_eval)
    counts = tally.evals
    console.summary(
        completed=tally.completed,
        skipped=tally.skipped,
        cost=tally.worth,
        wall=wall,
        agent_time=tally.agent_time,
        logs=str(root / order.setting),
        evals=(counts["pass"], counts["fail"], counts["error"]) if auto_eval else None,
    )
    return 0


def _what(pairs: list[Pair], concurrency: int) -> str:
    if len(pairs) > 1:
        return f"tasks: {len(pairs)} concurrency: {concurrency}"
    pair = pairs[0]
    return f"task: {pair.repo}/{pair.task} features: {list(pair.features)}"


def _run_pair(order: Order, pair: Pair, tally: Tally, *, single: bool) -> None:
    earlier = earlier_result(order, pair)
    if earlier is not None:
        tally.skipped += 1
        cost = _number(earlier.get("total_cost"))
        if single:
            say("→ skip (already completed)")
    else:
        record = play(order, pair, quiet=not single)
        tally.completed += 1
        tally.agent_time += record.duration
        cost = record.total_cost
        if single:
            _print_table(record, pair)
    tally.worth += cost
    # Upstream's summary leaves the cost of a single skipped pair out.
    tally.cost += cost if earlier is None or not single else 0
    if not single:
        status = "skip" if earlier is not None else "done"
        tally.results.append({"task": _title(pair), "status": status, "cost": cost})
        say(f"{'→' if earlier is not None else '✓'} done {pair.repo}/{pair.task} [{pair.commas}]")


def _title(pair: Pair) -> str:
    return f"{pair.repo}/{pair.task}/{pair.commas}"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _print_table(record: Record, pair: Pair) -> None:
    rows = [
        (
            agent.agent_id,
            agent.label,
            agent.status,
            record.cost(agent),
            agent.steps,
            len(agent.patch.splitlines()),
        )
        for agent in sorted(record.agents, key=lambda agent: agent.end)
    ]
    console.table(rows, record.total_cost, record.duration)


def _evaluate_pair(order: Order, pair: Pair, tally: Tally, *, single: bool) -> None:
    folder = order.folder(pair)
    if (folder / "eval.json").exists() and not order.force:
        return
    delivered = Delivered(order.setting, Pair(pair.repo, pair.task, tuple(sorted(pair.features))), folder)
    verdict = verdict_of(evaluate(delivered, order.config, order.plan))
    tally.evals[verdict] += 1
    if not single:
        tally.results[-1]["eval"] = verdict


def _write_config(root: Path, order: Order, total: int, concurrency: int) -> None:
    write_json(
        root / "config.json",
        {
            "run_name": order.name,
            "agent_framework": order.agent,
            "model": order.model,
            "setting": order.setting,
            "concurrency": concurrency,
            "total_tasks": total,
            "started_at": datetime.now().isoformat(),
        },
    )


def _write_summary(root: Path, order: Order, total: int, tally: Tally, wall: float, *, auto_eval: bool) -> None:
    summary: dict[str, object] = {
        "run_name": order.name,
        "completed_at": datetime.now().isoformat(),
        "pass_rate": None,
        "total_tasks": total,
        "completed": tally.completed,
        "skipped": tally.skipped,
        "failed": 0,
        "total_cost": tally.cost,
        "total_time_seconds": wall,
        "results": tally.results,
    }
    if auto_eval:
        counts = tally.evals
        rate = counts["pass"] / max(counts["pass"] + counts["fail"], 1)
        summary["pass_rate"] = rate
        summary["eval"] = {
            "total_evaluated": sum(counts.values()),
            "passed": counts["pass"],
            "failed": counts["fail"],
            "errors": counts["error"],
            "skipped": 0,
            "pass_rate": rate,
        }
    write_json(root / "summary.json", summary)
