"""What the lines and rows say, from boards made by hand."""

import re
from dataclasses import replace
from functools import partial

import pytest

from runner.model import events as ev
from runner.model.board import Board
from runner.model.ids import JobId
from runner.model.outcome import Evaluation, Outcome
from runner.model.reduce import with_rows
from runner.model.rows import AgentRow, AttemptRow, JobRow
from runner.model.supplies import Supply, image_name, lacking
from tests.pilot.boards import NOW, START, Maker, begun, failure, middle, recorded
from tests.unit.fakes import jobs, the_plan
from tui import format as fmt
from tui.glyphs import ASCII, UNICODE, Glyphs
from tui.present import Outlook, banner, head_line, outlook, settings_lines, totals_line
from tui.rows import Eyes, doing_of, job_line, pair_row, tries_lines
from tui.screens.sweep import COLUMNS
from tui.text import Line, fit, fit_middle, spread, width_of

EYES = Eyes(NOW, 60.0, 3, UNICODE)
SETTING, PAIR, TRY, DOING, STEP, COST, TIME = 1, 2, 4, 5, 6, 7, 8


def said(line: Line) -> str:
    return "".join(span.text for span in line)


def row_of(board: Board, state: str) -> JobRow:
    return next(row for row in map(board.jobs.__getitem__, board.order) if row.state == state)


def cells(row: JobRow, eyes: Eyes = EYES) -> tuple[str, ...]:
    return pair_row(row, 0, eyes).cells


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (372.9, "06:12"), (3723, "1:02:03"), (90_000, "1d 01:00"), (-5, "00:00"), (86_399, "23:59:59")],
)
def test_clock(seconds: float, text: str) -> None:
    assert fmt.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45s"), (2280, "38m"), (7800, "2h10m"), (275_000, "3d4h"), (5999, "1h40m"), (0, "0s")]
)
def test_about(seconds: float, text: str) -> None:
    assert fmt.about(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(372, "06:12"), (3599.9, "59:59"), (3720, "1h02m"), (35_999, "9h59m"), (36_000, "10.0h"), (359_999, "99.9h"),
     (360_000, "4d"), (8_000_000, "92d")],
)  # fmt: skip
def test_a_time_fits_its_column(seconds: float, text: str) -> None:
    assert fmt.tight_clock(seconds) == text
    assert len(text) <= next(column.width for column in COLUMNS if column.title == "time")


def test_an_unknown_cost_keeps_its_mark_in_its_column() -> None:
    row = row_of(middle().board, "running")
    tries = (AttemptRow(1, "t", "f", START, cost_usd=None), replace(row.attempts[-1], number=2, cost_usd=4.123))
    shown = cells(replace(row, attempts=tries))[COST]
    assert shown == "$4.12+?"
    assert len(shown) <= next(column.width for column in COLUMNS if column.title == "cost")


def test_money_that_is_not_known_is_never_nothing() -> None:
    assert fmt.cost(1.2, 0) == "$1.20"
    assert fmt.cost(1.2, 1) == "$1.20+?"
    assert fmt.cost(0.0, 2) == "$?"
    assert fmt.cost(0.4123, 0, fine=True) == "$0.412"
    assert fmt.money(1234.5) == "$1,234.50"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("width", [4, 10, 33])
def test_a_bar_is_as_wide_as_it_is_told_and_hides_nothing(width: int, glyphs: Glyphs) -> None:
    for failed in (0, 1, 50, 100):
        for done in (0, 1, 50, 100 - failed):
            line = fmt.bar(((failed, glyphs.failed, "error"), (done, glyphs.done, "ok")), 100, width, glyphs)
            assert width_of(line) == width
            if failed:
                assert glyphs.failed in said(line)
            if done:
                assert glyphs.done in said(line)
            assert said(line).isascii() or glyphs is UNICODE


def test_a_full_bar_is_full() -> None:
    assert said(fmt.bar(((100, "█", "ok"),), 100, 7, UNICODE)) == "█" * 7
    assert said(fmt.bar((), 0, 7, UNICODE)) == "·" * 7


