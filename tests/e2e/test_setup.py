"""`coopdeck setup` on a real uv: repeated, killed at every step, two at once; a small stand-in is what it installs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.pythons import find_python
from runner.adapters.uv import uv_for
from tests.e2e.conftest import lacking
from tests.e2e.dataset import write_dataset
from tests.e2e.stand_in import StandIn

COMMAND = [sys.executable, "-P", "-m", "runner.cli", "setup"]
STEPS = ["disk", "python", "cooperbench", "dataset", "coopdeck.toml", ".env.example"]


class Project:
    """A folder to set up, on a machine where packages come from the stand-in's folder alone."""

    def __init__(self, root: Path, python: Path) -> None:
        self.stand_in = StandIn(root / "stand-in")
        self.folder = root / "project"
        self.folder.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "COOPDECK_"))}
        self.environ = kept | {
            "HOME": str(root),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.stand_in.folder),
            "UV_CACHE_DIR": str(root / "cache"),
            "COOPDECK_STAND_IN": str(self.stand_in.folder),
            "PATH": f"{python.parent}:/usr/bin:/bin",
        }

    def start(self, *flags: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*COMMAND, *flags], cwd=self.folder, env=self.environ,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def setup(self, *flags: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *flags], cwd=self.folder, env=self.environ,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def steps(self, *flags: str, status: int = 0) -> dict[str, dict[str, Any]]:
        """What each step said, of a setup that ends so."""
        ran = self.setup("--json", *flags)
        assert ran.returncode == status, ran.stdout + ran.stderr
        return {step["step"]: step for step in map(json.loads, ran.stdout.splitlines())}

    @property
    def program(self) -> Path:
        return self.folder / ".coopdeck" / "env" / "bin" / "cooperbench"

    def builds(self) -> list[str]:
        return sorted(path.name for path in (self.folder / ".coopdeck" / "envs").iterdir())

    def complete(self) -> None:
        """All is there, and the next setup finds nothing to do."""
        before = self._files()
        steps = self.steps()
        assert {step["state"] for step in steps.values()} == {"there"}, steps
        assert list(steps) == STEPS[1:]
        assert self._files() == before
        self.answers()
        assert len(self.builds()) == 1

    def answers(self) -> None:
        """What stands there now can be used."""
        subprocess.run([self.program, "run", "--help"], env=self.environ, capture_output=True, check=True)

    def _files(self) -> dict[str, tuple[int, int]]:
        """Every file's identity and time, but for what a lock and Python's own compiling touch."""
        found = {}
        for path in self.folder.rglob("*"):
            if path.suffix != ".pyc" and path.name not in {"__pycache__", "setup.lock"}:
                status = path.lstat()
                found[str(path)] = (status.st_ino, 0 if path.is_dir() else status.st_mtime_ns)
        return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = find_python(uv_for(os.environ, Path.home()), os.environ, Path.home())
    if found is None:
        lacking("no Python 3.12 or newer on this machine")
    return found.path


@pytest.fixture
def project(tmp_path: Path, python: Path) -> Iterator[Project]:
    made = Project(tmp_path, python)
    yield made
    for what in ("install", "answer", "prepare"):
        made.stand_in.go(what)


def kill(setup: "subprocess.Popen[str]") -> None:
    setup.send_signal(signal.SIGKILL)
    setup.communicate(timeout=120)


def test_it_makes_everything_once_and_then_finds_it_there(project: Project) -> None:
    steps = project.steps()
    assert list(steps) == STEPS
    assert {name: step["state"] for name, step in steps.items()} == dict.fromkeys(STEPS, "done") | {"python": "there"}
    project.complete()
    shebang = project.program.read_text().splitlines()[0]
    assert Path(shebang.removeprefix("#!")).is_file()
    assert "there already" in project.setup().stdout


@pytest.mark.parametrize("step", ["install", "answer", "prepare"])
def test_killed_at_a_step_the_next_call_completes_it(step: str, project: Project) -> None:
    project.stand_in.hold(step)
    setup = project.start()
    project.stand_in.reached(step)
    kill(setup)
    assert project.program.exists() == (step == "prepare"), "an environment that is not complete can be used"
    project.stand_in.go(step)
    project.steps()
    project.complete()


