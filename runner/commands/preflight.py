"""What must be there before a real sweep may cost anything; each refusal names the remedy."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from runner.adapters.cooperbench import delivered_result
from runner.checks.dataset import check_dataset
from runner.checks.docker import check_engine
from runner.checks.models import check_models
from runner.checks.program import check_program
from runner.checks.redis import check_redis
from runner.checks.surroundings import misspelt
from runner.checks.wanted import wanted_by
from runner.commands.defaults import OPTIONS
from runner.model.check import Finding
from runner.model.plan import JobSpec, Plan
from runner.model.refusal import PreflightRefused


def check_ready(plan: Plan, jobs: tuple[JobSpec, ...], root: Path, *, ping: bool = True) -> None:
    """Say what is doubtful on standard error, and refuse what cannot go well; a rehearsal needs nothing.

    `ping` asks each model for one token; without it, keys are looked at and nobody is asked.

    Raises:
        PreflightRefused: the first thing that is wrong.
    """
    if plan.rehearsal is not None:
        return
    left = jobs if plan.force else tuple(job for job in jobs if delivered_result(plan, job) is None)
    if not left:
        return  # nothing will be started
    wanted = wanted_by(plan, left, root, ping=ping)
    _refuse(Finding("environment", "warn", *said) for said in misspelt(wanted.caller, OPTIONS))
    for look in (check_dataset, check_engine):
        _refuse(look(wanted))
    # A Redis may still come: jobs that need one are held until then, and the others go on.
    _refuse(replace(finding, verdict="warn") for finding in check_redis(wanted) if finding.verdict == "fail")
    _refuse(check_program(wanted, quick=True))
    if ping and sys.stderr.isatty():
        print(f"coopdeck: asking {', '.join(wanted.models)} for one token (--no-ping leaves that out)", file=sys.stderr)
    _refuse(check_models(wanted))


def _refuse(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.verdict == "fail":
            raise PreflightRefused(finding.sentence)
        if finding.verdict == "warn":
            print(f"coopdeck: {finding.sentence}", file=sys.stderr)
