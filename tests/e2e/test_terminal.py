"""The dashboard in a real terminal (tmux): what a person at 80x24 sees and presses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.places import Places
from tests.e2e.conftest import lacking

COOPDECK = f"{sys.executable} -P -m runner.cli"


class Terminal:
    """One tmux server of our own with one window."""

    def __init__(self, folder: Path, columns: int = 80, rows: int = 24) -> None:
        # A name that no other run of the same test has, nor one that was killed has left.
        self._server = ["tmux", "-L", f"coopdeck-{uuid.uuid4().hex[:12]}", "-f", "/dev/null"]
        self.folder = folder
        self._tmux(
            "new-session", "-d", "-s", "s", "-x", str(columns), "-y", str(rows), "-c", str(folder), "bash --norc"
        )

    def type(self, line: str) -> None:
        self._tmux("send-keys", "-t", "s", "-l", line)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", "-t", "s", key)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "s")

    def shows(self, *words: str, seconds: float = 90) -> str:
        """Wait until all words are on the screen; the screen."""
        return self.until(lambda screen: all(word in screen for word in words), f"{words}", seconds)

    def until(self, true: Callable[[str], bool], what: str, seconds: float = 90) -> str:
        deadline = time.monotonic() + seconds
        while not true(screen := self.screen()):
            assert time.monotonic() < deadline, f"never seen: {what}\n{screen}"
            time.sleep(0.1)
        return screen

    def kill(self) -> None:
        subprocess.run([*self._server, "kill-server"], capture_output=True, check=False)

    def _tmux(self, *arguments: str) -> str:
        ran = subprocess.run([*self._server, *arguments], capture_output=True, text=True, check=True, timeout=90)
        return ran.stdout


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    if not shutil.which("tmux"):
        lacking("no tmux on PATH")
    yield tmp_path
    for name in ("t", "demo"):
        _coopdeck(tmp_path, "stop", name, "--now")
    _coopdeck(tmp_path, "stop", "--now")


@pytest.fixture
def terminal(project: Path) -> Iterator[Terminal]:
    made = Terminal(project)
    yield made
    made.kill()


def _coopdeck(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "runner.cli", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return ran.stdout


def _report(folder: Path) -> dict[str, Any]:
    return dict(json.loads(_coopdeck(folder, "report", "t", "--json")))


def test_the_demo_opens_moves_pauses_detaches_and_is_found_again(terminal: Terminal) -> None:
    terminal.type(f"{COOPDECK} demo --speed 30")
    screen = terminal.shows("REHEARSAL x30", "solo", "coop-comm", "coop-nocomm", "running", "d detach")
    assert all(len(line) <= 80 for line in screen.splitlines())
    terminal.press("p")
    # The board's own word, not the answer to the key: what the next press means depends on the board.
    terminal.shows("PAUSED:")
    terminal.press("p")
    terminal.until(lambda screen: "PAUSED:" not in screen, "the end of the pause")
    terminal.press("+")
    terminal.shows("slots 5/5")
    terminal.press("j", "j", "Enter")
    terminal.shows("esc back")
    terminal.press("Escape")
    # Not sooner: escape and a letter at once are one key to a terminal.
    terminal.shows("enter open")
    terminal.press("d")
    terminal.shows("goes on in the background")
    terminal.type("clear")
    terminal.type(f"{COOPDECK} attach")
    terminal.shows("REHEARSAL x30", "slots 5/5")
    terminal.press("Q")
    terminal.shows("Stop the runner?")
    terminal.press("n")
    # Not "stopped" alone: so does each job say that was ended.
    terminal.shows("STOPPED: ")
    terminal.press("d")
    terminal.shows("total", "$")


def test_a_job_is_cancelled_and_retried_with_keys(terminal: Terminal) -> None:
    terminal.type(f"{COOPDECK} run t --rehearse --speed 1 --subset lite --smoke 3 --settings solo -c 1")
    terminal.shows("outlines/1655 f6 f7", "running")
    terminal.press("x")
    terminal.shows("What it has spent is lost.")
    terminal.press("y")
    terminal.shows("cancelled")
    # The word may be the answer to the key: the job ends a moment later.
    terminal.until(lambda _: _report(terminal.folder)["cancelled"] == 1, "the end of the job")
    terminal.press("d")
    terminal.shows("goes on in the background")


def test_the_runner_outlives_the_terminal_and_two_dashboards_see_the_same(terminal: Terminal, project: Path) -> None:
    terminal.type(f"{COOPDECK} run t --rehearse --speed 2 --subset lite --smoke 5 -c 2")
    terminal.shows("REHEARSAL x2", "running")
    terminal.kill()
    first = Terminal(project)
    second = Terminal(project, columns=160, rows=45)
    try:
        for one in (first, second):
            one.type(f"{COOPDECK} attach t")
        first.shows("REHEARSAL x2", "attached x2", "2 running")
        second.shows("REHEARSAL x2", "attached x2", "2 running")
        second.press("p")
        first.shows("PAUSED:")
    finally:
        first.kill()
        second.kill()
    assert json.loads(_coopdeck(project, "status", "t", "--json"))["runner_pid"]


def _dashboards(folder: Path) -> list[int]:
    """The processes that show a demo of this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):  # it may end while it is looked at
            ours = entry.name.isdigit() and (entry / "cwd").readlink() == folder
            if ours and b"runner.cli\0demo" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def _line_settings(terminal: Terminal, name: str) -> str:
    """What `stty` says of the terminal now, by way of a file that is there only when it is whole."""
    what = "stty -a | tr ' ' '\\n' | grep -E '^-?(echo|icanon|isig|icrnl);?$' | sort"
    terminal.type(f"{what} > {name}.part; mv {name}.part {name}")
    told = terminal.folder / name
    terminal.until(lambda screen: told.exists(), f"the file {name}")
    return told.read_text()


