"""What a job says of itself: its row, its head line, its tries, from boards made by hand."""

from dataclasses import replace
from functools import partial

import pytest

from runner.model import events as ev
from runner.model.board import Board
from runner.model.outcome import Evaluation, Outcome
from runner.model.rows import AgentRow, AttemptRow, JobRow
from runner.model.supplies import Supply, image_name, lacking
from tests.pilot.boards import NOW, START, begun, failure, middle, said
from tui import format as fmt
from tui.glyphs import ASCII, UNICODE
from tui.rows import Eyes, doing_of, job_line, pair_row, tries_lines
from tui.screens.sweep import COLUMNS

EYES = Eyes(NOW, 60.0, 3, UNICODE)
SETTING, PAIR, TRY, DOING, STEP, COST, TIME = 1, 2, 4, 5, 6, 7, 8


def row_of(board: Board, state: str) -> JobRow:
    return next(row for row in map(board.jobs.__getitem__, board.order) if row.state == state)


def cells(row: JobRow, eyes: Eyes = EYES) -> tuple[str, ...]:
    return pair_row(row, 0, eyes).cells


def test_an_unknown_cost_keeps_its_mark_in_its_column() -> None:
    row = row_of(middle().board, "running")
    tries = (AttemptRow(1, "t", "f", START, cost_usd=None), replace(row.attempts[-1], number=2, cost_usd=4.123))
    shown = cells(replace(row, attempts=tries))[COST]
    assert shown == "$4.12+?"
    assert len(shown) <= next(column.width for column in COLUMNS if column.title == "cost")


def test_a_running_row_counts_recorded_time() -> None:
    row = row_of(middle().board, "running")
    shown = pair_row(row, 7, EYES)
    assert shown.cells[TIME] == "06:12"
    assert shown.cells[DOING] == "a1 exec a2 llm"
    assert shown.cells[COST] == "$0.412"
    assert shown.cells[STEP] == "34"
    assert shown.ticks
    later = pair_row(row, 7, replace(EYES, now=NOW + 1))
    assert later.cells[TIME] == "07:12"


def test_a_lone_agent_needs_no_name() -> None:
    row = replace(row_of(middle().board, "running"), agents=(AgentRow("agent", "llm", 3, 0.1, NOW),))
    assert cells(row)[DOING] == "llm"
    assert cells(replace(row, agents=()))[DOING] == "running"
    assert cells(replace(row, cancelling=True))[DOING] == "cancelling"


def test_failed_retrying_queued_and_done_rows() -> None:
    board = middle().board
    failed = cells(row_of(board, "failed"))
    assert failed[0] == "✗"
    assert failed[TRY] == "3/3"
    assert failed[DOING].startswith("docker: Error response from daemon")
    waiting = cells(row_of(board, "retrying"))
    assert waiting[DOING].startswith("in 01:24 rate: litellm.RateLimitError")
    assert waiting[COST] == "$?"
    assert cells(row_of(board, "queued"))[DOING:] == ("", "", "", "", "")
    done = cells(row_of(board, "done"))
    assert done[DOING] in {"Submitted", "no-patch", "LimitsExceeded"}
    assert done[TIME] == fmt.clock(row_of(board, "done").outcome.duration_s or 0)  # type: ignore[union-attr]


def test_a_failed_job_without_a_recorded_duration_has_our_own() -> None:
    maker = begun(rehearsal=False)
    job = next(iter(maker.board.order))
    maker.start(job, at=START)
    maker.end(job, Outcome("crash", "", "the process ended with status 1", None), at=START + 65)
    shown = cells(maker.board.jobs[job], replace(EYES, speed=1.0))
    assert shown[TIME] == "01:05"
    assert shown[COST] == "$?"
    assert shown[DOING] == "crash: the process ended with status 1"


def test_hostile_text_is_inert_in_rows() -> None:
    maker = begun()
    job = next(iter(maker.board.order))
    maker.start(job)
    maker.end(job, failure("provider", "[red]x[/] \x1b]52;c;eA==\x07 \u202eabc"))
    row = maker.board.jobs[job]
    text = "".join(cells(row)) + said(job_line(row, EYES)) + "".join(map(said, tries_lines(row, EYES, 80)))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]x[/]" in text
    ascii_text = "".join(cells(row, replace(EYES, glyphs=ASCII)))
    assert ascii_text.isascii()


