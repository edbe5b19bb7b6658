"""What jobs need of the machine: suppliers make it ready beside the queue, and the board tells how it stands."""

import sys
from collections.abc import Callable, Sequence

import anyio

from runner.engine.dispatcher import Dispatcher
from runner.engine.patience import record
from runner.engine.ports import Clock, LedgerUnwritable, Supplier
from runner.model import events as ev
from runner.model.failure import one_line
from runner.model.ids import JobId
from runner.model.plan import JobSpec
from runner.model.supplies import Supply, SupplyKey, lacking, needed

PROGRESS_S = 1.0
"""At most one event of progress for a supply in so many seconds."""
STEP_BYTES = 10_000_000
"""Progress worth an event where the whole is not known; else it is a percent."""
AGAIN_S = 30.0
END_S = 15.0
"""What a supplier may take to end what it has started."""


class Supplying:
    """Runs a sweep's suppliers and records what they tell."""

    def __init__(
        self, dispatcher: Dispatcher, clock: Clock, suppliers: Sequence[Supplier], changed: Callable[[Supply], None]
    ) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._suppliers = suppliers
        self._changed = changed
        self._told_at: dict[SupplyKey, float] = {}

    async def declare(self) -> None:
        """What is watched over, before the first job: from here on nothing starts without it."""
        keys = self._needed(self._unsettled())
        if keys:
            await self._record(*(ev.SupplySeen(Supply(*key)) for key in keys))

    async def run(self) -> None:
        """Until cancelled; then what the suppliers have started is ended, in seconds."""
        try:
            async with anyio.create_task_group() as tasks:
                for supplier in self._suppliers:
                    tasks.start_soon(self._keep, supplier)
        finally:
            with anyio.move_on_after(END_S, shield=True):
                async with anyio.create_task_group() as ending:
                    for supplier in self._suppliers:
                        ending.start_soon(self._end, supplier)

    def lacks(self, job: JobId) -> SupplyKey | None:
        board = self._dispatcher.board
        supply = lacking(board, board.jobs[job].spec)
        return None if supply is None else supply.key

    async def want(self, jobs: Sequence[JobId]) -> None:
        """Jobs run again: what they need and has failed, or was not needed until now, is tried (once more).

        Raises:
            LedgerUnwritable: none of it is.
        """
        board = self._dispatcher.board
        keys = self._needed([board.jobs[job].spec for job in jobs])
        keys = [key for key in keys if (known := board.supplies.get(key)) is None or known.state == "failed"]
        if not keys:
            return
        await self._dispatcher.record(*(ev.SupplySeen(Supply(*key)) for key in keys))
        for kind, name in keys:
            for supplier in self._suppliers:
                if supplier.kind == kind:
                    supplier.want(name)

    def _unsettled(self) -> list[JobSpec]:
        board = self._dispatcher.board
        return [row.spec for job in board.order if not (row := board.jobs[job]).settled]

    def _needed(self, jobs: Sequence[JobSpec]) -> list[SupplyKey]:
        """What these jobs need and a supplier is there for, each once."""
        plan = self._dispatcher.board.plan
        kinds = {supplier.kind for supplier in self._suppliers}
        if plan is None or not kinds:
            return []
        return list(dict.fromkeys(key for spec in jobs for key in needed(plan, spec) if key[0] in kinds))

    async def _keep(self, supplier: Supplier) -> None:
        """A supplier that breaks must not end paid work: what it had not made ready is down, and it begins again."""
        while True:
            plan = self._dispatcher.board.plan
            if plan is None:
                return
            try:
                await supplier.supply(plan, self._unsettled(), self._tell)
                return
            except Exception as error:
                cause = error
                while isinstance(cause, ExceptionGroup):
                    cause = cause.exceptions[0]
                says = one_line(f"{type(cause).__name__}: {cause}")
                print(f"the supplier of kind {supplier.kind} broke: {says}", file=sys.stderr, flush=True)
                for supply in self._dispatcher.board.supplies.values():
                    if supply.kind == supplier.kind and supply.state not in {"there", "failed"}:
                        await self._tell(Supply(*supply.key, "down", says))
            await self._clock.sleep(AGAIN_S)

    async def _end(self, supplier: Supplier) -> None:
        try:
            await supplier.end()
        except Exception as error:
            print(f"the supplier of kind {supplier.kind} did not end well: {error}", file=sys.stderr, flush=True)

    async def _tell(self, supply: Supply) -> None:
        """Record how a supply stands, if that is worth an event."""
        before = self._dispatcher.board.supplies.get(supply.key)
        if before == supply or (before is not None and not self._worth_it(before, supply)):
            return
        self._told_at[supply.key] = anyio.current_time()
        if before is None or before.state != supply.state:
            await self._record(ev.SupplySeen(supply))
        else:
            try:
                await self._dispatcher.record(ev.SupplySeen(supply))
            except LedgerUnwritable:
                return  # the next one says the same and more
        self._changed(supply)

    def _worth_it(self, before: Supply, now: Supply) -> bool:
        if before.state != now.state:
            return True
        if anyio.current_time() - self._told_at.get(now.key, float("-inf")) < PROGRESS_S:
            return False
        return before.says != now.says or _step(before) != _step(now)

    async def _record(self, *events: ev.Event) -> None:
        await record(self._dispatcher, self._clock, *events)


def _step(supply: Supply) -> int:
    return supply.done_bytes // STEP_BYTES if supply.percent is None else supply.percent
