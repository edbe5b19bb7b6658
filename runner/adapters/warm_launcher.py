"""The port `Launcher` on a warm process, with the plain command where that cannot be."""

import os
import signal
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from runner.adapters.processes import CLAIM_NAME, Process, ProcessLauncher, Reap, claim, started_ticks
from runner.adapters.warm import READY_S, CannotFork, Recipe, Slow, Stale, WarmGone, WarmProcess, common_part
from runner.engine.patience import SHORT
from runner.engine.ports import LaunchGone, LaunchOrder, LaunchRefused

DEATHS = 3
"""In a row, without an attempt between them: then it is not worth another try."""
ROUNDS = 4
"""For what changes while it is being imported."""

Told = Callable[[str], Awaitable[None]]


class WarmLauncher:
    """Forks attempts from one warm process, which is replaced when it is gone.

    Args:
        insist: never start the plain command; what cannot be forked is refused.
        fell_back: told once, when from now on the plain command is used, and why.
        note: told what is worth a line in the log.
    """

    def __init__(
        self, plain: ProcessLauncher, recipe: Recipe, *, insist: bool, fell_back: Told, note: Callable[[str], None]
    ) -> None:
        self._plain = plain
        self._recipe = recipe
        self._insist = insist
        self._fell_back = fell_back
        self._note = note
        self._making = anyio.Lock()
        self._warm: WarmProcess | None = None
        self._deaths = 0
        self._why_not = ""

    async def start(self, order: LaunchOrder) -> Process:
        for _ in range(ROUNDS):
            if self._why_not:
                break
            try:
                warm = await self._made(order)
            except CannotFork as error:
                await self._give_up(str(error))
                break
            if warm.common != common_part(order.environment):
                await self._replace(warm, "the environment of attempts has changed")
                continue
            try:
                pid = await anyio.to_thread.run_sync(warm.fork, order)
            except Stale:
                await self._replace(warm, "what it had imported has changed")
            except CannotFork as error:
                await self._give_up(str(error))
            except WarmGone as error:
                await self._replace(warm, str(error))
                return await self._instead(order, warm, str(error))
            except LaunchRefused as error:
                if error.errno in SHORT:
                    raise
                return await self._instead(order, warm, str(error))
            else:
                self._deaths = 0
                return await self._watched(order, warm, pid)
        return await self._plainly(order, self._why_not or "what attempts are made from does not stay the same")

    async def begin(self, order: LaunchOrder, within_s: float) -> None:
        """Make the process now, for attempts like this one. Raises CannotFork, LaunchRefused."""
        try:
            await self._make(order, within_s)
        except Slow:
            return  # a host that is this busy has time for it later
        except WarmGone as error:
            raise CannotFork(str(error)) from None

    async def adopt(self, pid: int, started_ticks: int) -> Process | None:
        return await self._plain.adopt(pid, started_ticks)

    async def find(self, token: str, folder: Path) -> Process | None:
        return await self._plain.find(token, folder)

    async def end_strays(self, tokens: Collection[str] | None, *, everywhere: bool = False) -> int:
        return await self._plain.end_strays(tokens, everywhere=everywhere)

    async def close(self) -> None:
        """Let the warm process go; attempts that run go on."""
        with anyio.CancelScope(shield=True):
            if self._warm is not None:
                await anyio.to_thread.run_sync(self._warm.close)
                self._warm = None

    async def _made(self, order: LaunchOrder) -> WarmProcess:
        """The process, ready. Raises CannotFork, LaunchRefused."""
        async with self._making:
            while self._warm is None:
                if self._why_not:
                    raise CannotFork(self._why_not)
                try:
                    await self._make(order, READY_S)
                except WarmGone as error:
                    self._died(f"while it imported cooperbench: {error}")
            return self._warm

    async def _make(self, order: LaunchOrder, within_s: float) -> None:
        made = await anyio.to_thread.run_sync(WarmProcess, self._recipe, order)
        await anyio.to_thread.run_sync(made.wait_ready, within_s)
        self._warm = made

    async def _replace(self, gone: WarmProcess, why: str) -> None:
        if self._warm is not gone:
            return
        self._warm = None
        if gone.up:
            self._note(f"the warm process is made anew: {why}")
            await anyio.to_thread.run_sync(gone.close)
            return
        try:
            self._died(why)
        except CannotFork as error:
            await self._give_up(str(error))

    def _died(self, how: str) -> None:
        """Raises CannotFork once it is enough."""
        self._deaths += 1
        if self._deaths >= DEATHS:
            raise CannotFork(
                f"the warm process died {self._deaths} times, the last time {how} (see {self._recipe.log})"
            )
        self._note(f"the warm process died ({how}); the next attempt gets another")

    async def _watched(self, order: LaunchOrder, warm: WarmProcess, pid: int) -> Process:
        try:
            ticks = started_ticks(pid)
            process = Process(pid, ticks if ticks is not None else 0, _reaper(warm, pid))
        except OSError as error:
            # It runs and cannot be watched: nobody may believe that it does not run.
            await anyio.to_thread.run_sync(_undo, order, warm, pid)
            raise LaunchRefused(str(error.strerror), error.errno) from None
        self._plain.mind(process)
        return process

    async def _instead(self, order: LaunchOrder, warm: WarmProcess, why: str) -> Process:
        """After a start that went wrong: the child, if it has begun after all, else the plain command."""
        if await anyio.to_thread.run_sync(claim, order.folder):
            return await self._plainly(order, why)
        found = await self._plain.find(order.environment["COOPDECK_TOKEN"], order.folder)
        if found is None:
            raise LaunchGone(f"it was gone as soon as it had begun: {why}")
        found.reap = _reaper(warm, found.pid)
        self._plain.mind(found)
        return found

    async def _plainly(self, order: LaunchOrder, why: str) -> Process:
        if self._insist:
            raise LaunchRefused(f"--launcher warm cannot work: {why}")
        return await self._plain.start(order)

    async def _give_up(self, why: str) -> None:
        if self._why_not:
            return
        self._why_not = why
        await self.close()
        await self._fell_back(why)


def _reaper(warm: WarmProcess, pid: int) -> Reap:
    return partial(anyio.to_thread.run_sync, warm.reap, pid)


def _undo(order: LaunchOrder, warm: WarmProcess, pid: int) -> None:
    """End it, so that the attempt can be started again."""
    os.killpg(pid, signal.SIGKILL)
    warm.reap(pid)
    (order.folder / CLAIM_NAME).unlink()
