"""From an empty folder to results, as the README has it, in a real terminal; every step repeated, and killed.

cooperbench is the one that the other tests use, linked as the project's own; with COOPDECK_E2E_SETUP=1 setup installs
it from the package index (about a minute, and 1 GB).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import lacking
from tests.e2e.endpoint import ScriptedEndpoint
from tests.e2e.test_terminal import COOPDECK, Terminal

pytestmark = pytest.mark.docker

REAL_S = 500.0
MODEL = "openai/gpt-4o"
RUN = f"run first --subset toy --smoke 5 --settings solo -m {MODEL} -c 4 --budget 5"
IMAGES = "images pull --subset toy --smoke 5"
DOCTOR = f"doctor --subset toy --settings solo -m {MODEL}"


class Newcomer:
    """Somebody in an empty folder with a terminal of 80x24."""

    def __init__(self, folder: Path, dataset: Path, endpoint: ScriptedEndpoint) -> None:
        self.folder = folder
        self.dataset = dataset
        self.endpoint = endpoint
        self.terminal = Terminal(folder)
        self._calls = 0

    def does(self, command: str, *words: str, status: int = 0, seconds: float = 240) -> str:
        """Type a command and wait for its end; what it left on the screen."""
        self.begins(command)
        return self.ends(*words, status=status, seconds=seconds)

    def begins(self, command: str) -> None:
        self._calls += 1
        self.terminal.type(f"clear; {COOPDECK} {command}; echo end-$(({self._calls} * 1009))=$?")

    def ends(self, *words: str, status: int = 0, seconds: float = 240) -> str:
        return self.terminal.shows(f"end-{self._calls * 1009}={status}", *words, seconds=seconds)

    def asks(self, *arguments: str) -> list[dict[str, Any]]:
        """A command's JSON, without a terminal."""
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "runner.cli", *arguments, "--json"],
            cwd=self.folder, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def results(self) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in self.folder.glob("logs/*/*/*/*/*/result.json")}


@pytest.fixture
def newcomer(
    tmp_path: Path, toy_images: tuple[str, ...], toy_dataset: Path, cooperbench_program: Path,
    endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Newcomer]:  # fmt: skip
    if not shutil.which("tmux"):
        lacking("no tmux on PATH")
    for name in endpoint.environment:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "study"
    folder.mkdir()
    if os.environ.get("COOPDECK_E2E_SETUP") != "1":
        print("cooperbench is not installed anew: COOPDECK_E2E_SETUP=1 does that")
        (folder / ".coopdeck").mkdir()
        (folder / ".coopdeck" / "env").symlink_to(cooperbench_program.parent.parent)
    made = Newcomer(folder, toy_dataset, endpoint)
    yield made
    made.asks("stop", "first", "--now")
    made.terminal.kill()


def test_the_first_ten_minutes_each_step_killed_done_and_repeated(newcomer: Newcomer) -> None:
    folder, terminal = newcomer.folder, newcomer.terminal
    if not (folder / ".coopdeck").exists():
        newcomer.begins("")
        terminal.shows("a sweep needs", "u sets up what is missing")
        terminal.press("d")
        newcomer.ends()
    setup = f"setup --dataset-dir {newcomer.dataset}"
    _killed(folder, setup.split())
    newcomer.does(setup, "next:", "coopdeck.toml", seconds=REAL_S)
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in newcomer.endpoint.environment.items()))
    _killed(folder, DOCTOR.split())
    newcomer.does(DOCTOR, "ready for a sweep")
    _killed(folder, IMAGES.split())
    newcomer.does(IMAGES, "images are here already")
    newcomer.does(f"{RUN} --detach", "in the background")
    _runner_killed(newcomer)
    newcomer.begins("run first")
    terminal.shows("solo", "5/5", "FINISHED", seconds=REAL_S)
    terminal.press("d")
    newcomer.ends("total")
    results, requests = newcomer.results(), sum(newcomer.endpoint.requests.values())
    report = newcomer.asks("report", "first")[0]
    assert (report["results"], report["failed"], report["attempts"]) == (5, 0, 5)
    assert len(results) == 5

    # All of it once more: nothing changes, and nothing is bought.
    steps = {step["step"]: step["state"] for step in newcomer.asks("setup")}
    assert set(steps.values()) == {"there"}, steps
    newcomer.does(DOCTOR, "ready for a sweep")
    newcomer.does(IMAGES, "images are here already")
    newcomer.begins("run first")
    terminal.shows("solo", "5/5", "FINISHED", seconds=REAL_S)
    terminal.press("d")
    newcomer.ends("total")
    assert newcomer.results() == results
    # The doctor asks for one token each time; the agents ask for nothing.
    assert sum(newcomer.endpoint.requests.values()) <= requests + 1


def _runner_killed(newcomer: Newcomer) -> None:
    """As soon as an attempt has begun."""
    deadline = time.monotonic() + 240
    while not list(newcomer.folder.glob(".coopdeck/sweeps/first/attempts/*/1/output.log")):
        assert time.monotonic() < deadline, "no attempt has begun"
        time.sleep(0.05)
    os.kill(newcomer.asks("status", "first")[0]["runner_pid"], signal.SIGKILL)


def _killed(folder: Path, command: list[str]) -> None:
    """A command that is killed in the middle; on a quick machine it may be over before."""
    begun = subprocess.Popen(
        [sys.executable, "-P", "-m", "runner.cli", *command], cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        begun.wait(1.5)
    except subprocess.TimeoutExpired:
        begun.kill()
        begun.wait()
