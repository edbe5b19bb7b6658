"""The verdict on a job that does not come on: a table of what is seen and what is said."""

from dataclasses import replace

import pytest

from runner.model.events import ApiRetry, Doing
from runner.model.rows import AgentRow, AttemptRow, JobRow, JobState
from runner.model.stall import about, idle_s, no_live_data, stall_of
from tests.unit.fakes import jobs

NOW, STALL_S = 10_000.0, 600.0
LONG = 14 * 60.0


def agent(name: str, doing: Doing, ago: float, **more: object) -> AgentRow:
    return AgentRow(name, doing, 3, 0.1, NOW - ago, since=NOW - ago, **more)  # type: ignore[arg-type]


def row(*agents: AgentRow, state: JobState = "running", up: float = 9000.0) -> JobRow:
    return JobRow(jobs(1)[0], state, (AttemptRow(1, "t", "f", NOW - up),), agents)


def retry(number: int, of: int | None = 10) -> ApiRetry:
    return ApiRetry(number, of, "RateLimitError", 8.0)


SOLO_CASES = [
    (agent("solo", "llm", 5), None),
    (agent("solo", "llm", LONG), "waiting for the API, no answer for 14 m"),
    (agent("solo", "exec", 599, command="pytest"), None),
    (agent("solo", "exec", LONG, command="pytest -q"), "command running 14 m: pytest -q"),
    (agent("solo", "exec", LONG), "command running 14 m"),
    (agent("solo", "retrying", 5, retry=retry(2)), None),
    (agent("solo", "retrying", 5, retry=retry(6)), "waiting for the API, 6th retry of 10, RateLimitError"),
    (agent("solo", "llm", 5, retry=retry(3, None)), "waiting for the API, 3rd retry, RateLimitError"),
    (agent("solo", "retrying", LONG, retry=retry(1)), "waiting for the API, 1st retry of 10, RateLimitError"),
    (agent("solo", "starting", LONG), "no sign of life for 14 m"),
    (agent("solo", "ended", LONG), "no sign of life for 14 m"),
    (agent("solo", "ended", 5), None),
    (agent("solo", "unseen", LONG), None),
    (agent("solo", "waiting", LONG, peer="agent2"), "waiting for agent2's reply for 14 m"),
]


@pytest.mark.parametrize(("one", "says"), SOLO_CASES)
def test_what_one_agent_hangs_at(one: AgentRow, says: str | None) -> None:
    stall = stall_of(row(one), NOW, STALL_S)
    assert (stall.says if stall else None) == says
    if stall:
        assert len(stall.brief) <= len(stall.says)


def test_a_colleague_at_work_is_waited_for_and_one_that_hangs_is_named() -> None:
    waits = agent("agent1", "waiting", LONG, peer="agent2")
    assert stall_of(row(waits, agent("agent2", "exec", 5)), NOW, STALL_S) is None
    hangs = stall_of(row(waits, agent("agent2", "exec", LONG, command="make")), NOW, STALL_S)
    assert hangs is not None
    assert (hangs.cause, hangs.agent, hangs.says) == ("command", "agent2", "agent2: command running 14 m: make")
    gone = stall_of(row(waits, agent("agent2", "ended", LONG)), NOW, STALL_S)
    assert gone is not None
    assert gone.says == "agent1: waiting for agent2's reply for 14 m"


def test_one_agent_that_hangs_is_seen_though_the_other_works() -> None:
    stall = stall_of(row(agent("agent1", "exec", LONG, command="x"), agent("agent2", "llm", 1)), NOW, STALL_S)
    assert stall is not None
    assert (stall.agent, stall.idle_s) == ("agent1", LONG)


def test_nobody_was_ever_seen() -> None:
    assert stall_of(row(up=599), NOW, STALL_S) is None
    stall = stall_of(row(up=LONG), NOW, STALL_S)
    assert stall is not None
    assert (stall.cause, stall.says) == ("silent", "no sign of life for 14 m")
    assert not no_live_data(row(up=5), NOW)
    assert no_live_data(row(up=61), NOW)


def test_who_gives_no_live_data_is_not_judged() -> None:
    blind = row(agent("agent1", "unseen", LONG), agent("agent2", "ended", LONG))
    assert no_live_data(blind, NOW)
    assert stall_of(blind, NOW, STALL_S) is None
    assert idle_s(blind, NOW) is None
    assert not no_live_data(row(agent("agent1", "llm", 1)), NOW)


@pytest.mark.parametrize("state", ["queued", "delivering", "retrying", "done", "failed", "cancelled"])
def test_only_what_runs_can_hang(state: JobState) -> None:
    assert stall_of(row(agent("solo", "exec", LONG), state=state), NOW, STALL_S) is None
    assert idle_s(row(agent("solo", "exec", LONG), state=state), NOW) is None


def test_what_is_being_ended_hangs_no_more() -> None:
    assert stall_of(replace(row(agent("solo", "exec", LONG)), cancelling=True), NOW, STALL_S) is None


def test_idle_time_is_that_of_the_whole_job_in_recorded_seconds() -> None:
    both = row(agent("agent1", "exec", 30), agent("agent2", "llm", 3))
    assert idle_s(both, NOW) == 3
    assert idle_s(both, NOW, 60) == 180
    # A clock set back makes nothing negative.
    assert idle_s(both, NOW - 100) == 0
    assert stall_of(row(agent("solo", "llm", 10)), NOW, STALL_S, 60) is not None
    # News need a moment, in which a quick rehearsal's time flies.
    assert stall_of(row(agent("solo", "llm", 4)), NOW, STALL_S, 1000) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "1 m"), (840, "14 m"), (7800, "2 h 10 m"), (7200, "2 h")]
)
def test_about(seconds: float, text: str) -> None:
    assert about(seconds) == text