def test_killed_at_any_time_the_next_call_completes_it(project: Project) -> None:
    began = time.monotonic()
    assert project.setup().returncode == 0
    whole = time.monotonic() - began
    for part in range(1, 9):
        project.stand_in.add(f"1.{part}")
        setup = project.start("--version", f"1.{part}")
        time.sleep(whole * part / 9)
        kill(setup)
        project.answers()
    assert project.setup("--version", "1.8").returncode == 0
    project.complete()


def test_ended_politely_it_leaves_nothing_half_done(project: Project) -> None:
    project.stand_in.hold("install")
    setup = project.start()
    project.stand_in.reached("install")
    setup.terminate()
    setup.communicate(timeout=120)
    assert setup.returncode == 143
    assert project.builds() == []


def test_two_at_once_do_it_once(project: Project) -> None:
    project.stand_in.hold("install")
    first = project.start()
    project.stand_in.reached("install")
    second = project.start()
    assert second.stdout is not None
    assert f"waits for another coopdeck setup (pid {first.pid})" in second.stdout.readline()
    project.stand_in.go("install")
    told = second.communicate(timeout=240)[0]
    first.communicate(timeout=240)
    assert (first.returncode, second.returncode) == (0, 0)
    assert told.count("there already") == 5
    project.complete()


def test_another_version_and_a_clone_take_its_place_when_asked_for(project: Project) -> None:
    project.steps()
    project.stand_in.add("0.0.30")
    assert project.steps("--version", "0.0.30")["cooperbench"]["state"] == "done"
    there = project.steps()["cooperbench"]
    assert (there["state"], "0.0.30" in there["says"]) == ("there", True)
    made = project.steps("--editable", str(project.stand_in.clone))["cooperbench"]
    assert made["says"].startswith(f"installed cooperbench from {project.stand_in.clone}")
    project.complete()
    assert project.steps("--version", "0.0.29")["cooperbench"]["state"] == "done"
    assert project.builds() == ["0.0.29-1"]


def test_a_project_that_was_moved_gets_its_environment_anew(project: Project) -> None:
    project.steps()
    project.folder = project.folder.rename(project.folder.with_name("moved"))
    assert project.steps()["cooperbench"]["state"] == "done"
    project.complete()


def test_a_version_that_there_is_not_is_a_sentence_and_what_was_there_stays(project: Project) -> None:
    project.steps()
    ran = project.setup("--version", "9.9.9")
    assert ran.returncode == 3
    assert "uv could not install cooperbench 9.9.9: No solution found" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    project.complete()


def test_without_the_datasets_host_it_says_so_and_what_was_done_stays(project: Project, tmp_path: Path) -> None:
    (project.stand_in.folder / "offline").touch()
    failed = project.steps(status=3)["dataset"]
    assert failed["state"] == "failed"
    assert "cooperbench prepare says 'Got: ConnectError" in failed["says"]
    assert "--dataset-dir" in failed["says"]
    assert project.program.exists()
    # A part of it, which upstream then calls the whole.
    part = project.folder / "dataset" / "pallets_jinja_task"
    part.mkdir(parents=True)
    assert "Returning existing" in project.steps(status=3)["dataset"]["says"]
    (project.stand_in.folder / "offline").unlink()
    assert project.steps()["dataset"]["state"] == "done"
    project.complete()


def test_a_dataset_of_ones_own_is_remembered(project: Project) -> None:
    mine = write_dataset(project.folder.parent / "mine")
    assert project.steps("--dataset-dir", str(mine))["dataset"]["says"] == f"2 tasks in {mine}"
    assert f'dataset_dir = "{mine}"' in (project.folder / "coopdeck.toml").read_text().splitlines()
    project.complete()
    other = write_dataset(project.folder.parent / "other")
    said = project.steps("--dataset-dir", str(other))["coopdeck.toml"]["says"]
    assert said.endswith(f'for this dataset write below [run]: dataset_dir = "{other}"')


def test_files_that_are_there_are_never_overwritten(project: Project) -> None:
    (project.folder / "coopdeck.toml").write_text("[run]\nslots = 7\n")
    (project.folder / ".env.example").write_text("MINE=1\n")
    steps = project.steps()
    assert (steps["coopdeck.toml"]["state"], steps[".env.example"]["state"]) == ("there", "there")
    assert (project.folder / "coopdeck.toml").read_text() == "[run]\nslots = 7\n"
    assert (project.folder / ".env.example").read_text() == "MINE=1\n"
