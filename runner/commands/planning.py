"""From the options of `run` to a plan and its jobs: everything is checked here, and nothing is made."""

import argparse
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from runner.adapters.dataset import read_dataset
from runner.adapters.ledger import read_board
from runner.adapters.places import Places, absolute
from runner.adapters.program import default_cooperbench, find_cooperbench
from runner.adapters.recorded import recorded_prior
from runner.adapters.redis_ping import address_of
from runner.checks.program import unknown_flag
from runner.commands.defaults import place_of
from runner.commands.upstream_flags import THEIRS, check_extra, check_url
from runner.model.board import Board
from runner.model.ids import PairId
from runner.model.plan import AGENT, OWN_REDIS, JobSpec, Plan, Rehearsal
from runner.model.queue import check_models, check_settings, check_sweep_name, default_sweep_name, make_jobs
from runner.model.refusal import UsageRefused
from runner.model.selection import select_pairs
from runner.model.settings import DEFAULT_SETTINGS
from runner.rehearsal.config import ConfigError
from runner.rehearsal.faults import read_plan

REHEARSED_MODEL = "command-a"
# -P: the folder one stands in may hold a `runner` of its own.
REHEARSAL = (sys.executable, "-P", "-m", "runner.rehearsal")
SELECTION = frozenset({"subset", "repo", "task", "pairs", "smoke"})
MORE_JOBS = SELECTION | {"settings", "repeats"}


def plan_sweep(options: argparse.Namespace, root: Path | None = None) -> tuple[Plan, tuple[JobSpec, ...]]:
    """What `options` ask for; for a sweep that is known already, its own plan with what was asked for now.

    `options` are those of `run` or `demo`, resolved; `root` is the project's folder, else the current one.

    Raises:
        UsageRefused: something cannot be meant, or is not there.
    """
    root = Path.cwd() if root is None else root
    asked = _Asked(options, root)
    asked.check()
    if options.sweep is not None:
        name = check_sweep_name(options.sweep)
        known = _known(root, name)
        if known is not None:
            return asked.again(known)
        return asked.anew(name)
    plan, jobs = asked.anew(None)
    known = _known(root, plan.sweep)
    return (plan, jobs) if known is None else asked.again(known)


def _known(root: Path, name: str) -> Board | None:
    """The board of a sweep that was planned before."""
    ledger = Places(root).ledger(name)
    board = read_board(ledger) if ledger.is_file() else None
    return board if board is not None and board.plan is not None and board.order else None


