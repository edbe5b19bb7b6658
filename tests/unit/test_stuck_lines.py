import json
from datetime import UTC
from functools import reduce as fold

from runner.commands.stuck_lines import StuckLines
from runner.model import events as ev
from runner.model.board import Board
from runner.model.outcome import Outcome
from runner.model.reduce import reduce
from tests.unit.fakes import jobs, the_plan

JOB = jobs(1)[0].id


def board(*events: ev.Event, at: float = 1000.0) -> Board:
    opening = (ev.SweepPlanned(the_plan(rehearsal=None)), ev.JobsPlanned(jobs(2)))
    started = (ev.AttemptStarting(JOB, 1, "t", "f"), ev.AttemptStarted(JOB, 1, 1, 1))
    envelopes = [ev.Envelope(seq, at, event) for seq, event in enumerate((*opening, *started, *events), 1)]
    return fold(reduce, envelopes, Board())


RUNS = ev.AgentSeen(JOB, 1, "solo", "exec", 3, 0.1, command="pytest -q")
WAITS = ev.AgentSeen(JOB, 1, "solo", "retrying", 3, 0.1, retry=ev.ApiRetry(6, 10, "RateLimitError"))


def test_each_is_said_once_and_that_it_is_over() -> None:
    lines = StuckLines(as_json=False, zone=UTC)
    assert list(lines.news(board(RUNS), 1010.0)) == []
    assert list(lines.news(board(RUNS), 1900.0)) == [
        "00:31:40 solo toy/1 f1 f2  STUCK: command running 15 m: pytest -q"
    ]
    assert list(lines.news(board(RUNS), 1960.0)) == []
    assert list(lines.news(board(RUNS, WAITS), 1961.0)) == [
        "00:32:41 solo toy/1 f1 f2  STUCK: waiting for the API, 6th retry of 10, RateLimitError"
    ]
    moving = board(RUNS, ev.AgentSeen(JOB, 1, "solo", "llm", 4, 0.2), at=1970.0)
    assert list(lines.news(moving, 1970.0)) == ["00:32:50 solo toy/1 f1 f2  comes on again"]
    assert list(lines.news(moving, 1971.0)) == []


def test_as_json_in_one_shape() -> None:
    lines = StuckLines(as_json=True)
    (line,) = lines.news(board(WAITS), 1010.0)
    assert json.loads(line) == {
        "type": "Stuck",
        "at": 1010.0,
        "job": JOB,
        "cause": "api",
        "agent": "solo",
        "idle_s": 10.0,
        "says": "waiting for the API, 6th retry of 10, RateLimitError",
        "brief": "retry 6/10 RateLimitError",
    }
    ended = ev.AttemptEnded(JOB, 1, Outcome(None, "Submitted", "x", 0.1))
    assert list(lines.news(board(WAITS, ended), 1020.0)) == []
