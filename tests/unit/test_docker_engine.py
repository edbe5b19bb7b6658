"""One engine for all of a project, whoever asks; and what a way there over ssh leaves behind: nothing."""

import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from runner import cli
from runner.adapters.container_streams import FollowedProbe
from runner.adapters.containers import DockerContainers
from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.docker_engine import Engine, EngineAway, connect
from runner.adapters.dotenv_file import project_environment
from runner.adapters.image_supply import ImageSupplier
from runner.adapters.images import Connection
from runner.adapters.places import Places
from runner.adapters.processes import ProcessLauncher
from runner.adapters.redis_servers import RedisServers
from runner.adapters.redis_supply import RedisSupply
from runner.checks.docker import check_engine, check_storage
from runner.checks.wanted import Wanted
from runner.commands.evaluating import Evaluations
from runner.commands.first_contact import looked_at
from runner.commands.images_needed import check_images
from runner.commands.leftovers import _docker
from runner.daemon import _containers, _suppliers
from runner.model.ids import PairId
from runner.model.plan import Plan
from runner.model.queue import make_jobs
from runner.model.refusal import PreflightRefused

JOBS = make_jobs("s", ("solo",), (PairId("toy_task", 1, (1, 2)),), ("m",))
DOCKER = """#!/bin/sh
echo "$DOCKER_HOST" >> '{asked}'
echo 26.0.0
"""


