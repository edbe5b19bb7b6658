"""`coopdeck clean`: what it finds of sweeps that nobody runs, what it removes, and what it never touches."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from runner import cli
from runner.adapters.ledger import SqliteLedger
from runner.adapters.listeners import remove_dead, runners
from runner.adapters.places import Places, SweepLock, socket_folder
from runner.adapters.processes import started_ticks
from runner.adapters.redis_servers import redis_token
from runner.checks.folders import check_folders
from runner.checks.wanted import Wanted
from runner.commands.sweeps import DEMO_FOLDER
from runner.model import events as ev
from runner.model.ids import PairId
from runner.model.outcome import Outcome
from runner.model.plan import Plan
from runner.model.queue import make_jobs

# Of this run alone: other tests of the same machine have processes with tokens, too.
T1, T2 = (f"{name}-{uuid.uuid4().hex}" for name in ("t1", "t2"))
SPEC = make_jobs("s", ("solo",), (PairId("toy_task", 1, (1, 2)),), ("m",))[0]
OK = Outcome(None, "Submitted", "result.json", 0.5)
DOCKER = """#!{python} -I
import pathlib, sys
listed = pathlib.Path({listed!r})
if sys.argv[1] == "rm":
    lines = listed.read_text().splitlines()
    listed.write_text("\\n".join(line for line in lines if line.split("\\t")[0] not in sys.argv))
elif sys.argv[1] == "ps":
    print(listed.read_text())
