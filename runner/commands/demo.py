"""`coopdeck demo`: the recorded sweep of 300 jobs, rehearsed anew every time."""

import argparse
import shutil
from pathlib import Path

from runner.adapters.places import Places, absolute
from runner.commands.planning import check_options, plan_sweep
from runner.commands.run import launch


def execute(options: argparse.Namespace) -> int:
    """Its state is kept apart from the project's own sweeps, in `.coopdeck/demo`."""
    places = Places(Path.cwd() / ".coopdeck" / "demo")
    sweep = str(options.sweep)
    if places.runner_pid(sweep) is not None and not (options.headless or options.json or options.detach):
        from runner.commands.dashboard import show_running

        return show_running(places, sweep)
    if options.faults is not None:
        # Where the user stands, and not where the demo keeps its own.
        options.faults = str(absolute(Path.cwd(), options.faults))
    check_options(options, places.root)
    if places.runner_pid(sweep) is None:
        shutil.rmtree(places.root, ignore_errors=True)
    places.root.mkdir(parents=True, exist_ok=True)
    plan, jobs = plan_sweep(options, places.root)
    return launch(options, places, plan, jobs)