def test_the_tries_of_a_job() -> None:
    row = row_of(middle().board, "failed")
    lines = [said(line) for line in tries_lines(row, EYES, 100)]
    assert sum(line.startswith(" try ") for line in lines) == 3
    assert "docker" in lines[0]
    assert "$0.000" in lines[0]
    assert any(row.attempts[2].folder in line for line in lines)
    assert [said(line) for line in tries_lines(row_of(middle().board, "queued"), EYES, 80)] == [" no try yet"]


def test_a_job_that_runs_again_counts_its_new_life() -> None:
    maker = begun()
    job = next(iter(maker.board.order))
    for number in (1, 2, 3):
        maker.start(job, number)
        maker.end(job, failure("docker", "down"), number, settle=number == 3)
        if number < 3:
            maker.happen(ev.RetryScheduled(job, number + 1, 1.0, "down"))
    maker.happen(ev.JobQueued(job, "asked for again"))
    assert cells(maker.board.jobs[job])[TRY] == "3/6"
    assert cells(maker.board.jobs[job])[DOING] == "asked for again"


def test_the_filter_looks_in_setting_pair_state_label_and_reason() -> None:
    find = pair_row(row_of(middle().board, "failed"), 0, EYES).find
    for word in ("coop-nocomm", "go_chi/26", "failed", "docker", "exit 125"):
        assert word in find


def test_a_job_that_waits_says_for_what_and_is_looked_at_every_second() -> None:
    maker = begun(rehearsal=False)
    row = maker.board.jobs[maker.board.order[0]]
    image = image_name(row.spec.pair.repo, row.spec.pair.task)
    pulling = Supply("image", image, "getting", "pulling", 4, 10)
    for supply, says in (
        (pulling, "waits for image 40%"),
        (Supply("image", image, "down", "Docker does not answer"), "waits for image: Docker does not answer"),
        (Supply("image", image, "there"), ""),
    ):
        maker.happen(ev.SupplySeen(supply))
        shown = pair_row(row, 0, replace(EYES, lacks=partial(lacking, maker.board)))
        assert (shown.cells[DOING], shown.ticks) == (says, True)
    assert not pair_row(row, 0, EYES).ticks


def test_a_retry_whose_time_has_come_says_what_it_waits_for() -> None:
    maker = begun(rehearsal=False)
    row = next(row for row in maker.board.jobs.values() if row.spec.setting == "coop-comm")
    maker.happen(ev.SupplySeen(Supply("redis", "", "down", "it refuses connections")))
    eyes = replace(EYES, lacks=partial(lacking, maker.board))
    for left, says in ((5.0, "in "), (0.0, "waits for Redis: it refuses connections")):
        late = replace(row, state="retrying", retry_at=eyes.now + left, reason="")
        assert pair_row(late, 0, eyes).cells[DOING].startswith(says)


@pytest.mark.parametrize(
    ("status", "tested", "shown", "tone"),
    [
        ("Submitted", Evaluation((True, True)), "both passed", "ok"),
        ("Submitted", Evaluation((True, False)), "1 of 2 passed", "soft"),
        ("LimitsExceeded", Evaluation((False, True)), "1 of 2, LimitsExceeded", "soft"),
        ("Submitted", Evaluation(error="no base"), "eval failed", "warn"),
    ],
)
def test_an_evaluated_result_shows_its_tests_first(status: str, tested: Evaluation, shown: str, tone: str) -> None:
    done = row_of(middle().board, "done")
    row = replace(done, outcome=Outcome(None, status, "result.json", 0.1, 5, 9, tested=tested))
    assert doing_of(row, EYES) == (shown, tone)
    assert shown.casefold() in pair_row(row, 0, EYES).find
    assert any("tests: " in said(line) for line in tries_lines(replace(row, attempts=(
        replace(row.attempts[-1], outcome=row.outcome),)), EYES, 80))  # fmt: skip
