"""Waiting for a host that is short of something, with the queue held meanwhile."""

import errno
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from runner.engine.dispatcher import Dispatcher
from runner.engine.ports import Clock, LaunchRefused, LedgerUnwritable
from runner.model import events as ev

SHORT = frozenset({errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN})
"""What says nothing about the attempt, and passes."""
PATIENCE_S = 5.0
"""Between two tries of what must be done."""
CAUSE = "host"

Result = TypeVar("Result")


async def patiently(
    dispatcher: Dispatcher,
    clock: Clock,
    action: Callable[[], Awaitable[Result]],
    give_up: Callable[[], bool] = lambda: False,
) -> Result | None:
    """The action's result, tried until the host has what it needs; None once `give_up` says so.

    Raises:
        OSError, LaunchRefused: for a reason that waiting does not mend.
    """
    held = False
    while True:
        result = None
        try:
            result = await action()
        except (OSError, LaunchRefused) as error:
            if error.errno not in SHORT:
                if held:
                    await record(dispatcher, clock, ev.QueueReleased(CAUSE))
                raise
            dispatcher.short_at = anyio.current_time()
            if not give_up():
                held = True
                await _hold(dispatcher, f"the host is short of something: {error}")
                await clock.sleep(PATIENCE_S)
                continue
        if held:
            await record(dispatcher, clock, ev.QueueReleased(CAUSE))
        return result


async def _hold(dispatcher: Dispatcher, reason: str) -> None:
    # Said once, whoever finds it first; with the disk full the ledger may refuse to, and shows that by itself.
    if any(hold.cause == CAUSE for hold in dispatcher.board.holds):
        return
    try:
        await dispatcher.record(ev.QueueHeld(CAUSE, reason))
    except LedgerUnwritable:
        return


async def record(dispatcher: Dispatcher, clock: Clock, *events: ev.Event) -> None:
    """However long the ledger takes to come back."""
    while True:
        try:
            await dispatcher.record(*events)
            return
        except LedgerUnwritable:
            await clock.sleep(PATIENCE_S)