def test_text_fits_in_cells() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abc", 5, right=True) == "  abc"
    assert fit("abcdef", 4) == "abc…"
    assert fit("abcdef", 4, more="..") == "ab.."
    assert fit("日本語", 4) == "日 …"
    assert fit_middle("react_hook_form/153 f1 f3", 22) == "react_hook_…/153 f1 f3"
    assert fit_middle("no slash at all", 5) == "no s…"


def test_the_head_line_says_that_it_is_a_rehearsal_at_any_width() -> None:
    board = middle().board
    for width in (40, 60, 80, 160):
        line = said(head_line(board, NOW, "attached", 2, width, UNICODE))
        assert "REHEARSAL x60" in line
        assert len(line) == width
    line = said(head_line(board, NOW, "attached", 2, 160, UNICODE))
    assert "1:12:44" in line
    assert "attached x2" in line
    assert "command-a-03-2025" in line
    assert "RECONNECTING" in said(head_line(board, NOW, "reconnecting", 2, 80, UNICODE))
    assert "REHEARSAL" not in said(head_line(middle(rehearsal=False).board, NOW, "attached", 1, 80, UNICODE))


def test_the_settings_lines_count_what_there_is() -> None:
    solo, comm, nocomm = (said(line) for line in settings_lines(middle().board, 160, UNICODE))
    assert "100/100  83 ok  15 no-patch  2 limit" in solo
    assert solo.endswith("    done")
    assert "44/100  3 running  1 retrying" in comm
    assert "52 queued" in comm
    assert "+?" in comm
    assert "1 docker  1 running" in nocomm


@pytest.mark.parametrize("seconds", [300.0, 6540.0, 36_300.0, 300_000.0])
@pytest.mark.parametrize("width", [80, 160])
def test_a_long_wait_takes_no_blank_from_the_cost(monkeypatch: pytest.MonkeyPatch, seconds: float, width: int) -> None:
    ahead = Outlook({"coop-comm": seconds}, None, None, None)
    monkeypatch.setattr("tui.present.outlook", lambda board: ahead)
    lines = [said(line) for line in settings_lines(middle().board, width, UNICODE)]
    assert {len(line) for line in lines} == {width - 2}
    assert all(re.search(r"\$\S+ {2,}(done|eta \S+)$", line) for line in lines), lines


@pytest.mark.parametrize("width", [60, 80, 120, 160, 240])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    board = middle().board
    for line in (*settings_lines(board, width, UNICODE), totals_line(board, NOW, width)):
        assert width_of(line) <= max(width, 72)


@pytest.mark.parametrize("width", [24, 80, 200])
def test_without_unicode_odd_words_and_cut_lines_are_ascii_too(width: int) -> None:
    maker = middle()
    job = next(row.spec.id for row in maker.board.jobs.values() if row.state == "queued")
    maker.start(job)
    maker.end(job, Outcome(None, "Fértig", "result.json", 0.1, steps=3, patch_lines=2))
    maker.happen(ev.RunnerStopped("vörbei"))
    board = replace(maker.board, plan=replace(the_plan(), sweep="long-" * 15))
    lines = [head_line(board, NOW, "over", 1, width, ASCII), totals_line(board, NOW, width, more=ASCII.more)]
    lines += [*settings_lines(board, width, ASCII), *banner(board, NOW, "over", width, ASCII)]
    assert [line for line in lines if not said(line).isascii()] == []
    assert "V?RBEI" in said(lines[-1])


def test_the_totals_line() -> None:
    wide = said(totals_line(middle().board, NOW, 160))
    assert "slots 4/4" in wide
    assert "$74.87+? of $150" in wide
    assert "/h" in wide
    assert "forecast $130" in wide
    assert "4 retries" in wide
    assert wide.rstrip().endswith("ok")
    assert "forecast -" in said(totals_line(begun().board, NOW, 80))