# The SDK leaves a socket that finds nobody to the garbage.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _sdk() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its `.env` alone names the engine, at a socket where nobody is, and the program."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "MSWEA_DOCKER_EXECUTABLE", "COOPDECK_DOCKER"):
        monkeypatch.delenv(name, raising=False)
    program = tmp_path / "theirs"
    program.write_text(DOCKER.format(asked=tmp_path / "asked"))
    program.chmod(0o755)
    (tmp_path / ".env").write_text(f"DOCKER_HOST=unix://{tmp_path}/none.sock\nMSWEA_DOCKER_EXECUTABLE={program}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def plan(folder: Path, **changes: object) -> Plan:
    made = Plan("s", ("x",), str(folder / "logs"), ("solo",), ("m",), "claude_code")
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def asked(folder: Path) -> list[str]:
    """Of each call of the docker program, the engine that it would have gone to."""
    path = folder / "asked"
    calls = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return calls


ASKERS: dict[str, Callable[[Path], object]] = {
    "an attempt's clean-up": lambda at: anyio.run(_containers(plan(at), project_environment(at)).remove, ["t"]),
    "clean": lambda at: anyio.run(_docker().containers),
    "evaluations": lambda at: anyio.run(Evaluations(Places(at), plan(at))._containers.remove, ["t"]),
    "agents' streams": lambda at: anyio.run(_stream(at)._run, "ps"),
    "redis": lambda at: anyio.run(RedisServers(at, ProcessLauncher(), project_environment(at))._has_container),
    "doctor": lambda at: check_engine(Wanted(at)),
    "the first screen": lambda at: looked_at(at, os.environ),
}


def _stream(folder: Path) -> FollowedProbe:
    probe = CooperbenchFiles(folder).progress(plan(folder), JOBS[0], folder)
    assert isinstance(probe, FollowedProbe)
    return probe


@pytest.mark.parametrize("who", ASKERS)
def test_the_engine_and_the_program_of_dotenv_are_everybodys(project: Path, who: str) -> None:
    ASKERS[who](project)
    calls = asked(project)
    assert calls
    assert set(calls) == {f"unix://{project}/none.sock"}


def test_the_runners_suppliers_ask_the_engine_of_dotenv(project: Path) -> None:
    (project / ".env").write_text(f"DOCKER_HOST=unix://{project}/none.sock\n")
    environment = project_environment(project)
    redis = RedisSupply(RedisServers(project, ProcessLauncher(), environment), environment, None)
    made = _suppliers(Places(project), plan(project), redis, environment)
    images = next(one for one in made if isinstance(one, ImageSupplier))

    async def look() -> None:
        with pytest.raises(EngineAway, match=r"none\.sock"):
            await images._connection.engine()

    anyio.run(look)


def test_the_images_commands_ask_the_engine_of_dotenv(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ((), ("pull",), ("verify",), ("prune",)):
        assert cli.main(["images", *verb]) == 3
        assert f"no Docker Engine answers at unix://{project}/none.sock" in capsys.readouterr().err
    with pytest.raises(PreflightRefused, match=r"none\.sock"):
        check_images(Places(project), plan(project, pull=False), JOBS)


def test_the_callers_engine_comes_before_that_of_dotenv(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///mine.sock")
    anyio.run(DockerContainers(project_environment(project), volumes=False).remove, ["t"])
    check_storage(Wanted(project))
    assert set(asked(project)) == {"unix:///mine.sock"}


# -- over ssh -----------------------------------------------------------------------------------------------------


ANSWERS = """#!{python} -I
import json, sys
request = b""
while True:
    byte = sys.stdin.buffer.raw.read(1)
    if not byte:
        break
    request += byte
    if request.endswith(b"\\r\\n\\r\\n"):
        known = {{"ApiVersion": "1.43", "ServerVersion": "26.0.0", "MinAPIVersion": "1.24"}}
        body = json.dumps(known).encode()
        head = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
        sys.stdout.buffer.write(head + body)
        sys.stdout.buffer.flush()
        request = b""
"""


def _held(folder: Path) -> tuple[int, int, int]:
    """Open descriptors, threads, and folders with a socket."""
    threads = sum(one.name == "docker over ssh" for one in threading.enumerate())
    return len(list(Path("/proc/self/fd").iterdir())), threads, len(list(folder.glob("coopdeck-ssh-*")))


def _over_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> dict[str, str]:
    """An environment whose engine is behind this ssh."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    ssh = folder / "ssh"
    ssh.write_text(script)
    ssh.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "DOCKER_HOST": "ssh://me@there"}


@pytest.mark.parametrize("answers", [True, False], ids=["closed", "failed"])
def test_an_engine_over_ssh_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    script = ANSWERS.format(python=sys.executable) if answers else "#!/bin/sh\nexit 255\n"
    environment = _over_ssh(tmp_path, monkeypatch, script)

    def once() -> None:
        if not answers:
            with pytest.raises(EngineAway, match="ssh me@there docker version"):
                connect(environment)
            return
        engine = connect(environment)
        assert (engine.version, _held(tmp_path)[1:]) == ("26.0.0", (1, 1))
        engine.close()
        engine.close()

    once()  # what the SDK keeps for good is not ours
    before = _held(tmp_path)
    for _ in range(4):
        once()
    assert _held(tmp_path) == before
    assert before[1:] == (0, 0)
    with suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)


@pytest.mark.parametrize("already", [False, True], ids=["it comes later", "it is there already"])
def test_who_is_cancelled_while_an_engine_is_reached_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, already: bool
) -> None:
    environment = _over_ssh(tmp_path, monkeypatch, ANSWERS.format(python=sys.executable))
    called, reached, go_on = threading.Event(), threading.Event(), threading.Event()

    def make() -> Engine:
        called.set()
        assert go_on.wait(40)
        engine = connect(environment)
        reached.set()
        return engine

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Connection(make).engine)
            await anyio.to_thread.run_sync(called.wait, 40)
            if already:
                # Without giving way: the answer is there, and nobody has taken it.
                go_on.set()
                assert reached.wait(40)
            tasks.cancel_scope.cancel()

    anyio.run(run)
    go_on.set()
    assert reached.wait(40)
    deadline = time.monotonic() + 40
    while _held(tmp_path)[1:] != (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _held(tmp_path)[1:] == (0, 0)
