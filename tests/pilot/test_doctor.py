"""The doctor's screen: what a process says, as it says it; leaving ends the process."""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from textual.pilot import Pilot

from runner.model.check import Finding, Variable
from runner.model.ids import PairId
from tests.pilot.boards import FakeSource, middle
from tui.app import CoopdeckApp
from tui.examination import DOCTOR, doctor_command, examination_lines, folded, verdict_of
from tui.screens.doctor import DoctorScreen

pytestmark = pytest.mark.anyio

FINDINGS = (
    Finding("cooperbench", "ok", "cooperbench 0.0.29 on Python 3.12.1, litellm 1.1: /p/.coopdeck/env/bin/cooperbench"),
    Finding("dataset", "fail", "the dataset at /root/p/dataset has no pallets_click_task/task2068 and 25 more",
            "download it with '/root/p/.coopdeck/env/bin/cooperbench prepare', or name another with --dataset-dir"),
    Finding("model", "warn", "http://127.0.0.1/v1 knows the key for openai/gpt-4o, but limits its rate now", "wait"),
    Finding("git server", "skipped", "needed with --git alone"),
)  # fmt: skip
VARIABLE = Variable("OPENAI_API_KEY", "*** (51 characters)", ".env")


def says(*shapes: object, then: str = "") -> tuple[str, ...]:
    """A command that says these lines, and then does something else."""
    lines = "\n".join(json.dumps(shape) for shape in shapes)
    return (sys.executable, "-c", f"import sys, time\nprint({lines!r}, flush=True)\n{then}")


class Asked:
    """What the key runs, in the place of the real doctor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.command: tuple[str, ...] = ()
        monkeypatch.setattr(CoopdeckApp, "doctor_command", lambda app: self.command)

    def app(self, *command: str) -> CoopdeckApp:
        self.command = command
        return CoopdeckApp(FakeSource(middle()), now=lambda: 0.0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


async def look(pilot: Pilot[str], *, over: bool = True) -> DoctorScreen:
    assert isinstance(pilot.app, CoopdeckApp)
    deadline = time.monotonic() + 40
    while pilot.app.session.board.plan is None and time.monotonic() < deadline:
        await pilot.pause(0.05)
    await pilot.press("h")
    screen = pilot.app.screen
    assert isinstance(screen, DoctorScreen)
    return await seen(pilot, screen, over=over)


async def seen(pilot: Pilot[str], screen: DoctorScreen, *, over: bool = True) -> DoctorScreen:
    deadline = time.monotonic() + 40
    while (not screen.over if over else not screen.findings) and time.monotonic() < deadline:
        await pilot.pause(0.05)
    assert screen.over == over
    return screen


def text(screen: DoctorScreen) -> str:
    return "\n".join("".join(span.text for span in line) for line in screen._lines.lines)


async def test_it_shows_what_was_found_and_looks_again_on_a_key(tmp_path: Path, asked: Asked) -> None:
    counted = tmp_path / "looks"
    app = asked.app(*says(
        *(finding.shape for finding in FINDINGS), VARIABLE.shape, {"type": "summary"},
        then=f"open({str(counted)!r}, 'a').write('x')",
    ))  # fmt: skip
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await look(pilot)
        assert screen.findings == list(FINDINGS)
        assert "1 to be mended before a real sweep, 1 to be aware of" in str(screen._page.border_title)
        assert text(screen).startswith("A rehearsal needs none of this; a real sweep would.\n")
        assert "OPENAI_API_KEY=*** (51 characters)  (.env)" in text(screen)
        assert max(len(line) for line in text(screen).splitlines()) <= 76
        await pilot.press("r")
        await seen(pilot, screen)
        assert counted.read_text() == "xx"
        await pilot.press("escape")
        assert not isinstance(app.screen, DoctorScreen)


async def test_of_a_real_sweep_nothing_is_said_of_rehearsals(asked: Asked) -> None:
    asked.command = says(*(finding.shape for finding in FINDINGS))
    app = CoopdeckApp(FakeSource(middle(rehearsal=False)), now=lambda: 0.0)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await look(pilot)
        assert str(screen._page.border_title) == "doctor: 1 to be mended, 1 to be aware of"
        assert text(screen).startswith("ok      cooperbench")


async def test_lines_are_there_before_the_end_and_leaving_ends_the_process(tmp_path: Path, asked: Asked) -> None:
    pid = tmp_path / "pid"
    then = f"import os; open({str(pid)!r}, 'w').write(str(os.getpid())); print('{{}}', flush=True); time.sleep(600)"
    app = asked.app(*says(FINDINGS[0].shape, then=then))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await look(pilot, over=False)
        assert "looking" in str(screen._page.border_title)
        deadline = time.monotonic() + 40
        while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
            await pilot.pause(0.05)
        number = int(pid.read_text())
        assert psutil.pid_exists(number)
        await pilot.press("escape")
        while _runs(number) and time.monotonic() < deadline:
            await pilot.pause(0.05)
        assert not _runs(number)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ((sys.executable, "-c", "raise SystemExit('coopdeck: coopdeck.toml is not valid')"), "coopdeck.toml is not"),
        (("/nowhere/python",), "No such file"),
        ((sys.executable, "-c", "print('\x1b]52;c;x\x07 no JSON')"), "it said nothing"),
    ],
)
async def test_a_doctor_that_cannot_look_is_a_line(command: tuple[str, ...], found: str, asked: Asked) -> None:
    app = asked.app(*command)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await look(pilot)
        assert len(screen.findings) == 1
        assert found in screen.findings[0].says


async def test_hostile_words_are_shown_and_obeyed_by_nobody(asked: Asked) -> None:
    app = asked.app(*says(Finding("model", "fail", "\x1b]52;c;ZXZpbA==\x07 [red]and\u202e more").shape))
    async with app.run_test(size=(80, 24)) as pilot:
        shown = text(await look(pilot))
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "[red]and" in shown


def test_the_command_asks_for_the_sweep_in_view() -> None:
    board = middle().board
    assert doctor_command(None) == DOCTOR
    assert board.plan is not None
    assert doctor_command(board) == DOCTOR  # a rehearsal needs nothing
    plan = replace(board.plan, rehearsal=None, git=True, extra=("--base-url", "http://h"), dataset_dir="/data")
    command = doctor_command(replace(board, plan=plan))
    assert command[: len(DOCTOR)] == DOCTOR
    assert command[command.index("--model") + 1] == plan.models[0]
    assert command[command.index("--dataset-dir") + 1] == "/data"
    pairs = command[command.index("--pairs") + 1].split(",")
    assert len(pairs) == 100
    first = board.jobs[board.order[0]].spec.pair
    assert pairs[0] == f"{first.repo}/{first.task}/{first.folder}"
    assert isinstance(first, PairId)
    assert command[-4:] == ("--git", "--", "--base-url", "http://h")


def test_lines_are_folded_and_long_words_cut() -> None:
    assert folded("one two three", 7) == ["one two", "three"]
    assert folded("a " + "x" * 12, 5) == ["a", "xxxxx", "xxxxx", "xx"]
    lines = examination_lines(FINDINGS, [VARIABLE], 60, ascii_only=True)
    assert all(sum(len(span.text) for span in line) <= 60 for line in lines)
    assert verdict_of(FINDINGS[:1], over=True) == "ready for a sweep"
    assert verdict_of(FINDINGS[:1], over=True, rehearsal=True) == "ready for a real sweep"
    assert os.linesep not in "".join(span.text for line in lines for span in line)
