"""Sweeps on fakes: how one is asked for and waited for, and what an earlier runner left of one."""

from collections.abc import Callable

import anyio
import pytest

from runner.model import events as ev
from runner.model.plan import Plan
from tests.unit.fakes import MemoryLedger, jobs, the_plan

ONE = jobs(1)[0].id
STARTING = ev.AttemptStarting(ONE, 1, "token-1", f"attempts/{ONE}/1")


def planned(number: int, **changes: object) -> tuple[ev.Event, ...]:
    return ev.SweepPlanned(the_plan(**changes)), ev.JobsPlanned(jobs(number))


async def until(true: Callable[[], bool]) -> None:
    """Within the time that a deck's run has."""
    while not true():
        await anyio.sleep(0.001)


def left_by_another_runner(plan: Plan, *more: ev.Event) -> MemoryLedger:
    ledger = MemoryLedger()
    opening = (ev.RunnerStarted(9, "h", "v"), ev.SweepPlanned(plan), ev.JobsPlanned(jobs(1)), *more)
    ledger.envelopes = [ev.Envelope(seq, 1_000_000.0, event) for seq, event in enumerate(opening, start=1)]
    return ledger


def noted_limits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The time limits in seconds that are set from here on."""
    limits: list[float | None] = []
    move_on_after = anyio.move_on_after

    def noted(delay: float | None, *, shield: bool = False) -> anyio.CancelScope:
        limits.append(delay)
        return move_on_after(delay, shield=shield)

    monkeypatch.setattr("anyio.move_on_after", noted)
    return limits