def test_waste_is_unknown_only_where_the_waste_is() -> None:
    def line(wasted_usd: float | None) -> str:
        spec = jobs(1)[0]
        crash = Outcome("crash", "", "gone", wasted_usd)
        first = AttemptRow(1, "t", "f", 0.0, cost_usd=wasted_usd, outcome=crash)
        row = JobRow(spec, "running", (first, AttemptRow(2, "t", "f", 0.0, cost_usd=None)))
        return said(totals_line(with_rows(Board(plan=the_plan()), (row,)), NOW, 160))

    assert "wasted $0.47  " in line(0.47)
    assert "wasted $?  " in line(None)


def test_a_forecast_over_the_budget_is_a_warning() -> None:
    board = middle().board
    assert board.plan is not None
    board = replace(board, plan=replace(board.plan, budget_usd=100.0))
    tones = {span.text: span.tone for span in totals_line(board, NOW, 160)}
    assert tones["$130"] == "warn"


def test_the_forecast_is_spent_plus_what_remains_at_the_mean() -> None:
    jobs = recorded()
    maker = begun()
    solo = [job for job, (spec, _) in jobs.items() if spec.setting == "solo"]
    assert outlook(maker.board).seconds is None
    for job in solo[:10]:
        maker.start(job)
        maker.end(job, jobs[job][1])
    spent = sum(jobs[job][1].cost_usd or 0.0 for job in solo[:10])
    seconds = sum(jobs[job][1].duration_s or 0.0 for job in solo[:10])
    ahead = outlook(maker.board)
    assert ahead.usd == pytest.approx(spent + 290 * spent / 10)
    assert ahead.seconds == pytest.approx(290 * seconds / 10 / 4)


def test_loud_lines() -> None:
    def lines(maker: Maker, link: str = "attached") -> list[str]:
        return [said(line).strip() for line in banner(maker.board, NOW, link, 200, UNICODE)]  # type: ignore[arg-type]

    maker = middle()
    assert lines(maker) == []
    maker.happen(ev.QueueHeld("budget", "$150 \x1b[2Jspent"), ev.QueuePaused())
    assert lines(maker) == [
        "HELD by budget: $150 ␛[2Jspent",
        "PAUSED: what runs goes on, nothing new starts (p resumes)",
    ]
    maker.happen(ev.QueueResumed(), ev.QueueReleased("budget"), ev.StopRequested("drain"))
    assert lines(maker) == ["STOPPING: 4 running may finish, nothing new starts"]
    assert "does not answer" in lines(maker, "reconnecting")[0]
    maker.happen(ev.LauncherFellBack("threads\x1b[2J are alive"))
    assert lines(maker)[1:] == ["plain launcher: threads␛[2J are alive"]
    maker.happen(ev.RunnerStopped("drained"), at=NOW)
    assert lines(maker, "over") == ["DRAINED: 159 of 300 jobs settled, 158 results, 1 failed, $74.87+?, 1:12:44"]


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


def test_an_empty_board_can_be_shown() -> None:
    board = Board()
    assert "waiting" in said(head_line(board, NOW, "attached", 1, 80, UNICODE))
    assert settings_lines(board, 80, UNICODE) == ()
    assert said(totals_line(board, NOW, 80))
    assert banner(board, NOW, "attached", 80, UNICODE) == ()
    assert said(spread((), (), 5)) == "     "
    assert JobId("x") not in board.jobs


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


def test_what_is_down_is_said_above_the_table_once_for_each_cause() -> None:
    maker = begun(rehearsal=False)
    for supply in (
        Supply("image", "a/cooperbench-x:task1", "down", "Docker does not answer"),
        Supply("image", "a/cooperbench-x:task2", "down", "Docker does not answer"),
        Supply("redis", "", "down", "it refuses connections"),
    ):
        maker.happen(ev.SupplySeen(supply))
    lines = [said(line).strip() for line in banner(maker.board, NOW, "attached", 100, UNICODE)]
    assert lines == [
        "DOWN: 2 things that jobs wait for: Docker does not answer",
        "DOWN: Redis: it refuses connections",
    ]


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
