"""`coopdeck run --dry-run`: the plan, its forecast and the exact commands; nothing is started or written."""

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import anyio

from runner.adapters.cooperbench import CooperbenchFiles, command
from runner.adapters.places import Places
from runner.checks.surroundings import agents_variables
from runner.checks.wanted import wanted_by
from runner.commands.doctor import variable_line
from runner.commands.planning import plan_sweep
from runner.model.forecast import Forecast, forecast_jobs
from runner.model.plan import JobSpec, Plan
from runner.model.summary import span


def execute(options: argparse.Namespace) -> int:
    root = Path.cwd()
    plan, jobs = plan_sweep(options, root)
    there = frozenset() if options.force else anyio.run(_delivered, root, plan, jobs)
    to_run = [job for job in jobs if job.id not in there]
    forecast = forecast_jobs(to_run, plan.prior, slots=plan.slots, speed=plan.speed)
    sweep_dir = Places(root).sweep_dir(plan.sweep)
    argvs = [
        (job, command(plan, job, sweep_dir / "attempts" / job.id / "1" / "logs")) for job in jobs if job.id not in there
    ]
    variables = agents_variables(wanted_by(plan, jobs, root, ping=False)) if plan.rehearsal is None else []
    if options.json:
        print(json.dumps(_shape(plan, jobs, len(there), forecast)))
        for variable in variables:
            print(json.dumps(variable.shape))
        for job, argv in argvs:
            shape = {"type": "command", "job": job.id, "setting": job.setting, "pair": str(job.pair)}
            print(json.dumps(shape | {"run_name": job.run_name, "model": job.model, "argv": argv}))
        return 0
    for line in _text(plan, jobs, len(there), forecast):
        print(line)
    if variables:
        print("in the environment of the agents (secrets masked):")
        for variable in variables:
            print(variable_line(variable))
    print("nothing was started; the commands are:")
    for _, argv in argvs:
        print(shlex.join(argv))
    return 0


async def _delivered(root: Path, plan: Plan, jobs: Sequence[JobSpec]) -> frozenset[str]:
    """The jobs that have a sound result already."""
    files = CooperbenchFiles(root)
    return frozenset([job.id for job in jobs if await files.delivered(plan, job) is not None])


def _folders(plan: Plan, jobs: Sequence[JobSpec]) -> dict[str, list[str]]:
    """The run names of each setting, which are folders below the logs folder."""
    names: dict[str, dict[str, None]] = {setting: {} for setting in plan.settings}
    for job in jobs:
        names[job.setting][job.run_name] = None
    return {setting: list(runs) for setting, runs in names.items()}


def _text(plan: Plan, jobs: Sequence[JobSpec], there: int, forecast: Forecast) -> list[str]:
    kind = f", a rehearsal at x{plan.speed:g}: no agent works, nothing is spent" if plan.rehearsal else ""
    budget = f", budget ${plan.budget_usd:,.2f}" if plan.budget_usd is not None else ""
    limits = f"{plan.slots} slots, {plan.attempts} tries each, at most {span(plan.timeout_s)} a try{budget}"
    lines = [
        f"sweep {plan.sweep}{kind}",
        f"{len(jobs)} jobs, {limits}",
        f"models {', '.join(plan.models)}, agent {plan.agent}, backend {plan.backend}",
    ]
    folders = _folders(plan, jobs)
    for setting, runs in folders.items():
        count = sum(job.setting == setting for job in jobs)
        part = forecast.by_setting.get(setting)
        cost = f"  about ${part.left_usd:,.2f}" if part and part.left_usd is not None else ""
        lines.append(f"  {setting:12} {count:4} jobs{cost}")
        lines += [f"    {plan.logs_dir}/{run}" for run in runs]
    if there:
        lines.append(f"{there} of them have results already and will be skipped")
    if forecast.wall_s is not None and forecast.left_usd is not None and forecast.cost_p90_usd is not None:
        lines.append(
            f"forecast ${forecast.left_usd:,.2f} (p90 ${forecast.cost_p90_usd:,.2f}) and {span(forecast.wall_s)}, "
            "if jobs go as the recorded runs of command-a did"
        )
    if not Path(plan.program[0]).exists():
        lines.append(f"there is no cooperbench at {plan.program[0]} yet: run coopdeck setup first")
    return lines


def _shape(plan: Plan, jobs: Sequence[JobSpec], there: int, forecast: Forecast) -> dict[str, object]:
    folders = _folders(plan, jobs)
    return {
        "type": "plan",
        "sweep": plan.sweep,
        "jobs": len(jobs),
        "skipped": there,
        "slots": plan.slots,
        "attempts": plan.attempts,
        "timeout_s": plan.timeout_s,
        "budget_usd": plan.budget_usd,
        "models": plan.models,
        "agent": plan.agent,
        "backend": plan.backend,
        "logs_dir": plan.logs_dir,
        "rehearsal": plan.rehearsal is not None,
        "speed": plan.speed if plan.rehearsal else None,
        "cost_usd": forecast.left_usd,
        "cost_p90_usd": forecast.cost_p90_usd,
        "wall_s": forecast.wall_s,
        "by_setting": {
            setting: {
                "jobs": sum(job.setting == setting for job in jobs),
                "run_names": runs,
                "folders": [f"{plan.logs_dir}/{run}" for run in runs],
                "cost_usd": part.left_usd if (part := forecast.by_setting.get(setting)) else 0.0,
            }
            for setting, runs in folders.items()
        },
    }
