"""Whether a job has stopped coming on, and what it hangs at: one judgement for every screen, line and program."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from runner.model.board import Board
from runner.model.events import ApiRetry
from runner.model.rows import ACTIVE, AgentRow, JobRow

RETRIES_PILE_UP = 3
"""So many failed calls in a row are worth a look, however short they took; upstream's waits are a minute by then."""
NO_DATA_S = 60.0
"""A probe that has not told of any agent within so many real seconds will not."""
LEAST_S = 5.0
"""Real seconds: how long the news of an agent may be under way. In a quick rehearsal that is more than the limit."""

Cause = Literal["api", "command", "peer", "silent"]


@dataclass(frozen=True, slots=True)
class Stall:
    """What a job hangs at."""

    cause: Cause
    agent: str
    """Empty where it is none of them."""
    idle_s: float
    """Since anything was told of that agent, or of the job, in recorded seconds."""
    says: str
    brief: str
    """The same for a cell, with what matters in its first dozen characters."""


def idle_s(row: JobRow, now: float, speed: float = 1.0) -> float | None:
    """Recorded seconds since anything was told of the attempt under way; None without one, or without live data."""
    if row.state not in ACTIVE or not row.agents or _blind(row.agents):
        return None
    return max(0.0, now - max(agent.seen_at for agent in row.agents)) * speed


def no_live_data(row: JobRow, now: float) -> bool:
    """Nobody tells what this attempt does: its result will."""
    if row.state != "running" or not row.attempts:
        return False
    if row.agents:
        return _blind(row.agents)
    return now - row.attempts[-1].starting_at >= NO_DATA_S


def stall_of(row: JobRow, now: float, stall_s: float, speed: float = 1.0) -> Stall | None:
    """The verdict on a job, None while it comes on.

    Args:
        now: seconds since the epoch.
        stall_s: recorded seconds without news that are too many.
        speed: recorded seconds per real one.
    """
    if row.state not in ACTIVE or not row.attempts or row.cancelling:
        return None
    stall_s = max(stall_s, LEAST_S * speed)
    working = [agent for agent in row.agents if agent.doing != "ended"]
    retrying = [(agent.retry.number, agent, agent.retry) for agent in working if agent.retry is not None]
    name = len(row.agents) > 1
    if retrying:
        number, agent, retry = max(retrying, key=lambda one: one[0])
        if number >= RETRIES_PILE_UP:
            return _retried(agent, retry, max(0.0, now - agent.seen_at) * speed, name=name)
    seen_at = max((agent.seen_at for agent in row.agents), default=row.attempts[-1].starting_at)
    of_job = max(0.0, now - seen_at) * speed
    if any(agent.doing == "unseen" for agent in working):
        # Silence of somebody who never says anything means nothing.
        return None
    if not working:
        return _silent("", of_job) if of_job >= stall_s else None
    idle = [(max(0.0, now - agent.seen_at) * speed, agent) for agent in working]
    # The longest first, and a command before a call, which ends by itself some time.
    idle.sort(key=lambda one: (one[1].doing != "exec", -one[0]))
    for seconds, agent in idle:
        # Who waits for a colleague at work is not what the job hangs at.
        if seconds >= stall_s and agent.doing != "waiting":
            return _hangs(agent, seconds, name=name)
    if of_job >= stall_s:
        return _hangs(idle[0][1], idle[0][0], name=name)
    return None


def stuck_rows(rows: Iterable[JobRow], now: float, stall_s: float, speed: float) -> list[tuple[JobRow, Stall]]:
    """Those of the rows that hang, with why."""
    judged = ((row, stall_of(row, now, stall_s, speed)) for row in rows)
    return [(row, stall) for row, stall in judged if stall is not None]


def stuck_jobs(board: Board, now: float) -> list[tuple[JobRow, Stall]]:
    """All that hang in a sweep whose runner is up, in the plan's order."""
    if board.plan is None:
        return []
    rows = (board.jobs[job] for job in board.order)
    return stuck_rows(rows, now, board.plan.stall_s, board.plan.speed)


def _blind(agents: Iterable[AgentRow]) -> bool:
    return all(agent.doing in {"unseen", "ended"} for agent in agents) and any(
        agent.doing == "unseen" for agent in agents
    )


def _hangs(agent: AgentRow, seconds: float, *, name: bool) -> Stall:
    who = f"{agent.agent}: " if name else ""
    long = about(seconds)
    match agent.doing:
        case "exec":
            command = f": {agent.command}" if agent.command else ""
            return Stall(
                "command", agent.agent, seconds, f"{who}command running {long}{command}", f"cmd {_tight(long)}{command}"
            )
        case "llm" | "retrying":
            if agent.retry is not None:
                return _retried(agent, agent.retry, seconds, name=name)
            says = f"{who}waiting for the API, no answer for {long}"
            return Stall("api", agent.agent, seconds, says, f"API silent {_tight(long)}")
        case "waiting":
            peer = agent.peer or "another agent"
            return Stall(
                "peer",
                agent.agent,
                seconds,
                f"{who}waiting for {peer}'s reply for {long}",
                f"waits {_tight(long)} for {peer}",
            )
        case _:
            return _silent(agent.agent if name else "", seconds)


def _retried(agent: AgentRow, retry: ApiRetry, seconds: float, *, name: bool) -> Stall:
    who = f"{agent.agent}: " if name else ""
    of = f" of {retry.of}" if retry.of else ""
    why = f", {retry.failure}" if retry.failure else ""
    says = f"{who}waiting for the API, {_ordinal(retry.number)} retry{of}{why}"
    slash = f"/{retry.of}" if retry.of else ""
    return Stall("api", agent.agent, seconds, says, f"retry {retry.number}{slash} {retry.failure}".rstrip())


def _silent(agent: str, seconds: float) -> Stall:
    who = f"{agent}: " if agent else ""
    long = about(seconds)
    return Stall("silent", agent, seconds, f"{who}no sign of life for {long}", f"silent {_tight(long)}")


def about(seconds: float) -> str:
    """`45 s`, `14 m`, `2 h 10 m`."""
    whole = max(0, int(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 100:
        return f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if minutes else f"{hours} h"


def _tight(text: str) -> str:
    return text.replace(" ", "")


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
