"""`coopdeck run`: plan, check, start the runner, watch."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from runner.adapters.cooperbench import other_results
from runner.adapters.ledger import read_board
from runner.adapters.places import Places
from runner.checks.folders import check_unwritable
from runner.commands.planning import plan_sweep
from runner.commands.starting import drain, start_checked
from runner.daemon import StartOrder
from runner.model.plan import JobSpec, Plan
from runner.model.refusal import PreflightRefused, UsageRefused


def execute(options: argparse.Namespace) -> int:
    """Exit status 0 when every job has a result, 1 when not, 130 when the user stopped it."""
    root = Path.cwd()
    plan, jobs = plan_sweep(options, root)
    return launch(options, Places(root), plan, jobs)


def launch(options: argparse.Namespace, places: Places, plan: Plan, jobs: tuple[JobSpec, ...]) -> int:
    """Start the sweep's runner and stay with it as the options ask: as a dashboard, as lines, or not at all."""
    sweep = plan.sweep
    pid = places.runner_pid(sweep)
    if pid is not None:
        raise UsageRefused(f"the sweep '{sweep}' is running (pid {pid}); watch it with: coopdeck attach {sweep}")
    plan = replace(plan, force=bool(options.force))
    if not plan.force:
        for job in jobs:
            _refuse_others(plan, job)
    for folder in (places.state, Path(plan.logs_dir)):
        for found in check_unwritable(folder):
            # Said before anything is spent on a result that could not be delivered.
            raise PreflightRefused(found.sentence)
    headless = options.headless or options.json or not (sys.stdin.isatty() and sys.stdout.isatty())
    ledger = places.ledger(sweep)
    last_seq = read_board(ledger).seq if ledger.is_file() else 0
    order = StartOrder(str(places.root), sweep, plan, jobs, expects_client=not options.detach)
    start_checked(places, order, plan, jobs, ping=not options.no_ping)
    if options.detach:
        print(f"the sweep '{sweep}' runs in the background: coopdeck attach {sweep}")
        return 0
    try:
        if headless:
            from runner.commands.headless import watch

            return watch(places, sweep, last_seq, as_json=bool(options.json))
        from runner.commands.dashboard import show_running

        return show_running(places, sweep)
    except KeyboardInterrupt:
        # Pressed before anybody listened for it: whoever starts a sweep and takes it back pays for no more of it.
        pid = places.runner_pid(sweep)
        if pid:
            drain(pid)
        raise


def _refuse_others(plan: Plan, job: JobSpec) -> None:
    """Results of another model under this name would be bought again and replaced: ask first."""
    other = other_results(plan, job)
    if other is not None:
        raise UsageRefused(
            f"{other[0]} holds a result of {other[1]}, not of {job.model} with {plan.agent}; "
            f"give the sweep another name, or add --force to run those jobs again"
        )
