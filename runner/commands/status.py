"""`coopdeck status`."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

from runner.commands.lines import PLAIN, job_name, spent
from runner.commands.sweeps import the_sweep
from runner.model.board import Board
from runner.model.forecast import forecast_board
from runner.model.hidden import plain
from runner.model.rows import JobRow
from runner.model.stall import no_live_data, stuck_jobs
from runner.model.summary import span, summarise
from runner.model.supplies import waiting


def execute(options: argparse.Namespace) -> int:
    """How far the sweep is, what runs in it now, and when and with what cost it should end."""
    sweep = the_sweep(options.sweep, Path.cwd())
    board, now = sweep.planned_board(), time.time()
    state = sweep.state(board)
    summary = summarise(board, sweep.now(board))
    forecast = forecast_board(board)
    running = [row for job in board.order if (row := board.jobs[job]).running is not None]
    # Of a sweep that nobody runs nothing new is told: that is no sign of anything.
    stuck = {row.spec.id: stall for row, stall in stuck_jobs(board, now)} if state == "running" else {}
    holds = [hold.reason for hold in board.holds]
    if trouble := sweep.places.runner_trouble(sweep.name):
        holds.append(f"the ledger cannot be written: {trouble}")
    for supply, number in waiting(board) if state == "running" else ():
        holds.append(f"{number} {'job waits' if number == 1 else 'jobs wait'} for {supply.line}")
    quarantined = [row for job in board.order if (row := board.jobs[job]).quarantined]
    not_warm = board.runner.not_warm if board.runner else ""
    if options.json:
        more = {
            "state": state,
            "runner_pid": sweep.pid,
            "running": [row.spec.id for row in running],
            "stuck": [{"job": job, **asdict(stall)} for job, stall in stuck.items()],
            "slots": board.slots,
            "paused": board.paused,
            "held": holds,
            "quarantined": [{"job": row.spec.id, "why": row.reason} for row in quarantined],
            "not_warm": not_warm,
            "eta_s": forecast.wall_s,
            "forecast_usd": forecast.cost_usd,
        }
        print(json.dumps(summary.to_json("status") | more))
        return 0
    total = summary.total
    print(
        plain(
            f"{summary.sweep}: {state}{_rehearsal(summary.speed)}, {total.results} of {total.jobs} jobs have results, "
            f"{total.failed} failed, {total.unfinished} to go, ${total.cost_usd:.2f} {spent(board.plan)}"
        )
    )
    if state == "running" and total.unfinished and forecast.wall_s is not None:
        print(f"  about {span(forecast.wall_s)} to go with {board.slots} slots, ${forecast.cost_usd:.2f} in the end")
    for reason in [*holds, *(["paused"] if board.paused else [])]:
        print(plain(f"  held: {reason}"))
    for row in quarantined:
        print(plain(f"  in quarantine: {job_name(board, row)}: {row.reason}"))
    if state == "running" and not_warm:
        print(plain(f"  {PLAIN}: {not_warm}"))
    for row in sorted(running, key=lambda row: row.spec.id not in stuck):
        stall = stuck.get(row.spec.id)
        print(plain("  " + _line(board, row, now) + (f"  STUCK: {stall.says}" if stall else "")))
    return 0


def _rehearsal(speed: float | None) -> str:
    return "" if speed is None else f" (a rehearsal at x{speed:g})"


def _line(board: Board, row: JobRow, now: float) -> str:
    attempt = row.running
    assert attempt is not None  # noqa: S101 - only rows that run come here
    doing = ", ".join(f"{agent.agent} {agent.doing}" for agent in row.agents) or row.state
    if no_live_data(row, now):
        doing = "no live data"
    cost = "$?" if attempt.cost_usd is None else f"${attempt.cost_usd:.3f}"
    return (
        f"{job_name(board, row)}  try {attempt.number}  {doing}"
        f"  {row.steps} steps  {cost}  {span(now - attempt.starting_at)}"
    )