"""


class Project:
    def __init__(self, root: Path) -> None:
        self.places = Places(root)
        root.mkdir(parents=True, exist_ok=True)
        self.listed = root / "listed"
        self.listed.write_text("")
        self.docker = root / "docker"
        self.docker.write_text(DOCKER.format(python=sys.executable, listed=str(self.listed)))
        self.docker.chmod(0o755)

    def sweep(self, name: str, token: str, *more: ev.Event) -> None:
        path = self.places.ledger(name)
        path.parent.mkdir(parents=True)
        plan = Plan(name, ("x",), str(self.places.root / "logs"), ("solo",), ("m",), "a")
        starting = ev.AttemptStarting(SPEC.id, 1, token, f"attempts/{SPEC.id}/1")
        every = (ev.SweepPlanned(plan), ev.JobsPlanned((SPEC,)), starting, *more)
        ledger = SqliteLedger(path)
        anyio.run(ledger.append, [ev.Envelope(seq, 1000.0 + seq, event) for seq, event in enumerate(every, 1)])
        ledger.close()

    def finished(self, name: str, token: str) -> None:
        self.sweep(name, token, ev.AttemptEnded(SPEC.id, 1, OK), ev.JobSettled(SPEC.id, "done"), ev.SweepFinished())

    def container(self, token: str) -> None:
        with self.listed.open("a") as file:
            file.write(f"c-{token}\t{token}\ts\tj\tname-{token}\t1kB (virtual 9GB)\n")

    @property
    def containers(self) -> set[str]:
        return {line.split("\t")[1] for line in self.listed.read_text().splitlines() if line}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    project = Project(tmp_path)
    monkeypatch.setenv("MSWEA_DOCKER_EXECUTABLE", str(project.docker))
    return project


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """Carries the token T1, in a session of its own."""
    with carrying(T1) as child:
        yield child


@contextmanager
def carrying(token: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = ["sh", "-c", "echo up; read line"]
    environment = {"COOPDECK_TOKEN": token, "PATH": os.environ["PATH"]}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, start_new_session=True, stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield child
        child.kill()


def run(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0) -> str:
    assert cli.main(["clean", *argv]) == status
    return capsys.readouterr().out


def test_all_that_is_left_is_listed_and_removed(
    project: Project, process: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    project.finished("s", T1)
    project.container(T1)
    project.container("a stranger's")
    project.places.socket("s").touch()
    copy = project.places.root / "logs" / SPEC.run_name / "solo" / "toy_task" / "1" / ".f1_f2.delivering"
    copy.mkdir(parents=True)
    (copy / "result.json").write_text("x" * 5000)

    listed = run(capsys)
    for words in (
        "1 container\n",
        f"name-{T1}  1kB\n",
        "1 process\n",
        "1 stale socket\n",
        "1 unfinished copy\n",
        "8 KB",
    ):
        assert words in listed
    assert "nothing was removed; --yes" in listed
    shape = json.loads(run(capsys, "--json"))
    assert [one["token"] for one in shape["containers"]] == [T1]
    assert (len(shape["processes"]), len(shape["sockets"]), shape["removed"]) == (1, 1, False)
    assert project.containers == {T1, "a stranger's"}
    assert process.poll() is None

    says = run(capsys, "--yes")
    assert says.endswith("removed: 1 container, 1 process, 1 stale socket, 1 unfinished copy\n")
    assert project.containers == {"a stranger's"}
    assert process.wait(40) == -15
    assert not copy.exists()
    assert not project.places.socket("s").exists()
    assert run(capsys) == "nothing is left of ended sweeps\n"


def test_a_sweep_with_a_runner_is_never_touched(
    project: Project, process: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    project.finished("s", T1)
    project.container(T1)
    project.places.socket("s").touch()
    lock = SweepLock(project.places.lock("s"))
    lock.acquire()
    assert run(capsys, "--yes") == "nothing is left of ended sweeps\n"
    assert project.containers == {T1}
    assert process.poll() is None
    lock.release()


def test_an_attempt_that_still_runs_without_its_runner_is_paid_work(
    project: Project, process: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = started_ticks(process.pid)
    assert ticks is not None
    project.sweep("s", T1, ev.AttemptStarted(SPEC.id, 1, process.pid, ticks))
    project.sweep("unwritten", T2)
    project.container(T1)
    project.container(T2)
    assert "s: 1 of its attempts still run; go on with them with: coopdeck run s" in run(capsys, "--yes")
    assert project.containers == {T1}
    assert process.poll() is None


def test_without_docker_the_rest_is_cleaned(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.finished("s", T1)
    project.places.socket("s").touch()
    project.docker.write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2; exit 1\n")
    says = run(capsys, "--yes")
    assert says.splitlines()[0].endswith("Cannot connect to the Docker daemon: what is left there is not listed")
    assert says.endswith("removed: 1 stale socket\n")


def test_a_ledger_that_cannot_be_read_is_named_and_left_alone(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.finished("s", T1)
    broken = project.places.ledger("broken")
    (broken.parent / "attempts").mkdir(parents=True)
    broken.write_text("no database at all")
    project.places.socket("broken").touch()
    says = run(capsys, "--yes", "--attempts")
    assert says == "broken: its ledger cannot be read, so nothing of it is removed\nnothing is left of ended sweeps\n"
    assert json.loads(run(capsys, "--yes", "--attempts", "--json"))["unreadable"] == ["broken"]
    assert (broken.parent / "attempts").exists()


def test_a_demo_of_the_same_name_is_another_sweep(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.finished("s", T1)
    demo = Project(project.places.root / DEMO_FOLDER)
    demo.finished("s", T2)
    for places in (project.places, demo.places):
        places.socket("s").touch()
    lock = SweepLock(project.places.lock("s"))
    lock.acquire()
    says = run(capsys, "--yes")
    assert "  demo/s  " in says
    assert says.endswith("removed: 1 stale socket\n")
    assert project.places.socket("s").exists()
    lock.release()


@pytest.mark.parametrize(("answers", "left"), [(["n", "y"], (True, False)), (["yes", ""], (False, True))])
def test_attempts_are_asked_for_by_themselves(
    answers: list[str],
    left: tuple[bool, bool],
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.finished("s", T1)
    project.sweep("stopped", T2)
    project.container(T1)
    folders = [project.places.sweep_dir(name) / "attempts" for name in ("s", "stopped")]
    for folder in folders:
        (folder / "x").mkdir(parents=True)
        (folder / "x" / "output.log").write_text("why it failed")
    monkeypatch.setattr("runner.commands.yes.at_terminal", lambda: True)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return answers[len(asked) - 1]

    monkeypatch.setattr("builtins.input", answer)
    says = run(capsys, "--attempts")
    assert len(asked) == 2
    assert (bool(project.containers), folders[0].exists()) == left
    assert folders[1].exists(), "its attempts are needed to go on"
    assert ("1 sweep's attempts (" if left[0] else "removed: 1 container\n") in says


def test_a_redis_is_removed_unless_an_attempt_may_still_talk_through_it(
    project: Project, process: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    """One that nobody can adopt is left by a runner that was killed while it had no job under way."""
    ticks = started_ticks(process.pid)
    assert ticks is not None
    project.sweep("still", T1, ev.AttemptStarted(SPEC.id, 1, process.pid, ticks))
    project.finished("over", T2)
    tokens = {name: redis_token(project.places.sweep_dir(name)) for name in ("still", "over")}
    project.container(tokens["over"])
    project.container(tokens["still"])
    with carrying(tokens["still"]) as needed, carrying(tokens["over"]) as left:
        shape = json.loads(run(capsys, "--json", "--yes"))
        assert [(one["sweep"], one["process"].split()[0]) for one in shape["processes"]] == [("over", str(left.pid))]
        assert left.wait(40) == -15
        assert needed.poll() is None
        assert project.containers == {tokens["still"]}


def test_the_sockets_of_runners_that_are_gone_are_removed_whatever_their_folder(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    old = time.time() - 3600
    sockets = {name: socket_folder() / f"{name * 20}.sock" for name in "abcd"}
    sockets["other"] = socket_folder() / "somebody's.sock"
    listening = []
    for name, path in sockets.items():
        made = socket.socket(socket.AF_UNIX)
        made.bind(str(path))
        if name == "b":
            made.listen()
            listening.append(made)
        else:
            made.close()
        if name != "c":  # c is young: its runner does not listen yet
            os.utime(path, (old, old))

    def doctor() -> str:
        return check_folders(Wanted(project.places.root))[0].says

    assert "; 2 sockets of runners that are gone (coopdeck clean removes them)" in doctor()
    assert [pid for pid, _ in runners()] == [os.getpid()]
    listed = run(capsys)
    assert "2 stale sockets\n" in listed
    assert f"(no runner)  {sockets['a']}" in listed
    assert "removed: 2 stale sockets" in run(capsys, "--yes")
    assert [name for name, path in sockets.items() if path.exists()] == ["b", "c", "other"]
    assert "sockets of runners" not in doctor()
    assert "nothing is left" in run(capsys)
    remove_dead(sockets["b"])  # as if a runner had come between the look and the removal
    assert [path for _, path in runners()] == [Path.cwd()]
    assert sockets["b"].exists()
    listening[0].close()
