"""One sweep from its queue to its end: which job starts when, and what the user's commands do to it."""

from collections.abc import Sequence
from functools import partial

import anyio

from runner.engine.already import skip_delivered
from runner.engine.attempt import Attempts
from runner.engine.control import Control
from runner.engine.hub import Hub
from runner.engine.patience import record
from runner.engine.ports import Cooperbench, LedgerUnwritable, Supplier
from runner.engine.slots import Slots
from runner.engine.supplying import Supplying
from runner.engine.turns import Turns
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.ids import JobId
from runner.model.rows import ACTIVE
from runner.model.supplies import Supply, without_it

FIRST_CLIENT_S = 10.0
"""How long a sweep that is over waits for the client that its starter promised."""
HELD_LOOK_S = 1.0


class Sweep:
    """Owns the queue; everything it decides becomes events of the dispatcher's."""

    def __init__(
        self,
        attempts: Attempts,
        cooperbench: Cooperbench,
        hub: Hub,
        *,
        expects_client: bool,
        recheck: bool,
        suppliers: Sequence[Supplier] = (),
    ) -> None:
        self._attempts = attempts
        self._dispatcher = attempts.dispatcher
        self._cooperbench = cooperbench
        self._hub = hub
        self._expects_client = expects_client
        self._recheck = recheck
        self.slots = Slots(max(1, self._dispatcher.board.slots))
        hub.when_left = self.slots.wake
        self._turns = Turns()
        self._supplying = Supplying(self._dispatcher, attempts.clock, suppliers, self._supply_changed)
        self._controls: dict[JobId, Control] = {}

    async def run(self) -> str:
        """Until nothing is left to do and nobody watches, or until told to stop; says which."""
        async with anyio.create_task_group() as tasks:
            self._resume(tasks)
            await self._settle_dropped(*self._dispatcher.board.order)
            tasks.start_soon(partial(self._attempts.clear_left, earlier=True))
            await skip_delivered(self._dispatcher, self._attempts.clock, self._cooperbench, recheck=self._recheck)
            await self._supplying.declare()
            async with anyio.create_task_group() as beside:
                beside.start_soon(self._supplying.run)
                reason = await self._work(tasks)
                beside.cancel_scope.cancel()
        # Once more: a container that Docker was still making when its attempt was ended came after the look.
        await self._attempts.clear_left(earlier=False)
        await self._cooperbench.finish(self._dispatcher.board)
        return reason

    async def _work(self, tasks: anyio.abc.TaskGroup) -> str:
        """Start what may start until the sweep is over; says why it is."""
        for job in self._dispatcher.board.order:
            self._enqueue(job)
        while True:
            seen = self.slots.version
            following = self._next()
            if following is not None:
                self._start(following, tasks)
                continue
            if await self._settle_unsupplied():
                continue
            if reason := await self._over(seen):
                return reason
            await self.slots.changed(seen, self._until_next())

    async def obey(self, command: cmd.Command) -> cmd.Reply:
        """Carry a user's command out; the reply is a sentence for the user."""
        try:
            reply = await self._obey(command)
        except LedgerUnwritable as error:
            return cmd.Reply(False, f"not done, the ledger cannot be written: {error}")
        self.slots.wake()
        return reply

    # -- the queue ------------------------------------------------------------------------------------------

    def _resume(self, tasks: anyio.abc.TaskGroup) -> None:
        board = self._dispatcher.board
        for job in board.order:
            row = board.jobs[job]
            if row.state in ACTIVE or row.state == "delivering":
                control = self._controls[job] = Control()
                if row.cancelling:
                    control.end("requeued" if row.requeueing else "cancelled")
                self.slots.take()
                tasks.start_soon(self._one, job, control, True)

    async def _settle_dropped(self, *jobs: JobId) -> None:
        """What was cancelled while a runner died, or while its attempt was about to begin or to be repeated."""
        dropped = [job for job in jobs if self._dispatcher.board.jobs[job].dropped]
        if dropped:
            await self._record(*(ev.JobSettled(job, "cancelled") for job in dropped))

    def _enqueue(self, job: JobId) -> None:
        row = self._dispatcher.board.jobs[job]
        if row.state == "queued":
            self._turns.add(job)
        elif row.state == "retrying":
            # Monotonic from here on: a clock that jumps a day neither starts a retry early nor loses it.
            # Against the ledger's own time, which is the event's: it cannot fall behind a clock set back.
            delay = 0.0 if row.retry_at is None else row.retry_at - self._dispatcher.board.at
            self._turns.add_later(job, min(max(0.0, delay), 3600.0))

    def _next(self) -> JobId | None:
        """The job to start now, if one may: a retry that is due before what never ran, and none that lacks a supply."""
        board = self._dispatcher.board
        if not self.slots.free or board.paused or board.holds or self._dispatcher.stopping or self._budget_spent():
            return None
        return self._turns.take(self._waits, self._supplying.lacks)

    def _waits(self, job: JobId) -> bool:
        return job not in self._controls and self._dispatcher.board.jobs[job].state in {"queued", "retrying"}

    def _until_next(self) -> float | None:
        if not self.slots.free:
            return None
        # Who releases the queue does not know of slots.
        held = [HELD_LOOK_S] if self._dispatcher.board.holds else []
        due = self._turns.due_in()
        return min([*held, *([] if due is None else [due])], default=None)

    def _supply_changed(self, supply: Supply) -> None:
        if supply.state == "there":
            self._turns.bring_back(supply.key)
        if supply.state in {"there", "failed"}:
            self.slots.wake()

    async def _settle_unsupplied(self) -> bool:
        """End the jobs whose turn came and whose supply has failed for good; True when there were any."""
        supplies = self._dispatcher.board.supplies
        failed = [supplies[key] for key in self._turns.waited_for if supplies[key].state == "failed"]
        for supply in failed:
            outcome = without_it(supply)
            jobs = [job for job in self._turns.drop(supply.key) if self._waits(job)]
            await self._record(*(ev.JobSettled(job, "failed", outcome) for job in jobs))
        return bool(failed)

    def _budget_spent(self) -> bool:
        board = self._dispatcher.board
        budget = board.plan.budget_usd if board.plan else None
        return budget is not None and board.total.cost_usd >= budget

    def _start(self, job: JobId, tasks: anyio.abc.TaskGroup) -> None:
        control = self._controls[job] = Control()
        self.slots.take()
        tasks.start_soon(self._one, job, control, False)

    async def _one(self, job: JobId, control: Control, resumed: bool) -> None:
        """An attempt in its slot."""
        row = self._dispatcher.board.jobs[job]
        play = self._attempts.resume if resumed else self._attempts.run
        try:
            try:
                await play(row, control)
            except LedgerUnwritable:
                # Nothing was started. Holding the slot for a while keeps the queue from spinning.
                await self._attempts.clock.sleep(1.0)
            await self._settle_dropped(job)
        finally:
            del self._controls[job]
            self._enqueue(job)
            self.slots.give_back()

    async def _over(self, seen: int) -> str:
        """Why the sweep is over; empty while it is not."""
        board = self._dispatcher.board
        if self._controls:
            return ""
        if (stopping := self._dispatcher.stopping) is not None:
            return "drained" if stopping == "drain" else "stopped"
        total = board.total
        if total.settled == total.jobs:
            if board.finished_at is None:
                # In this order: whoever hears that the sweep is finished finds its files as they are to be.
                await self._cooperbench.finish(board)
                await self._record(ev.SweepFinished())
            return "finished" if await self._nobody_watches(seen) else ""
        if self._budget_spent():
            if not any(hold.cause == "budget" for hold in board.holds):
                budget = board.plan.budget_usd if board.plan else 0
                says = f"${total.cost_usd:.2f} of the budget of ${budget:.2f} is spent"
                await self._record(ev.QueueHeld("budget", says))
            return "budget" if await self._nobody_watches(seen) else ""
        return ""

    async def _nobody_watches(self, seen: int) -> bool:
        """True once no client is attached; False when something has happened meanwhile."""
        if self._expects_client and not self._hub.attached:
            self._expects_client = False
            with anyio.move_on_after(FIRST_CLIENT_S):
                await self._hub.joined.wait()
        self._expects_client = False
        if not self._hub.attached:
            return True
        await self.slots.changed(seen, 1.0)
        return not self._hub.attached

    async def _record(self, *events: ev.Event) -> None:
        await record(self._dispatcher, self._attempts.clock, *events)

    # -- the user's commands --------------------------------------------------------------------------------

    async def _obey(self, command: cmd.Command) -> cmd.Reply:
        board = self._dispatcher.board
        match command:
            case cmd.Pause():
                await self._dispatcher.record(ev.QueuePaused())
                return cmd.Reply(True, "paused: what runs goes on, nothing new starts")
            case cmd.Resume():
                await self._dispatcher.record(ev.QueueResumed())
                return cmd.Reply(True, "going on")
            case cmd.SetSlots(slots):
                if not 1 <= slots <= 256:
                    return cmd.Reply(False, f"{slots} slots? from 1 to 256")
                await self._dispatcher.record(ev.SlotsSet(slots))
                self.slots.resize(slots)
                return cmd.Reply(True, f"{slots} slots")
            case cmd.Stop(mode):
                unwritten = await self._dispatcher.insist(ev.StopRequested(mode))
                if mode == "now":
                    for control in self._controls.values():
                        control.end("stopped")
                    return cmd.Reply(True, f"stopping now: running attempts are ended and can be resumed{unwritten}")
                return cmd.Reply(True, f"draining: {len(self._controls)} running attempts may finish{unwritten}")
            case cmd.Cancel(job):
                return await self._cancel(job)
            case cmd.Retry(job, force):
                row = board.jobs.get(job)
                if row is None:
                    return cmd.Reply(False, f"there is no job {job}")
                if not row.settled:
                    return cmd.Reply(False, f"{job} is not settled: it is {row.state}")
                if row.state in {"done", "skipped"} and not force:
                    return cmd.Reply(False, f"{job} has a result; retrying it buys it again (force)")
                return await self._requeue([job], "asked for again by the user")
            case cmd.Requeue(job):
                return await self._end_and_requeue(job)
            case cmd.RetryFailed():
                failed = [job for job in board.order if board.jobs[job].state == "failed"]
                return await self._requeue(failed, "asked for again by the user, with all that failed")

    async def _cancel(self, job: JobId) -> cmd.Reply:
        row = self._dispatcher.board.jobs.get(job)
        if row is None:
            return cmd.Reply(False, f"there is no job {job}")
        if row.settled:
            return cmd.Reply(False, f"{job} is over already: {row.state}")
        if job in self._controls:
            unwritten = await self._dispatcher.insist(ev.CancelRequested(job))
            if (control := self._controls.get(job)) is not None:
                control.end("cancelled")
            else:
                await self._settle_dropped(job)
            return cmd.Reply(True, f"ending {job}{unwritten}")
        # Together: a runner that dies between the two would leave a job in the queue that nobody wants.
        await self._dispatcher.record(ev.CancelRequested(job), ev.JobSettled(job, "cancelled"))
        return cmd.Reply(True, f"took {job} out of the queue")

    async def _end_and_requeue(self, job: JobId) -> cmd.Reply:
        row, control = self._dispatcher.board.jobs.get(job), self._controls.get(job)
        if row is None:
            return cmd.Reply(False, f"there is no job {job}")
        if row.state not in ACTIVE or control is None:
            return cmd.Reply(False, f"{job} is not running: it is {row.state}")
        if control.act is not None:
            return cmd.Reply(False, f"{job} is being ended already: {control.act}")
        await self._dispatcher.record(ev.CancelRequested(job, again=True))
        control.end("requeued")
        return cmd.Reply(True, f"ending {job}, to be tried again")

    async def _requeue(self, jobs: list[JobId], reason: str) -> cmd.Reply:
        if not jobs:
            return cmd.Reply(False, "nothing has failed")
        await self._dispatcher.record(*(ev.JobQueued(job, reason) for job in jobs))
        await self._supplying.want(jobs)
        for job in jobs:
            self._enqueue(job)
        return cmd.Reply(True, f"queued {len(jobs)} again" if len(jobs) > 1 else f"queued {jobs[0]} again")
