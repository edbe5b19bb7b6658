"""What the lines above the table say, from boards made by hand."""

import re
from dataclasses import replace

import pytest

from runner.model import events as ev
from runner.model.board import Board
from runner.model.ids import JobId
from runner.model.outcome import Outcome
from runner.model.reduce import with_rows
from runner.model.rows import AttemptRow, JobRow
from runner.model.supplies import Supply
from tests.pilot.boards import NOW, Maker, begun, middle, recorded, said
from tests.unit.fakes import jobs, the_plan
from tui.glyphs import ASCII, UNICODE
from tui.present import Outlook, banner, head_line, outlook, settings_lines, totals_line
from tui.text import spread, width_of


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


def test_of_a_sweep_that_is_over_nobody_hears_that_it_is_paused() -> None:
    maker = middle()
    maker.happen(ev.QueuePaused(), ev.SweepFinished(), at=NOW)
    assert not any("PAUSED" in said(line) for line in banner(maker.board, NOW, "attached", 200, UNICODE))


def test_an_empty_board_can_be_shown() -> None:
    board = Board()
    assert "waiting" in said(head_line(board, NOW, "attached", 1, 80, UNICODE))
    assert settings_lines(board, 80, UNICODE) == ()
    assert said(totals_line(board, NOW, 80))
    assert banner(board, NOW, "attached", 80, UNICODE) == ()
    assert said(spread((), (), 5)) == "     "
    assert JobId("x") not in board.jobs


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
