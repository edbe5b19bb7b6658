"""Upstream's `cooperbench`, 0.0.29: its command line, its environment, its files."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from runner import probe
from runner.adapters.container_streams import PLACES, FollowedProbe
from runner.adapters.containers import shim_in_path, shim_variables
from runner.adapters.delivery import RESULT, deliver, result_folder
from runner.adapters.dotenv_file import project_environment
from runner.adapters.evaluations import read_tested, with_tests
from runner.adapters.probe_log import PROBE_NAME, ProbeLog
from runner.adapters.processes import LOG_NAME
from runner.adapters.quarantine import forget, guarded
from runner.adapters.result_files import load_result, no_result_outcome, result_outcome, tail
from runner.adapters.result_shape import NotAResult
from runner.adapters.room import make_room, no_room
from runner.adapters.run_files import write_run_files
from runner.engine.ports import LaunchOrder, Progress, Quarantined
from runner.model.board import Board
from runner.model.failure import one_line
from runner.model.outcome import Outcome
from runner.model.plan import OWN_REDIS, JobSpec, Plan
from runner.model.secrets import Mask, masked_text, secrets_of
from runner.model.settings import SETTINGS

EXTERNAL = "COOPERBENCH_EXTERNAL_AGENTS"
"""Upstream imports the modules that this variable names; so our probe gets in."""
PROBE_MODULE = "coopdeck_probe"
PROBE_FOLDER = str(Path(probe.__file__).parent)

DEFAULTS = {
    "MSWEA_COST_TRACKING": "ignore_errors",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # Rich would wrap the log at 80 columns, and buffered output would come minutes late.
    "COLUMNS": "160",
    "PYTHONUNBUFFERED": "1",
}
"""Set for every attempt unless the caller's environment has a value of its own."""


def command(plan: Plan, spec: JobSpec, staging: Path) -> tuple[str, ...]:
    """The exact argument list of an attempt that writes its files under `staging`."""
    setting = SETTINGS[spec.setting]
    argv = [*plan.program, "run", "-n", spec.run_name, "--setting", setting.mode]
    argv += ["-r", spec.pair.repo, "-t", str(spec.pair.task), "-f", ",".join(map(str, spec.pair.features))]
    argv += ["-m", spec.model, "-a", plan.agent, "-c", "1", "--backend", plan.backend]
    if not plan.evaluate:
        argv.append("--no-auto-eval")
    argv += ["--log-dir", str(staging), *setting.flags]
    if plan.git and setting.takes_git:
        argv.append("--git")
    if plan.redis not in {None, OWN_REDIS} and setting.needs_redis:
        argv += ["--redis", plan.redis]
    if plan.agent_config is not None:
        argv += ["--agent-config", plan.agent_config]
    if plan.dataset_dir is not None:
        argv += ["--dataset-dir", plan.dataset_dir]
    return (*argv, *plan.extra)


def eval_command(plan: Plan, spec: JobSpec, logs: Path) -> tuple[str, ...]:
    """The argument list that evaluates one result below `logs`, upstream's logs folder."""
    argv = [*plan.program, "eval", "-n", spec.run_name, "-r", spec.pair.repo, "-t", str(spec.pair.task)]
    argv += ["-f", ",".join(map(str, spec.pair.features)), "-c", "1", "--backend", plan.backend]
    argv += ["--log-dir", str(logs)]
    if plan.dataset_dir is not None:
        argv += ["--dataset-dir", plan.dataset_dir]
    return tuple(argv)


