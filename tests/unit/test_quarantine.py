"""What brings the runner down twice is left alone the third time, with its files where they are."""

import threading
from pathlib import Path

import pytest

from runner.adapters.quarantine import guarded
from runner.engine.ports import Quarantined
from runner.model import commands as cmd
from runner.model import events as ev
from runner.model.outcome import Outcome
from tests.unit.fakes import OK, Deck, jobs, the_plan
from tests.unit.sweeps import ONE, STARTING, left_by_another_runner, planned, until

GONE = ev.AttemptStarted(ONE, 1, 4711, 1)
SAYS = "the runner died 2 times while it delivered this"


class Killed(BaseException):
    """Stands for a SIGKILL: nothing after it runs."""


def kills() -> Outcome:
    raise Killed


def test_what_kills_the_runner_is_tried_twice(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(Killed):
            guarded(tmp_path / "looks" / "mark", "read this", kills)
    for _ in range(2):
        with pytest.raises(Quarantined, match="the runner died 2 times while it read this"):
            guarded(tmp_path / "looks" / "mark", "read this", kills)


def test_what_succeeds_leaves_no_mark(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("1")
    assert guarded(tmp_path / "mark", "read", lambda: OK) == OK
    assert not (tmp_path / "mark").exists()


def test_a_mark_of_nonsense_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "mark").write_bytes(b"\xff\x00")
    assert guarded(tmp_path / "mark", "read", lambda: OK) == OK


def test_of_several_that_were_under_way_only_one_is_tried_again_at_a_time(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("1")
    begun, go_on, marks = threading.Event(), threading.Event(), []

    def slow() -> Outcome:
        begun.set()
        assert go_on.wait(40)
        return OK

    def look() -> Outcome:
        marks.append((tmp_path / "a").exists())
        return OK

    first = threading.Thread(target=guarded, args=(tmp_path / "a", "read", slow))
    second = threading.Thread(target=guarded, args=(tmp_path / "b", "read", look))
    first.start()
    assert begun.wait(40)
    second.start()
    assert guarded(tmp_path / "never died", "read", lambda: OK) == OK
    assert (tmp_path / "b").read_text() == "1"
    go_on.set()
    for thread in (first, second):
        thread.join(40)
    assert marks == [False]


@pytest.mark.anyio
async def test_a_result_that_cannot_be_delivered_for_that_is_delivered_and_not_bought_when_asked_for_again() -> None:
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, GONE, ev.AttemptEnded(ONE, 1, OK)))
    deck.cooperbench.brings_down.add(ONE)
    assert await deck.run() == "finished"
    row = deck.board.jobs[ONE]
    assert (row.state, row.quarantined, row.cost_usd, row.wasted_usd) == ("failed", True, OK.cost_usd, 0)
    assert row.outcome is not None
    assert SAYS in row.outcome.evidence
    following = Deck(ledger=deck.ledger)
    assert await following.run(ev.JobQueued(ONE, "asked for again")) == "finished"
    row = following.board.jobs[ONE]
    assert (row.state, row.outcome, row.reason, len(row.attempts)) == ("done", OK, "", 1)
    assert following.launcher.orders == []
    assert following.cooperbench.delivered_jobs == [(ONE, False)]


@pytest.mark.anyio
async def test_it_is_delivered_too_when_asked_for_while_the_runner_is_up() -> None:
    deck = Deck()
    deck.launcher.holds = True

    async def user(deck: Deck) -> None:
        await until(lambda: len(deck.launcher.running) == 2)
        deck.cooperbench.brings_down.add(ONE)
        deck.launcher.running[1].over.set()
        await until(lambda: deck.board.jobs[ONE].quarantined)
        deck.cooperbench.brings_down.clear()
        assert deck.sweep is not None
        assert (await deck.sweep.obey(cmd.Retry(ONE))).ok
        await until(lambda: deck.board.jobs[ONE].state == "done")
        deck.launcher.running[2].over.set()

    assert await deck.run(*planned(2), meanwhile=user) == "finished"
    assert len(deck.launcher.orders) == 2


@pytest.mark.anyio
async def test_a_failure_that_cannot_be_delivered_is_tried_again_when_asked_for() -> None:
    failed = Outcome("auth", "Error", "no key", 0.0)
    deck = Deck(ledger=left_by_another_runner(the_plan(), STARTING, GONE, ev.AttemptEnded(ONE, 1, failed)))
    deck.cooperbench.brings_down.add(ONE)
    await deck.run()
    assert deck.board.jobs[ONE].quarantined
    following = Deck(ledger=deck.ledger)
    await following.run(ev.JobQueued(ONE, "asked for again"))
    assert (following.board.jobs[ONE].state, len(following.launcher.orders)) == ("done", 1)


@pytest.mark.anyio
async def test_a_result_that_is_there_and_cannot_be_looked_at_ends_its_job_alone() -> None:
    deck = Deck()
    deck.cooperbench.brings_down.add(ONE)
    other = jobs(2)[1].id
    deck.cooperbench.there[other] = OK
    assert await deck.run(*planned(2)) == "finished"
    assert deck.launcher.orders == []
    assert deck.board.jobs[ONE].quarantined
    assert deck.board.jobs[other].state == "skipped"


@pytest.mark.anyio
async def test_what_the_ledger_knows_of_a_delivered_result_holds_without_a_look() -> None:
    deck = Deck()
    await deck.run(*planned(1))
    again = Deck(ledger=deck.ledger)
    again.cooperbench.brings_down.add(ONE)
    assert await again.run(recheck=True) == "finished"
    row = again.board.jobs[ONE]
    assert (row.state, row.delivered, again.launcher.orders) == ("skipped", f"/delivered/{ONE}", [])
    assert row.outcome is not None
    assert row.outcome.is_result
    assert SAYS in row.outcome.evidence
