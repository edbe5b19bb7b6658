import json
from datetime import UTC

from hypothesis import given

from runner.commands.lines import json_line, narrate
from runner.model import events as ev
from runner.model.board import Board
from runner.model.hidden import plain
from runner.model.ids import PairId
from runner.model.outcome import Outcome
from runner.model.plan import Plan, Rehearsal
from runner.model.queue import make_jobs
from runner.model.reduce import reduce
from tests.property.strategies import histories

NOON = 12 * 3600.0
PAIRS = tuple(PairId("pallets_jinja_task", 1621, (3, feature)) for feature in range(4, 10))
JOBS = make_jobs("s", ("coop-comm",), PAIRS, ("m",))
JOB = JOBS[3].id
PLAN = Plan("s", ("x",), "/l", ("coop-comm",), ("m",), "a", budget_usd=150.0)
RESULT = Outcome(None, "Submitted", "", 0.412, steps=34, patch_lines=9, duration_s=372.0)
OVERLOADED = Outcome("provider", "Error", "litellm.ServiceUnavailableError: \x1b[31mOverloaded\nagain", 0.0)
BEGUN: tuple[ev.Event, ...] = (ev.JobsPlanned(JOBS), ev.AttemptStarting(JOB, 1, "t", "f"))
STARTED = ev.AttemptStarted(JOB, 1, 7, 7)


def _board(*events: ev.Event, plan: Plan = PLAN) -> Board:
    board = Board()
    for seq, event in enumerate((ev.SweepPlanned(plan), *events), 1):
        board = reduce(board, ev.Envelope(seq, 0.0, event))
    return board


def _told(board: Board, *events: ev.Event) -> list[str]:
    batch = [ev.Envelope(board.seq + number, NOON + number, event) for number, event in enumerate(events, 1)]
    return list(narrate(board, batch, UTC))


def test_the_life_of_a_job_in_lines() -> None:
    assert _told(_board(*BEGUN), STARTED) == ["12:00:01 coop-comm jinja/1621 f3 f7  try 1/3 started"]
    running = _board(*BEGUN, STARTED)
    assert _told(running, ev.AgentSeen(JOB, 1, "agent1", "llm", 3, 0.1)) == []
    assert _told(
        running, ev.AttemptEnded(JOB, 1, RESULT), ev.ResultDelivered(JOB, 1, "/p"), ev.JobSettled(JOB, "done")
    ) == ["12:00:01 coop-comm jinja/1621 f3 f7  Submitted  34 steps  $0.412  06:12"]


def test_a_failure_tells_what_follows_in_the_same_line() -> None:
    running = _board(*BEGUN, STARTED)
    ended = ev.AttemptEnded(JOB, 1, OVERLOADED)
    retry = ev.RetryScheduled(JOB, 2, 41.0, "overloaded")
    head = (
        "12:00:01 coop-comm jinja/1621 f3 f7  failed provider: litellm.ServiceUnavailableError: ?[31mOverloaded?again"
    )
    assert _told(running, ended, retry) == [f"{head}; try 2/3 in 41 s"]
    assert _told(running, ended, ev.JobSettled(JOB, "failed")) == [f"{head}; not tried again"]
    assert _told(running, ended) == [head]
    assert _told(_board(*BEGUN, STARTED, ended), retry) == ["12:00:01 coop-comm jinja/1621 f3 f7  try 2/3 in 41 s"]


def test_what_the_user_did_is_told() -> None:
    board = _board(*BEGUN, STARTED)
    lines = _told(
        board,
        ev.SlotsSet(8),
        ev.QueuePaused(),
        ev.QueueResumed(),
        ev.QueueHeld("budget", "the budget of $150 is spent"),
        ev.LauncherFellBack("threads are alive"),
        ev.QueueReleased("budget"),
        ev.CancelRequested(JOB),
        ev.StopRequested("drain"),
        ev.RunnerStopped("drained"),
    )
    assert [line[9:] for line in lines] == [
        "slots 4 -> 8",
        "paused: nothing new starts",
        "resumed",
        "held: the budget of $150 is spent",
        "attempts start by the plain command, which costs more: threads are alive",
        "released: budget",
        "coop-comm jinja/1621 f3 f7  cancel asked for",
        "stopping: what runs may finish",
        "runner stopped: drained",
    ]


def test_many_skipped_jobs_are_one_line() -> None:
    skips = [ev.JobSkipped(job.id, RESULT, "/p") for job in JOBS]
    assert [line[9:] for line in _told(_board(ev.JobsPlanned(JOBS)), *skips)] == [
        "6 jobs skipped: their results are there already"
    ]
    assert len(_told(_board(ev.JobsPlanned(JOBS)), *skips[:2])) == 2


def test_unknown_costs_and_empty_patches_are_not_hidden() -> None:
    ended = ev.AttemptEnded(JOB, 1, Outcome(None, "Submitted", "", None, steps=2))
    assert _told(_board(*BEGUN, STARTED), ended)[0].endswith("Submitted without a patch  2 steps  $?")


def test_a_rehearsal_is_marked_in_every_line() -> None:
    plan = Plan("s", ("x",), "/l", ("solo",), ("m",), "a", rehearsal=Rehearsal(60.0))
    lines = _told(Board(), ev.SweepPlanned(plan), ev.RunnerStarted(7, "host", "0"))
    assert all("[rehearsal] " in line for line in lines)
    assert "no agent works, nothing is spent" in lines[0]


def test_json_lines_are_flat() -> None:
    envelope = ev.Envelope(3, 1.5, ev.AttemptEnded(JOB, 1, RESULT))
    shape = json.loads(json_line(envelope))
    assert (shape["type"], shape["seq"], shape["at"], shape["job"]) == ("AttemptEnded", 3, 1.5, JOB)
    assert shape["outcome"]["cost_usd"] == 0.412
    foreign = json.loads(json_line(ev.Envelope(4, 2.0, ev.ForeignEvent('{"type": "Later", "seq": 99, "new": [1]}'))))
    assert foreign == {"type": "Later", "seq": 4, "at": 2.0, "new": [1]}


@given(histories())
def test_any_history_is_told_in_printable_lines(history: list[ev.Envelope]) -> None:
    for line in narrate(Board(), history, UTC):
        assert line.isprintable()
    for envelope in history:
        assert "\n" not in json_line(envelope)


def test_plain_leaves_no_control_character() -> None:
    assert plain("a\x1b[2J\r\n\t\x9bé\u202eb") == "a?[2J????é?b"
