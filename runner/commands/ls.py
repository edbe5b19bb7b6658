"""`coopdeck ls`."""

import argparse
import json
from datetime import datetime
from pathlib import Path

from runner.commands.sweeps import Known, known_sweeps
from runner.model.hidden import plain
from runner.model.refusal import UsageRefused
from runner.model.summary import Summary, summarise


def execute(options: argparse.Namespace) -> int:
    """All sweeps, the newest first; one that cannot be read is named and does not hide the others."""
    root = Path.cwd()
    sweeps = known_sweeps(root)
    if not sweeps and not options.json:
        print(f"no sweep in {root} yet; start one with coopdeck run, or see coopdeck demo")
    width = max((len(sweep.name) for sweep in sweeps), default=0)
    for sweep in sweeps:
        try:
            board = sweep.board()
        except UsageRefused as error:
            if options.json:
                print(json.dumps({"type": "sweep", "sweep": sweep.name, "state": "unreadable", "error": str(error)}))
            else:
                print(plain(f"{sweep.name:{width}}  unreadable: {error}"))
            continue
        summary, state = summarise(board, sweep.now(board)), sweep.state(board)
        if options.json:
            print(json.dumps(_shape(sweep, summary, state, board.at)))
            continue
        when = "nothing planned" if board.plan is None else datetime.fromtimestamp(board.at).strftime("%Y-%m-%d %H:%M")
        total = summary.total
        failed = f"  {total.failed} failed" if total.failed else ""
        kind = "  rehearsal" if summary.speed is not None else ""
        print(plain(f"{sweep.name:{width}}  {state:8}  {total.results:4}/{total.jobs:<4}  ${total.cost_usd:8.2f}"
                    f"  {when}{kind}{failed}"))  # fmt: skip
    return 0


def _shape(sweep: Known, summary: Summary, state: str, at: float) -> dict[str, object]:
    total = summary.total
    return {
        "type": "sweep",
        "sweep": sweep.name,
        "state": state,
        "pid": sweep.pid,
        "jobs": total.jobs,
        "results": total.results,
        "failed": total.failed,
        "cost_usd": total.cost_usd,
        "rehearsal": summary.speed is not None,
        "at": at,
    }