@dataclass(frozen=True, slots=True)
class _Asked:
    options: argparse.Namespace
    root: Path

    def check(self) -> None:
        """What can be told wrong without knowing the sweep."""
        check_files(self.options, self.root)
        if self.options.settings:
            check_settings(self.options.settings)
        if self.options.faults is not None:
            try:
                read_plan(Path(self._absolute(self.options.faults)))
            except ConfigError as error:
                says = str(error).removesuffix(".")
                raise UsageRefused(f"{place_of(self.options, 'faults')}: {says[:1].lower()}{says[1:]}") from None
        if self.options.log_dir is not None:
            logs = Path(self._absolute(self.options.log_dir))
            if os.path.exists(logs) and not logs.is_dir():  # noqa: PTH110 - never raises
                raise UsageRefused(
                    f"{place_of(self.options, 'log_dir')} names {logs}, which is not a folder; name another"
                )
        check_redis(self.options)
        check_extra(self.options.extra)
        if self.options.rehearse and (unknown := unknown_flag(self.options.extra, THEIRS)):
            raise UsageRefused(f"upstream's run has no flag {unknown}, which stands behind --; leave it out")
        if self.options.rehearse and self._flag("launcher"):
            raise UsageRefused("--launcher is for the real program; leave it out of a rehearsal")
        if self.options.rehearse and self._flag("cooperbench"):
            raise UsageRefused("--cooperbench and --rehearse exclude each other; leave one of them out")

    def anew(self, name: str | None) -> tuple[Plan, tuple[JobSpec, ...]]:
        options = self.options
        pairs = self._pairs()
        settings = check_settings(options.settings or DEFAULT_SETTINGS)
        models = options.model or ((REHEARSED_MODEL,) if options.rehearse else ())
        if not models:
            raise UsageRefused("no model is named: pass -m MODEL, as litellm names it, like -m openai/gpt-4o")
        models = check_models(models)
        if not options.rehearse:
            self._rehearse_only()
        name = name or default_sweep_name(
            models,
            subset=options.subset,
            repos=options.repo,
            task=options.task,
            pairs=pairs if options.pairs else (),
            smoke=options.smoke,
            rehearsal=bool(options.rehearse),
        )
        plan = Plan(
            sweep=name,
            program=REHEARSAL if options.rehearse else self._program(None),
            logs_dir=self._absolute(options.log_dir or "logs"),
            settings=settings,
            models=models,
            agent=options.agent or AGENT,
            git=bool(options.git),
            backend=options.backend or "docker",
            dataset_dir=self._absolute(options.dataset_dir) if options.dataset_dir is not None else None,
            extra=options.extra,
            rehearsal=self._rehearsal(Rehearsal()) if options.rehearse else None,
        )
        return self._limits(plan), make_jobs(name, settings, pairs, models, options.repeats or 1)

    def again(self, board: Board) -> tuple[Plan, tuple[JobSpec, ...]]:
        """The known sweep's plan: limits may change and jobs may be added, but never what its results mean."""
        plan = board.plan
        assert plan is not None  # noqa: S101 - _known gives no other
        self._same(plan)
        jobs = tuple(board.jobs[job].spec for job in board.order)
        if plan.rehearsal is not None:
            plan = replace(plan, program=REHEARSAL, rehearsal=self._rehearsal(plan.rehearsal))
        else:
            self._rehearse_only()
            plan = replace(plan, program=self._program(plan.program))
        plan = self._limits(plan)
        if not any(self._flag(name) for name in MORE_JOBS):
            return plan, jobs
        wanted = check_settings(self.options.settings) if self._flag("settings") else plan.settings
        pairs = (
            self._pairs()
            if any(self._flag(name) for name in SELECTION)
            else tuple(dict.fromkeys(job.pair for job in jobs))
        )
        repeats = self.options.repeats or max(job.repeat for job in jobs)
        known = {job.id for job in jobs}
        more = make_jobs(plan.sweep, wanted, pairs, plan.models, repeats)
        settings = tuple(dict.fromkeys((*plan.settings, *wanted)))
        return replace(plan, settings=settings), jobs + tuple(job for job in more if job.id not in known)

    def _same(self, plan: Plan) -> None:
        """Refuse what would mix results of different kinds under one name."""
        options = self.options
        if plan.rehearsal is None and options.rehearse:
            raise UsageRefused(f"the sweep '{plan.sweep}' is a real one; give the rehearsal another name")
        if plan.rehearsal is not None and self._flag("model") and not options.rehearse:
            raise UsageRefused(
                f"the sweep '{plan.sweep}' is a rehearsal; give the real one another name, or add --rehearse"
            )
        logs_dir = self._absolute(options.log_dir) if options.log_dir is not None else None
        dataset_dir = self._absolute(options.dataset_dir) if options.dataset_dir is not None else None
        for flag, now, then in (
            ("model", tuple(dict.fromkeys(options.model)), plan.models),
            ("agent", options.agent, plan.agent),
            ("backend", options.backend, plan.backend),
            ("git", options.git, plan.git),
            ("log_dir", logs_dir, plan.logs_dir),
            ("dataset_dir", dataset_dir, plan.dataset_dir),
        ):
            if self._flag(flag) and now != then:
                shown = ", ".join(then) if isinstance(then, tuple) else then or "none"
                raise UsageRefused(
                    f"the sweep '{plan.sweep}' was planned with another --{flag.replace('_', '-')} ({shown}); "
                    "give the new one another name"
                )
        if options.extra and options.extra != plan.extra:
            raise UsageRefused(
                f"the sweep '{plan.sweep}' was planned with other arguments for upstream; give the new one another name"
            )

    def _limits(self, plan: Plan) -> Plan:
        """What may be different every time a sweep is started."""
        options = self.options
        config = self._absolute(options.agent_config) if options.agent_config is not None else plan.agent_config
        return replace(
            plan,
            slots=options.slots or plan.slots,
            attempts=options.attempts or plan.attempts,
            timeout_s=options.timeout or plan.timeout_s,
            stall_s=options.stall or plan.stall_s,
            prices=options.prices or plan.prices,
            budget_usd=options.budget or plan.budget_usd,
            redis=options.redis or plan.redis,
            launcher=options.launcher or plan.launcher,
            evaluate=plan.evaluate if options.eval is None else options.eval,
            pull=not options.no_pull,
            prior=recorded_prior(),
            agent_config=config,
        )

    def _pairs(self) -> tuple[PairId, ...]:
        return selected_pairs(self.options, self.root)

    def _program(self, known: tuple[str, ...] | None) -> tuple[str, ...]:
        named: str | None = self.options.cooperbench
        path = default_cooperbench(self.root)
        if named is None and not path.is_file():
            if known is not None and Path(known[0]).is_file():
                named = known[0]
            elif self.options.dry_run:
                # A plan can be read before anything is installed.
                return (str(path),)
        return (str(find_cooperbench(named, self.root)),)

    def _rehearsal(self, known: Rehearsal) -> Rehearsal:
        options = self.options
        return Rehearsal(
            speed=options.speed or known.speed,
            seed=known.seed if options.seed is None else options.seed,
            faults=known.faults if options.faults is None else self._absolute(options.faults),
        )

    def _rehearse_only(self) -> None:
        for name in ("speed", "seed", "faults"):
            if self._flag(name):
                raise UsageRefused(f"--{name} is for a rehearsal; add --rehearse, or leave it out")

    def _flag(self, name: str) -> bool:
        given: dict[str, str] = self.options.given
        return given.get(name) == "flag"

    def _absolute(self, path: str) -> str:
        return str(absolute(self.root, path))