class CooperbenchFiles:
    """The port `Cooperbench` on the real program's files, which the rehearsal writes too."""

    def __init__(self, working_dir: Path, looks: Path | None = None) -> None:
        """`looks` is the folder where a runner notes at which delivered result it is looking; others note nothing."""
        self._working_dir = working_dir
        self._looks = looks
        self._caller = project_environment(working_dir)
        self.mask: Mask = partial(masked_text, secrets=secrets_of(self._caller))
        """Takes what must not be shown out of what upstream, or a provider through it, has said."""

    def order(self, plan: Plan, spec: JobSpec, number: int, token: str, folder: Path) -> LaunchOrder:
        return LaunchOrder(
            command(plan, spec, folder / "logs"),
            self._environment(plan, spec, number, token, folder),
            folder,
            self._working_dir,
        )

    def evaluation(self, plan: Plan, spec: JobSpec, number: int, token: str, folder: Path) -> LaunchOrder:
        """Evaluate the result that stands in upstream's layout in the folder's `logs`."""
        return LaunchOrder(
            eval_command(plan, spec, folder / "logs"),
            self._environment(plan, spec, number, token, folder),
            folder,
            self._working_dir,
        )

    def _environment(self, plan: Plan, spec: JobSpec, number: int, token: str, folder: Path) -> dict[str, str]:
        environment = DEFAULTS | self._caller
        environment |= {
            "COOPDECK_TOKEN": token,
            "COOPDECK_ATTEMPT": str(number),
            "COOPDECK_REPEAT": str(spec.repeat),
            "COOPDECK_PROBE": str(folder / PROBE_NAME),
            EXTERNAL: _joined(self._caller.get(EXTERNAL), PROBE_MODULE, ","),
            "PYTHONPATH": _joined(self._caller.get("PYTHONPATH"), PROBE_FOLDER, os.pathsep),
        }
        if plan.rehearsal is None:
            environment |= {"COOPDECK_SWEEP": plan.sweep, "COOPDECK_JOB": spec.id} | shim_variables(self._caller)
            # For all of the sweep's jobs alike: only attempts of one environment can be forked from one process.
            if any(SETTINGS[setting].needs_redis for setting in plan.settings):
                environment |= shim_in_path(self._caller)
        else:
            how = {"speed": plan.rehearsal.speed, "seed": plan.rehearsal.seed, "faults": plan.rehearsal.faults}
            environment["COOPDECK_REHEARSAL"] = json.dumps(how)
        return environment

    async def prepare(self, folder: Path) -> None:
        await anyio.to_thread.run_sync(make_room, folder)

    async def delivered(self, plan: Plan, spec: JobSpec) -> tuple[Outcome, str] | None:
        def look() -> tuple[Outcome, str] | None:
            return delivered_result(plan, spec, self.mask)

        if self._looks is None:
            return await anyio.to_thread.run_sync(look)
        place = result_folder(Path(plan.logs_dir), spec)
        return await anyio.to_thread.run_sync(guarded, self._looks / spec.id, f"looked at the result in {place}", look)

    def progress(self, plan: Plan, spec: JobSpec, folder: Path) -> Progress:
        if plan.agent in PLACES and plan.backend == "docker" and plan.rehearsal is None:
            return FollowedProbe(plan, spec, folder, self._caller)
        return ProbeLog(folder, spec.model, plan.prices)

    async def read(self, plan: Plan, spec: JobSpec, folder: Path, exit_status: int | None) -> Outcome:
        def work() -> Outcome:
            says = f"read what this attempt left; its files are in {folder}"
            try:
                return guarded(folder / "reading", says, lambda: _read(plan, spec, folder, exit_status, self.mask))
            except Quarantined as error:
                return Outcome("quarantine", "", str(error), None)

        return await anyio.to_thread.run_sync(work)

    async def deliver(self, plan: Plan, spec: JobSpec, folder: Path, outcome: Outcome, *, tag: bool) -> str:
        mark = folder / "delivering"
        says = f"delivered what this attempt left; its files are in {folder}"

        def move() -> str:
            keep = not outcome.is_result and delivered_result(plan, spec) is not None
            return str(deliver(plan, spec, folder, outcome, tag=tag, keep=keep))

        def work() -> str:
            try:
                return guarded(mark, says, move)
            except Quarantined:
                forget(mark)
                raise

        return await anyio.to_thread.run_sync(work)

    async def finish(self, board: Board) -> None:
        # These two files repeat what the ledger and the results hold; they never stop a sweep from ending.
        with suppress(OSError):
            await anyio.to_thread.run_sync(write_run_files, board)


def _joined(theirs: str | None, ours: str, separator: str) -> str:
    """What the user has set comes first and stays."""
    return f"{theirs}{separator}{ours}" if theirs else ours


def delivered_result(plan: Plan, spec: JobSpec, mask: Mask = masked_text) -> tuple[Outcome, str] | None:
    """The sound result that stands at the job's place, and its folder."""
    folder = result_folder(Path(plan.logs_dir), spec)
    try:
        # Of a failure nobody asks here why: its trajectories, which may be huge, are not read.
        outcome = result_outcome(load_result(folder / RESULT), spec, folder, trajectory_limit=0, mask=mask)
    except (NotAResult, FileNotFoundError):
        return None
    return (replace(outcome, tested=read_tested(folder, mask)), str(folder)) if outcome.is_result else None


def _read(plan: Plan, spec: JobSpec, folder: Path, exit_status: int | None, mask: Mask) -> Outcome:
    staged = result_folder(folder / "logs", spec)
    try:
        outcome = result_outcome(load_result(staged / RESULT), spec, staged, mask=mask)
        return with_tests(outcome, staged, tail(folder / LOG_NAME), mask) if plan.evaluate else outcome
    except FileNotFoundError:
        outcome = no_result_outcome(folder / LOG_NAME, exit_status, mask)
    except NotAResult as error:
        outcome = Outcome("corrupt", "", mask(str(error)), None)
    if outcome.failure in {"crash", "corrupt"} and (why := no_room(folder)):
        # Its last words did not fit on the disk either.
        return replace(outcome, failure="host", evidence=one_line(f"{why}; {outcome.evidence}"))
    return outcome


def other_results(plan: Plan, spec: JobSpec) -> tuple[str, str] | None:
    """Where a result stands at the job's place that another model or agent made, and whose it is."""
    folder = result_folder(Path(plan.logs_dir), spec)
    try:
        values = load_result(folder / RESULT)
    except (NotAResult, OSError):
        return None
    model, agent = values.get("model"), values.get("agent_framework")
    # Without names of the right type it is nobody's result, and runs again as any other broken one.
    if not isinstance(model, str) or not isinstance(agent, str) or (model, agent) == (spec.model, plan.agent):
        return None
    return str(folder), one_line(f"{model} with {agent}")
