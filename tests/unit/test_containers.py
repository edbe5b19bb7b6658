"""The shim and the remover, against a `docker` that writes down what it was asked."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from runner.adapters import containers
from runner.adapters.containers import SHIM, DockerContainers, docker_program, shim_in_path, shim_variables
from runner.adapters.cooperbench import CooperbenchFiles
from runner.model.plan import Rehearsal
from tests.unit.fakes import jobs, the_plan

ATTEMPT = {"COOPDECK_SWEEP": "s", "COOPDECK_JOB": "j 1", "COOPDECK_ATTEMPT": "2", "COOPDECK_TOKEN": "t"}
LABELS = ["coopdeck.sweep=s", "coopdeck.job=j 1", "coopdeck.attempt=2", "coopdeck.token=t"]
LABELLED = [word for label in LABELS for word in ("--label", label)]

Calls = Callable[[], list[list[str]]]


@pytest.fixture
def docker(tmp_path: Path) -> tuple[Path, Calls]:
    """A program, and what it was called with so far. It answers as `answer`, a file beside it, does in Python."""
    program, asked = tmp_path / "bin" / "docker", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable} -I\nimport os, pathlib, sys\n"
        f"with open({str(asked)!r}, 'ab') as file:\n"
        "    file.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])) + b'\\1')\n"
        f"answer = pathlib.Path({str(tmp_path / 'answer')!r})\n"
        "exec(answer.read_text() if answer.exists() else '')\n"
    )
    program.chmod(0o755)
    return program, lambda: [
        [os.fsdecode(word) for word in call.split(b"\0")] for call in asked.read_bytes().split(b"\1")[:-1]
    ]


def shim(program: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    found = {"PATH": f"{program.parent}:{os.environ['PATH']}", **ATTEMPT, **environment}
    return subprocess.run([SHIM, *arguments], env=found, capture_output=True, text=True, timeout=40, check=False)


@pytest.mark.parametrize("verb", ["run", "create"])
def test_what_is_made_is_labelled(verb: str, docker: tuple[Path, Calls]) -> None:
    program, calls = docker
    odd = [
        "-d",
        "--name",
        "a b",
        "-e",
        "X='\"$(id)\n*",
        "",
        "image",
        "-c",
        "sleep 2h",
        b"\xff".decode(errors="surrogateescape"),
    ]
    assert shim(program, verb, *odd).returncode == 0
    assert calls() == [[verb, *LABELLED, "--stop-timeout", "1", *odd]]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["exec", "-w", "/x y", "c", "bash", "-lc", "docker run 'a  b'"],
        ["stop", "run"],
        ["--version"],
        ["rm", "-f", "c"],
    ],
)
def test_everything_else_passes_untouched(arguments: list[str], docker: tuple[Path, Calls]) -> None:
    program, calls = docker
    shim(program, *arguments)
    assert calls() == [arguments or [""]]


def test_without_an_attempt_it_is_docker(docker: tuple[Path, Calls]) -> None:
    program, calls = docker
    shim(program, "run", "image", COOPDECK_TOKEN="")
    assert calls() == [["run", "image"]]


def test_exit_status_and_output_are_dockers(docker: tuple[Path, Calls], tmp_path: Path) -> None:
    (tmp_path / "answer").write_text("print('id'); print('oh', file=sys.stderr); sys.exit(125)")
    ran = shim(docker[0], "run", "image")
    assert (ran.returncode, ran.stdout, ran.stderr) == (125, "id\n", "oh\n")


def test_a_teams_scratch_volume_is_made_with_labels(docker: tuple[Path, Calls]) -> None:
    program, calls = docker
    words = ["--rm", "--volume", "cb-team-1a2b:/workspace/shared", "-v", "other:/x", "image"]
    shim(program, "run", *words)
    assert calls() == [
        ["volume", "create", *LABELLED, "cb-team-1a2b"],
        ["run", *LABELLED, "--stop-timeout", "1", *words],
    ]


def test_the_users_own_program_is_run_and_never_the_shim_itself(docker: tuple[Path, Calls], tmp_path: Path) -> None:
    program, calls = docker
    own = tmp_path / "my docker"
    own.write_text('#!/bin/sh\necho own "$@"\n')
    own.chmod(0o755)
    assert shim(program, "ps", COOPDECK_DOCKER=str(own)).stdout == "own ps\n"
    shim(program, "ps", COOPDECK_DOCKER=str(SHIM))
    assert calls() == [["ps"]]
    assert docker_program({}) == "docker"
    assert docker_program({"MSWEA_DOCKER_EXECUTABLE": "podman"}) == "podman"
    assert docker_program({"MSWEA_DOCKER_EXECUTABLE": str(SHIM), "COOPDECK_DOCKER": "podman"}) == "podman"
    assert docker_program({"MSWEA_DOCKER_EXECUTABLE": str(SHIM)}) == "docker"


def test_a_real_attempt_gets_the_shim_and_a_rehearsal_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSWEA_DOCKER_EXECUTABLE", "podman")
    spec = jobs(1)[0]
    files = CooperbenchFiles(tmp_path)
    real = files.order(the_plan(rehearsal=None), spec, 2, "t", tmp_path).environment
    assert real["MSWEA_DOCKER_EXECUTABLE"] == str(SHIM)
    assert real["COOPDECK_DOCKER"] == "podman"
    assert [real[f"COOPDECK_{name}"] for name in ("SWEEP", "JOB", "ATTEMPT", "TOKEN")] == ["s", spec.id, "2", "t"]
    rehearsed = files.order(the_plan(rehearsal=Rehearsal()), spec, 2, "t", tmp_path).environment
    assert rehearsed["MSWEA_DOCKER_EXECUTABLE"] == "podman"
    assert "COOPDECK_DOCKER" not in rehearsed


def test_where_the_shim_cannot_run_it_is_not_in_the_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docker").touch(0o644)
    monkeypatch.setattr(containers, "SHIM", tmp_path / "docker")
    assert shim_variables({}) == {}


LISTED = """
ids = ["mine\\tt1\\ts\\tj\\tname", "other\\tt9\\ts\\tj\\tname", "odd"]
gone = pathlib.Path(__file__).with_name("gone")
if sys.argv[1] == "ps":
    print("\\n".join(ids[gone.exists():]))
