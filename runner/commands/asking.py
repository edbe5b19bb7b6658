"""Commands for a running sweep, from a command line that does not stay."""

from collections.abc import Callable, Sequence

import anyio

from runner.client import Refused, RunningSweep, Update
from runner.commands.sweeps import Known
from runner.model.board import Board
from runner.model.commands import Command, Reply
from runner.model.refusal import UsageRefused

ATTACH_S = 10.0
END_S = 60.0


def ask(sweep: Known, commands: Callable[[Board], Sequence[Command]], *, until_over: bool = False) -> list[Reply]:
    """The runner's replies to the commands that its board calls for.

    Raises:
        UsageRefused: no runner is up, or it speaks another protocol.
    """
    if sweep.pid is None:
        raise UsageRefused(f"the sweep '{sweep.name}' is not running; coopdeck run {sweep.name} goes on with it")
    return anyio.run(_ask, sweep, commands, until_over)


async def _ask(sweep: Known, commands: Callable[[Board], Sequence[Command]], until_over: bool) -> list[Reply]:
    source = RunningSweep(sweep.socket)
    attached, gone = anyio.Event(), anyio.Event()
    boards: list[Board] = []
    refusals: list[str] = []

    def seen(update: Update) -> None:
        boards[:] = [update.board]
        if update.link == "attached":
            attached.set()
        else:
            # A runner that has just said its last word may be gone before we hear of it.
            gone.set()

    async def follow() -> None:
        try:
            await source.follow(seen)
        except (Refused, OSError) as error:
            refusals.append(str(error))
        attached.set()
        gone.set()

    replies: list[Reply] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        with anyio.move_on_after(ATTACH_S):
            await attached.wait()
        if boards and not refusals:
            replies = [await source.ask(command) for command in commands(boards[0])]
        if until_over and replies and all(reply.ok for reply in replies):
            with anyio.move_on_after(END_S) as limit:
                await gone.wait()
            if limit.cancelled_caught:
                says = (
                    f"the runner of '{sweep.name}' has not ended within {END_S:g} s; see: coopdeck status {sweep.name}"
                )
                replies.append(Reply(False, says))
        tasks.cancel_scope.cancel()
    if refusals or not boards:
        why = refusals[0] if refusals else f"it did not answer within {ATTACH_S:g} s"
        raise UsageRefused(f"the runner of '{sweep.name}' cannot be asked: {why}")
    return replies