def test_a_killed_dashboard_leaves_a_sane_terminal(terminal: Terminal) -> None:
    before = _line_settings(terminal, "before")
    terminal.type("clear")
    terminal.type(f"{COOPDECK} demo --speed 10")
    terminal.shows("REHEARSAL x10", "running")
    dashboards = _dashboards(terminal.folder)
    assert len(dashboards) == 1
    os.kill(dashboards[0], signal.SIGKILL)
    terminal.shows("the dashboard was killed")
    assert _line_settings(terminal, "after") == before != ""
    terminal.type("clear; echo $((611 * 997)); cat -v")
    terminal.shows("609167")  # the answer, which the echo of the question does not hold
    # Nothing is reported into the shell any more: no mouse, no focus.
    terminal.press("x", "Enter")
    terminal.shows("x\nx\n")
    assert "^[" not in terminal.screen()
    assert json.loads(_coopdeck(terminal.folder, "status", "--json"))["runner_pid"]


def test_attach_offers_to_go_on_when_the_runner_was_killed(terminal: Terminal, project: Path) -> None:
    terminal.type(f"{COOPDECK} run t --rehearse --speed 10 --subset lite --smoke 2 --settings solo -c 1 --detach")
    terminal.shows("in the background")
    # From its lock: until a command would have told it, the sweep may be over.
    pid = Places(project).runner_pid("t")
    assert pid
    os.kill(pid, signal.SIGKILL)
    terminal.type(f"clear; {COOPDECK} attach t")
    terminal.shows("gone without a last word", "go on with them? [Y/n]")
    terminal.press("Enter")
    terminal.shows("REHEARSAL x10", "2/2", "finished")
    report = _report(project)
    assert (report["results"], report["failed"]) == (2, 0)


def test_alone_it_offers_the_sweeps_to_choose_from(terminal: Terminal, project: Path) -> None:
    for name in ("one", "two"):
        how = ("--rehearse", "--subset", "lite", "--smoke", "1", "--settings", "solo", "--speed", "9000", "--headless")
        _coopdeck(project, "run", name, *how)
    terminal.type(COOPDECK)
    terminal.shows("2 sweeps", "one", "two", "finished")
    terminal.press("j", "Enter")
    terminal.shows("coopdeck  one  1 job ", "FINISHED")
    terminal.press("d")
    terminal.shows("total")
    terminal.type(f"clear; {COOPDECK}")
    terminal.shows("2 sweeps")
    terminal.press("d")
    terminal.until(lambda screen: "2 sweeps" not in screen, "the prompt")