elif sys.argv[1:3] == ["volume", "ls"]:
    print("cb-team-1\\tt1\\ts\\tj\\tcb-team-1")
elif sys.argv[1] == "rm":
    gone.touch()
"""


@pytest.mark.anyio
async def test_only_what_carries_the_token_is_removed(docker: tuple[Path, Calls], tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(LISTED)
    assert (
        await DockerContainers({**os.environ, "MSWEA_DOCKER_EXECUTABLE": str(docker[0])}, volumes=True).remove({"t1"})
        == 2
    )
    did = [call for call in docker[1]() if call[0] == "rm" or call[:2] == ["volume", "rm"]]
    assert did == [["rm", "--force", "--volumes", "mine"], ["volume", "rm", "--force", "cb-team-1"]]


@pytest.mark.anyio
async def test_a_container_that_is_on_its_way_out_is_waited_for(docker: tuple[Path, Calls], tmp_path: Path) -> None:
    busy = "    print('Error: removal of container mine is already in progress', file=sys.stderr); sys.exit(1)\n"
    (tmp_path / "answer").write_text(LISTED + busy)
    assert (
        await DockerContainers({**os.environ, "MSWEA_DOCKER_EXECUTABLE": str(docker[0])}, volumes=False).remove({"t1"})
        == 1
    )
    assert [call[0] for call in docker[1]()] == ["ps", "rm", "ps"]


@pytest.mark.anyio
async def test_a_container_that_comes_after_its_attempt_was_killed_is_found(
    docker: tuple[Path, Calls], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LATE_S", 0.0)
    # Nothing the first time, and from then on what came late.
    (tmp_path / "answer").write_text(f"answer.write_text({LISTED!r})")
    docked = DockerContainers({**os.environ, "MSWEA_DOCKER_EXECUTABLE": str(docker[0])}, volumes=False)
    assert await docked.remove({"t1"}, killed=True) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("print('Cannot connect to the Docker daemon', file=sys.stderr); sys.exit(1)", "Cannot connect"),
        ("import time; time.sleep(60)", "has not answered for 0.5 s"),
    ],
    ids=["down", "hangs"],
)
async def test_a_docker_that_does_not_answer_is_said_once_and_costs_seconds_at_most(
    answer: str,
    says: str,
    docker: tuple[Path, Calls],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "answer").write_text(answer)
    docked = DockerContainers(
        {**os.environ, "MSWEA_DOCKER_EXECUTABLE": str(docker[0])},
        volumes=False,
        wait_s=0.5 if "sleep" in answer else 20,
    )
    with anyio.fail_after(40):
        assert [await docked.remove({"t1"}) for _ in range(2)] == [0, 0]
    assert capsys.readouterr().err.count(says) == 1
    (tmp_path / "answer").unlink()
    docker[0].write_text("#!/bin/sh\n")
    await docked.remove({"t1"})
    assert "Docker answers again" in capsys.readouterr().err


@pytest.mark.anyio
async def test_no_docker_at_all_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        await DockerContainers(
            {**os.environ, "MSWEA_DOCKER_EXECUTABLE": str(tmp_path / "nothing")}, volumes=False
        ).remove({"t1"})
        == 0
    )
    assert "cannot be run: No such file" in capsys.readouterr().err


UPSTREAMS_REDIS = ("run", "-d", "--name", "cooperbench-redis", "-p", "6379:6379", "redis:alpine")


@pytest.mark.parametrize("arguments", [UPSTREAMS_REDIS, ("start", "cooperbench-redis")])
def test_upstreams_own_redis_is_not_started_from_an_attempt(
    arguments: tuple[str, ...], docker: tuple[Path, Calls], tmp_path: Path
) -> None:
    """Upstream looks for `docker` in PATH when it does this, and finds the shim there."""
    program, calls = docker
    caller = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    found = caller | shim_in_path(caller)
    assert found["COOPDECK_DOCKER"] == str(program)
    ran = subprocess.run(["docker", *arguments], env=found | ATTEMPT, capture_output=True, timeout=40, check=False)
    assert ran.returncode == 125
    assert b"cooperbench-redis is not started" in ran.stderr
    subprocess.run(["docker", "start", "another"], env=found | ATTEMPT, timeout=40, check=True)
    subprocess.run(["docker", *arguments], env=found, timeout=40, check=True)
    assert calls() == [["start", "another"], list(arguments)], "outside an attempt it is nobody's business"


def test_without_docker_nothing_stands_in_path(tmp_path: Path) -> None:
    assert shim_in_path({"PATH": str(tmp_path)}) == {}
    assert shim_in_path({"PATH": str(SHIM.parent)}) == {}


def test_the_jobs_of_a_sweep_have_one_path_whether_they_talk_or_not(tmp_path: Path) -> None:
    """Attempts can only be forked from one process if their environments are the same but for our own variables."""

    def paths(*settings: str) -> set[str]:
        plan = replace(the_plan(), rehearsal=None, settings=settings)
        files = CooperbenchFiles(tmp_path)
        specs = [job for setting in settings for job in jobs(1, setting)]
        return {files.order(plan, spec, 1, "t", tmp_path).environment["PATH"] for spec in specs}

    (path,) = paths("solo", "coop-comm")
    assert path.startswith(f"{SHIM.parent}{os.pathsep}")
    assert paths("solo", "coop-nocomm") == {os.environ["PATH"]}