def selected_pairs(options: argparse.Namespace, root: Path) -> tuple[PairId, ...]:
    """The pairs that resolved options select. Raises UsageRefused."""
    dataset = absolute(root, options.dataset_dir) if options.dataset_dir is not None else None
    return select_pairs(
        read_dataset(dataset),
        subset=options.subset,
        repos=options.repo,
        task=options.task,
        pairs=options.pairs,
        smoke=options.smoke,
    )


def check_options(options: argparse.Namespace, root: Path) -> None:
    """Raises UsageRefused for what can be told wrong without knowing the sweep."""
    _Asked(options, root).check()


def check_redis(options: argparse.Namespace) -> None:
    """Raises UsageRefused for an address that upstream cannot be given."""
    if options.redis in {None, OWN_REDIS}:
        return
    place = place_of(options, "redis")
    check_url(place, options.redis, f"name one without, or say --redis {OWN_REDIS}")
    try:
        address_of(options.redis)
    except ValueError as error:
        raise UsageRefused(f"{place}: {error}, or say --redis {OWN_REDIS}") from None


def check_files(options: argparse.Namespace, root: Path) -> None:
    """Raises UsageRefused for an option that names a file which is not there."""
    for name in ("agent_config", "faults"):
        value = getattr(options, name)
        if value is not None and not os.path.isfile(path := absolute(root, value)):  # noqa: PTH113 - never raises
            raise UsageRefused(f"{place_of(options, name)} names {path}, and there is no such file; name another")
