"""Evaluating the results of a sweep one by one, each by upstream's own `eval` in a process of its own."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from runner.adapters.containers import DockerContainers, NoContainers
from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.delivery import result_folder
from runner.adapters.dotenv_file import project_environment
from runner.adapters.evaluations import EVAL, deliver_evaluation, read_tested, stage, with_tests
from runner.adapters.places import Places, SweepLock
from runner.adapters.processes import LOG_NAME, ProcessLauncher
from runner.adapters.result_files import tail
from runner.engine.attempt import GRACE_S
from runner.engine.ports import Containers, LaunchOrder, LaunchRefused
from runner.model.failure import one_line
from runner.model.outcome import Evaluation, Outcome
from runner.model.plan import Plan
from runner.model.refusal import UsageRefused
from runner.model.rows import JobRow

LOCK, TOKENS = "lock", "tokens"


@dataclass(frozen=True, slots=True)
class Evaluated:
    row: JobRow
    tested: Evaluation
    seconds: float


def lock_of(places: Places, sweep: str) -> SweepLock:
    """Held while a sweep's results are evaluated, taken now.

    Raises:
        UsageRefused: somebody else evaluates them.
    """
    folder = places.evaluations(sweep)
    folder.mkdir(parents=True, exist_ok=True)
    lock = SweepLock(folder / LOCK)
    try:
        lock.acquire()
    except UsageRefused:
        raise UsageRefused(f"the results of '{sweep}' are being evaluated already; wait until that is over") from None
    return lock


def tokens_of(places: Places, sweep: str) -> frozenset[str]:
    """Of everything that was ever started to evaluate this sweep."""
    try:
        return frozenset((places.evaluations(sweep) / TOKENS).read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return frozenset()


def due(rows: Sequence[JobRow]) -> list[JobRow]:
    """The delivered results that have no evaluation, or one that went wrong."""
    found = []
    for row in rows:
        if row.delivered is not None and row.outcome is not None and row.outcome.is_result:
            tested = read_tested(Path(row.delivered))
            if tested is None or tested.verdict == "error":
                found.append(row)
    return found


class Evaluations:
    """Runs evaluations of one sweep; whoever uses it holds the lock."""

    def __init__(self, places: Places, plan: Plan) -> None:
        self._plan = plan
        self._places = places
        self._folder = places.evaluations(plan.sweep)
        self._files = CooperbenchFiles(places.root)
        self._launcher = ProcessLauncher()
        real = plan.rehearsal is None and plan.backend == "docker"
        self._containers: Containers = (
            DockerContainers(project_environment(places.root), volumes=False) if real else NoContainers()
        )

    async def clear_left(self) -> None:
        """End and remove what a killed evaluation has left."""
        tokens = tokens_of(self._places, self._plan.sweep)
        if tokens:
            await self._launcher.end_strays(tokens, everywhere=True)
            await self._containers.remove(tokens)

    async def run(self, rows: Sequence[JobRow], slots: int, seen: Callable[[Evaluated], None]) -> None:
        """Evaluate these, some at a time; when cancelled, what runs is ended and nothing of it is left."""
        limiter = anyio.CapacityLimiter(slots)

        async def one(row: JobRow) -> None:
            async with limiter:
                began = time.monotonic()
                tested = await self._evaluate(row)
                seen(Evaluated(row, tested, time.monotonic() - began))

        async with anyio.create_task_group() as tasks:
            for row in rows:
                tasks.start_soon(one, row)

    async def _evaluate(self, row: JobRow) -> Evaluation:
        folder, target = self._folder / row.spec.id, Path(row.delivered or "")
        staged = result_folder(folder / "logs", row.spec)
        token = secrets.token_hex(16)
        try:
            await anyio.to_thread.run_sync(self._begin, token, folder, target, staged)
            order = self._files.evaluation(self._plan, row.spec, max(1, len(row.attempts)), token, folder)
            await self._process(order, token)
            outcome = with_tests(Outcome(None, "", "", None), staged, tail(folder / LOG_NAME), self._files.mask)
            tested = outcome.tested or Evaluation()
            if tested.verdict != "error":
                await anyio.to_thread.run_sync(deliver_evaluation, staged, target)
                await anyio.to_thread.run_sync(shutil.rmtree, folder, True)
        except (LaunchRefused, OSError) as error:
            return Evaluation(error=one_line(str(error)))
        return tested

    def _begin(self, token: str, folder: Path, target: Path, staged: Path) -> None:
        # Upstream skips a result that has an evaluation, be it an error's.
        (target / EVAL).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        stage(target, staged)
        # Before the process: whoever comes after a crash must be able to find it.
        with open(self._folder / TOKENS, "a", encoding="ascii") as tokens:
            tokens.write(f"{token}\n")
            tokens.flush()
            os.fsync(tokens.fileno())

    async def _process(self, order: LaunchOrder, token: str) -> None:
        """Until the process is over or its time is; nothing of it is left."""
        with anyio.CancelScope(shield=True):
            running = await self._launcher.start(order)
        over = False
        try:
            with anyio.move_on_after(self._plan.timeout_s):
                await running.wait()
                over = True
        finally:
            with anyio.CancelScope(shield=True):
                if not over:
                    await running.end(GRACE_S)
                await self._leave_nothing({token}, killed=not over)

    async def _leave_nothing(self, tokens: Collection[str], *, killed: bool) -> None:
        await self._containers.remove(tokens, killed=killed)
        with suppress(OSError):
            await self._launcher.end_strays(tokens, everywhere=killed)
