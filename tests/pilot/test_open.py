"""The dashboard over a run's files alone: the same panes, no runner."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.adapters.run_tree import run_tree
from runner.commands.open import OpenedRun
from tests.pilot.boards import NOW
from tests.pilot.seeing import drawn, shows
from tui import examination
from tui.app import CoopdeckApp
from tui.keys import Where, keys_for
from tui.sanitise import _BAD
from tui.screens.base import JobActions
from tui.screens.job import JobScreen
from tui.screens.sweep import SweepScreen

pytestmark = pytest.mark.anyio

SAMPLES = Path(__file__).parents[1] / "data" / "sample_logs"
HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\u202e[red]x[/]\x9b31m"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return shutil.copytree(SAMPLES / "sample", tmp_path / "run")


async def test_the_five_panes_of_a_run_that_we_did_not_launch(run: Path) -> None:
    app = CoopdeckApp(OpenedRun(run_tree(run)), now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "NO RUNNER: 2 of 2 jobs", "coop", "solo", "Submitted")
        await pilot.press("enter")
        for key, words in {
            "1": ("no log: cooperbench keeps none",),
            "2": ("a1", "$ ls -la", "step 0"),
            "3": ("a1 → a2", "I will append sub()", "push"),
            "4": ("agent1.patch", "both agents", "+def sub(a,b):"),
            "5": ("try 1", "feature2 failed", "merge identical", str(run / "coop")),
        }.items():
            await pilot.press(key)
            await shows(pilot, *words)


@pytest.mark.parametrize("key", ["x", "r", "R", "p", "plus", "minus", "Q"])
async def test_keys_that_need_a_runner_say_that_there_is_none(run: Path, key: str) -> None:
    app = CoopdeckApp(OpenedRun(run_tree(run)), now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "NO RUNNER")
        await pilot.press(key)
        await shows(pilot, "there is no runner: these are only the files of a run")


@pytest.mark.parametrize("opened", [False, True], ids=["table", "job"])
async def test_no_key_ends_it_but_the_one_that_leaves(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    monkeypatch.setattr(examination, "DOCTOR", (sys.executable, "-c", ""))
    app = CoopdeckApp(OpenedRun(run_tree(run)), now=lambda: NOW, screenshots=tmp_path)
    places: tuple[Where, ...] = ("any", "app", "job" if opened else "sweep", "move", "log", "pane", "entries")
    home = JobScreen if opened else SweepScreen
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "NO RUNNER: 2 of 2 jobs")
        for key in ",".join(one.keys for one in keys_for(*places) if one.id != "detach").split(","):
            for _ in range(6):
                screen = app.screen
                if isinstance(screen, JobActions) and screen.prompt.display:
                    await pilot.press("escape")
                elif not isinstance(screen, home):
                    await pilot.press("enter" if isinstance(screen, SweepScreen) else "escape")
            assert isinstance(app.screen, home), key
            await pilot.press(key)
            assert app.is_running
        for _ in range(6):
            await pilot.press("escape")
        assert isinstance(app.screen, SweepScreen)
        await pilot.press("d")
    assert app.return_value == "over"


async def test_hostile_files_are_shown_and_do_nothing(run: Path) -> None:
    pair = run / "coop" / "toy_task" / "1" / "f1_f2"
    values = json.loads((pair / "result.json").read_text())
    values |= {"model": HOSTILE, "agent_framework": HOSTILE}
    values["agents"]["agent1"] |= {"status": "Error", "error": HOSTILE}
    (pair / "result.json").write_text(json.dumps(values))
    (pair / "eval.json").write_text(json.dumps({"error": HOSTILE}))
    (pair / "conversation.json").write_text(json.dumps([{"from": HOSTILE, "to": HOSTILE, "message": HOSTILE}]))
    (pair / "agent1_traj.json").write_text("[" * 100_000)
    (pair / "agent2.patch").write_text(f"diff --git a/{HOSTILE} b/{HOSTILE}\n+{HOSTILE}\n")
    (run / "coop" / f"{HOSTILE.replace('/', '')}_task" / "1" / "f1_f2").mkdir(parents=True)
    app = CoopdeckApp(OpenedRun(run_tree(run)), now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "NO RUNNER", "3 of 3")
        for _ in range(3):
            for key in "12345":
                await pilot.press(key)
                for _ in range(3):
                    await pilot.pause(0.05)
                assert not _BAD.search(drawn(app).replace("\n", ""))
            await pilot.press("j")


@pytest.fixture
def delivered(tmp_path: Path) -> Path:
    """What a rehearsal has delivered."""
    asked = ("run", "t", "--rehearse", "--subset", "lite", "--smoke", "1", "--settings", "coop-comm", "--speed", "9000")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "runner.cli", *asked, "--headless"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return tmp_path / "logs" / "t-coop-comm"


async def test_what_a_rehearsal_delivers_opens(delivered: Path) -> None:
    app = CoopdeckApp(OpenedRun(run_tree(delivered)), now=lambda: NOW)
    async with app.run_test(size=(100, 30)) as pilot:
        await shows(pilot, "NO RUNNER: 1 of 1 jobs")
        for key, words in {"2": ("a1", "$ "), "3": ("a1 → a2",), "4": ("agent1",), "5": ("try 1",)}.items():
            await pilot.press(key)
            await shows(pilot, *words)
