"""One attempt's life: intent, process, outcome, delivery."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import anyio

from runner.engine.control import RUN_AGAIN, Control, OwnAct, ended_by
from runner.engine.dispatcher import Dispatcher
from runner.engine.patience import patiently, record
from runner.engine.ports import (
    Clock,
    Containers,
    Cooperbench,
    Launcher,
    LaunchGone,
    LaunchOrder,
    LaunchRefused,
    LedgerUnwritable,
    Progress,
    Quarantined,
    Running,
)
from runner.engine.sightings import Untold
from runner.model import events as ev
from runner.model.failure import INFRASTRUCTURE, one_line
from runner.model.outcome import FailureClass, Outcome
from runner.model.plan import Plan
from runner.model.reduce import reduce
from runner.model.retry import next_try
from runner.model.rows import ACTIVE, AttemptRow, JobRow
from runner.model.spend import reconciled
from runner.model.supplies import supplied

GRACE_S = 20.0
"""Upstream needs this long at the most to remove its containers after SIGTERM."""
PROGRESS_S = 1.0
LAST_LOOK_S = 5.0
PATIENCE_S = 5.0
"""Between two tries to deliver a result."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Attempts:
    """Runs attempts; holds nothing of any of them."""

    dispatcher: Dispatcher
    launcher: Launcher
    cooperbench: Cooperbench
    containers: Containers
    clock: Clock
    sweep_dir: Path
    jitter: Callable[[], float]

    async def run(self, row: JobRow, control: Control) -> None:
        """A new attempt of a queued job, from intent to its end; where one was paid for already, its delivery.

        Raises:
            LedgerUnwritable: before anything was started; the job is as it was.
        """
        if (last := row.undelivered) is not None and last.outcome is not None:
            await self._settle(row, last.number, last.outcome)
            return
        plan = self._plan()
        number = len(row.attempts) + 1
        folder = Path("attempts") / row.spec.id / str(number)
        token = secrets.token_hex(16)
        try:
            # Before the intent: a host that is short of something costs no attempt.
            await self._patiently(lambda: self.cooperbench.prepare(self.sweep_dir / folder), control)
            if self._unwanted(control):
                if control.act == "cancelled":
                    await self._record(ev.JobSettled(row.spec.id, "cancelled"))
                return
            await self.dispatcher.record(ev.AttemptStarting(row.spec.id, number, token, str(folder)))
            if self._attempts_of(row) < number:
                return  # cancelled in the very moment
            now = supplied(plan, self.dispatcher.board)
            order = self.cooperbench.order(now, row.spec, number, token, self.sweep_dir / folder)
            running = await self._patiently(lambda: self._start(order), control)
        except LaunchGone as error:
            attempt = AttemptRow(number, token, str(folder), self.clock.now())
            await self._gone(row, attempt, control, "crash", f"could not be started: {error}")
            return
        except (LaunchRefused, OSError) as error:
            if self._attempts_of(row) < number:
                await self.dispatcher.record(ev.AttemptStarting(row.spec.id, number, token, str(folder)))
            await self._ended(row, number, _refused(error))
            return
        if running is None:
            act = control.act or "stopped"
            await self._ended(row, number, ended_by(act, Outcome("cancelled", "", "", 0.0), plan.timeout_s), act)
            return
        await self._record(_started(row, number, running))
        attempt = AttemptRow(number, token, str(folder), self.clock.now())
        await self._watch(row, attempt, running, control, plan.timeout_s, adopted=False)

    async def resume(self, row: JobRow, control: Control) -> None:
        """Take up an attempt that an earlier runner of this sweep left: running, ended, or lost."""
        attempt = row.attempts[-1]
        if attempt.outcome is not None:
            await self._settle(row, attempt.number, attempt.outcome)
            return
        running = await self._patiently(lambda: self._still_up(attempt))
        if running is None:
            await self._gone(row, attempt, control, "lost", "it was gone when the runner came back")
            return
        if attempt.pid is None:
            await self._record(_started(row, attempt.number, running))
        # Not by the time of day, which may have jumped meanwhile; an adopted attempt is given at least a minute.
        slept = max(0.0, running.suspended_s - attempt.suspended_s)
        # How long the machine has slept since a start that nobody noted is not known: none of that time is charged.
        up_s = 0.0 if attempt.pid is None else max(0.0, running.age_s() - slept)
        left = self._plan().timeout_s - up_s
        await self._watch(row, attempt, running, control, max(60.0, left), adopted=True)

    async def _gone(self, row: JobRow, attempt: AttemptRow, control: Control, failure: FailureClass, says: str) -> None:
        """What came of an attempt that ended while nobody looked; a crash of which nobody heard is called as given."""
        folder, untold = self.sweep_dir / attempt.folder, Untold(row.spec.id, attempt.number)
        outcome = await self._read(row, folder, None)
        if outcome.failure == "crash":
            outcome = replace(outcome, failure=failure, evidence=one_line(says))
        if not outcome.is_result:
            # What it spent meanwhile.
            await untold.look(self._progress(row, folder))
            if control.act is not None:
                outcome = ended_by(control.act, outcome, self._plan().timeout_s)
        async with anyio.create_task_group() as ending:
            ending.start_soon(self._leave_nothing, {attempt.token}, True, False)
            await self._ended(row, attempt.number, outcome, control.act, untold)

    async def _start(self, order: LaunchOrder) -> Running:
        with anyio.CancelScope(shield=True):  # a process whose start nobody waited for would be an orphan
            running = await self.launcher.start(order)
        return running  # noqa: RET504 - mypy thinks that a scope may swallow exceptions

    async def _read(self, row: JobRow, folder: Path, exit_status: int | None) -> Outcome:
        outcome = await self._patiently(lambda: self.cooperbench.read(self._plan(), row.spec, folder, exit_status))
        assert outcome is not None  # noqa: S101 - nobody gives up here
        return outcome

    async def _patiently(
        self, action: Callable[[], Awaitable[Result]], control: Control | None = None
    ) -> Result | None:
        """While the host is short of something; with a `control`, only for as long as the attempt is wanted."""
        unwanted = (lambda: False) if control is None else (lambda: self._unwanted(control))
        return await patiently(self.dispatcher, self.clock, action, unwanted)

    def _unwanted(self, control: Control) -> bool:
        return control.asked.is_set() or self.dispatcher.stopping is not None

    def _attempts_of(self, row: JobRow) -> int:
        return len(self.dispatcher.board.jobs[row.spec.id].attempts)

    async def clear_left(self, *, earlier: bool) -> None:
        """Remove what the attempts that are over have left: those of `earlier` runners, or at the end of this one."""
        board = self.dispatcher.board
        over = {attempt.token for row in board.jobs.values() for attempt in row.attempts}
        over -= {row.attempts[-1].token for row in board.jobs.values() if row.attempts and row.state in ACTIVE}
        if over:
            await self.containers.remove(over)
            # At the end no attempt runs: a stray is nobody else's, even if it has hidden its token.
            await self.launcher.end_strays(over if earlier else None, everywhere=earlier)

    async def _leave_nothing(self, tokens: set[str], everywhere: bool, killed: bool) -> None:
        # Containers first: upstream's own clean-up is among the strays, and has nothing more to do then.
        await self.containers.remove(tokens, killed=killed)
        await self.launcher.end_strays(tokens, everywhere=everywhere)

    async def _still_up(self, attempt: AttemptRow) -> Running | None:
        if attempt.pid is not None and attempt.started_ticks is not None:
            return await self.launcher.adopt(attempt.pid, attempt.started_ticks)
        return await self.launcher.find(attempt.token, self.sweep_dir / attempt.folder)

    async def _watch(
        self, row: JobRow, attempt: AttemptRow, running: Running, control: Control, timeout_s: float, *, adopted: bool
    ) -> None:
        """Wait for the process, or end it when the time is up or somebody asks; then record what came of it."""
        exit_status: int | None = None
        over = False

        async def until_over(scope: anyio.CancelScope) -> None:
            nonlocal exit_status, over
            exit_status = await running.wait()
            over = True
            scope.cancel()

        number, folder, began = attempt.number, self.sweep_dir / attempt.folder, anyio.current_time()
        progress, untold = self._progress(row, folder), Untold(row.spec.id, number)
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(until_over, waiting.cancel_scope)
            waiting.start_soon(self._tell, progress, untold)
            with anyio.move_on_after(timeout_s) as limit:
                await control.asked.wait()
            if limit.cancelled_caught and not over:
                control.end("timeout")
            waiting.cancel_scope.cancel()
        killed = exit_status is None or exit_status < 0
        with anyio.CancelScope(shield=True):
            if killed:
                # What was written in its containers goes with them.
                with anyio.move_on_after(LAST_LOOK_S):
                    await untold.look(progress, last=True)
            if not over:
                await running.end(GRACE_S)
        # Beside the rest, not before it: no result waits for Docker. The slot waits for both.
        async with anyio.create_task_group() as ending:
            ending.start_soon(self._leave_nothing, {attempt.token}, adopted, killed)
            outcome = await self._read(row, folder, exit_status)
            if outcome.failure in {"crash", "corrupt"} and self.dispatcher.short_at > began:
                # The room is back, and its last words are lost: the shortage is the likelier cause.
                says = one_line(f"the host was short of something while it ran; {outcome.evidence}")
                outcome = replace(outcome, failure="host", evidence=says)
            # The last of what it spent and read.
            await untold.look(progress)
            if control.act is not None and not outcome.is_result:
                # An adopted attempt had its time before, too.
                outcome = ended_by(control.act, outcome, self._plan().timeout_s)
            await self._ended(row, number, outcome, control.act, untold)

    def _progress(self, row: JobRow, folder: Path) -> Progress:
        return self.cooperbench.progress(self._plan(), row.spec, folder)

    async def _tell(self, progress: Progress, untold: Untold) -> None:
        """Tell for ever what is seen of the agents, at most once in PROGRESS_S."""
        while True:
            await anyio.sleep(PROGRESS_S)
            await untold.look(progress)
            if untold.events:
                # Not worth waiting for a ledger that is full: it is told with the next look, or with the end.
                with suppress(LedgerUnwritable):
                    await self.dispatcher.record(*untold.events)
                    untold.clear()

    async def _ended(
        self, row: JobRow, number: int, outcome: Outcome, act: OwnAct | None = None, untold: Untold | None = None
    ) -> None:
        """Make the end durable, with what was seen last, then decide what follows from it."""
        last = () if untold is None else untold.events
        board = self.dispatcher.board
        for event in last:
            board = reduce(board, ev.Envelope(board.seq, board.at, event))
        outcome = reconciled(outcome, board.jobs[row.spec.id])
        ended = ev.AttemptEnded(row.spec.id, number, outcome)
        if act in RUN_AGAIN and not outcome.is_result:
            await self._record(*last, ended, ev.JobQueued(row.spec.id, RUN_AGAIN[act]))
            return
        again = next_try(board.jobs[row.spec.id], number, outcome, self._plan(), self.jitter())
        if again is not None:
            await self._record(*last, ended, again)
            return
        await self._record(*last, ended)
        await self._settle(row, number, outcome)

    async def _settle(self, row: JobRow, number: int, outcome: Outcome) -> None:
        """Deliver what is to be delivered, and close the job."""
        job = row.spec.id
        if outcome.failure == "cancelled":
            await self._record(ev.JobSettled(job, "cancelled"))
            return
        folder = self.sweep_dir / "attempts" / job / str(number)
        tag = outcome.failure in INFRASTRUCTURE
        held = False
        while True:
            try:
                path = await self.cooperbench.deliver(self._plan(), row.spec, folder, outcome, tag=tag)
                break
            except Quarantined as error:
                given_up = replace(outcome, failure="quarantine", evidence=str(error))
                await self._record(ev.JobSettled(job, "failed", given_up), *_released(held))
                return
            except OSError as error:
                if self.dispatcher.stopping == "now":
                    return  # the next runner delivers it
                held = True
                # Looked at each time: another job that was held for the same has let the queue go for both.
                if not any(hold.cause == "deliver" for hold in self.dispatcher.board.holds):
                    await self._record(ev.QueueHeld("deliver", f"a result cannot be delivered: {error}"))
                await self.clock.sleep(PATIENCE_S)
        last = ev.JobSettled(job, "done" if outcome.is_result else "failed")
        await self._record(ev.ResultDelivered(job, number, path), last, *_released(held))

    async def _record(self, *events: ev.Event) -> None:
        """Record what has happened already, however long the ledger takes to come back."""
        await record(self.dispatcher, self.clock, *events)

    def _plan(self) -> Plan:
        plan = self.dispatcher.board.plan
        if plan is None:
            raise RuntimeError("no plan was recorded before the first attempt")
        return plan


def _started(row: JobRow, number: int, running: Running) -> ev.AttemptStarted:
    return ev.AttemptStarted(row.spec.id, number, running.pid, running.started_ticks, running.suspended_s)


def _released(held: bool) -> tuple[ev.QueueReleased, ...]:
    return (ev.QueueReleased("deliver"),) if held else ()


def _refused(error: LaunchRefused | OSError) -> Outcome:
    return Outcome("crash", "", one_line(f"could not be started: {error}"), 0.0)
