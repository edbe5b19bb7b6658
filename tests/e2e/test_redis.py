"""Each way to a Redis, on the real thing; and what becomes of a sweep whose Redis dies in the middle of a coop job."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
import redis

from runner.adapters.ledger import read_board
from runner.adapters.places import Places
from runner.adapters.processes import ProcessLauncher
from runner.adapters.redis_ping import ping
from runner.adapters.redis_servers import RedisServers, own_url, redis_token
from runner.adapters.redis_ways import IMAGE
from runner.adapters.strays import carriers
from runner.model.board import Board
from runner.model.ids import JobId
from runner.model.supplies import Supply, waiting
from tests.e2e.conftest import lacking
from tests.e2e.dataset import REPO
from tests.e2e.endpoint import Fault, ScriptedEndpoint
from tests.ports import free_port

pytestmark = pytest.mark.docker

COOP, SOLO = (JobId(f"{setting}.{REPO}.1.f1_f2") for setting in ("coop-comm", "solo"))
HELD = Fault("delay", seconds=300, after=2)
"""Every agent gets two answers and waits for the third: its job is in its middle."""


def until(true: Callable[[], object], says: str, within_s: float = 240.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {says}"
        time.sleep(0.05)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=240, check=True).stdout


class Bed:
    """A project with one sweep, and the endpoint that its agents talk to."""

    def __init__(self, folder: Path, program: Path, dataset: Path, path: str | None) -> None:
        self.folder = folder
        self.endpoint = ScriptedEndpoint(HELD)
        self.places = Places(folder)
        self._environment = {**os.environ, **self.endpoint.environment} | ({"PATH": path} if path else {})
        self._new = [
            "-m",
            "openai/gpt-4o",
            "-c",
            "2",
            "--no-ping",
            "--dataset-dir",
            str(dataset),
            "--cooperbench",
            str(program),
        ]

    def cli(self, *arguments: str) -> str:
        command = [sys.executable, "-P", "-m", "runner.cli", *arguments]
        ran = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def start(self, settings: str, url: str) -> None:
        pair = f"{REPO}/1/f1_f2"
        self.cli("run", "s", "--pairs", pair, "--settings", settings, "--redis", url, *self._new, "--detach")

    def until_in_the_middle(self, agents: int) -> None:
        requests = self.endpoint.requests
        until(lambda: list(requests.values()) == [3] * agents, f"every agent waits for its third answer: {requests}")

    @property
    def board(self) -> Board:
        return read_board(self.places.ledger("s"))

    @property
    def redis(self) -> Supply:
        return self.board.supplies[("redis", "")]

    def servers(self) -> list[int]:
        return [one.pid for one in carriers({redis_token(self.places.sweep_dir("s"))})]

    def conversation(self) -> set[str]:
        (path,) = self.folder.glob("logs/*/coop/*/*/*/conversation.json")
        return {message["from"] for message in json.loads(path.read_text())}

    def over(self) -> bool:
        return self.board.finished_at is not None and self.places.runner_pid("s") is None


@pytest.fixture
def beds(cooperbench_program: Path, toy_images: tuple[str, ...], toy_dataset: Path) -> Iterator[Callable[..., Bed]]:
    made: list[Bed] = []

    def make(folder: Path, path: str | None = None) -> Bed:
        folder.mkdir()
        bed = Bed(folder, cooperbench_program, toy_dataset, path)
        bed.endpoint.__enter__()
        made.append(bed)
        return bed

    yield make
    for bed in made:
        with suppress(Exception):
            bed.endpoint.plan()
            if bed.places.runner_pid("s") is not None:
                bed.cli("stop", "s", "--now")
            bed.cli("clean", "--yes")
        bed.endpoint.__exit__()


@pytest.fixture
def needs_server() -> None:
    if not shutil.which("redis-server"):
        lacking("no redis-server on PATH")


class Given:
    """Somebody's Redis, which coopdeck may neither start nor end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until(lambda: not anyio.run(ping, own_url(self.port)), "the given Redis answers")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def given(needs_server: None) -> Iterator[Given]:
    given = Given(free_port())
    yield given
    given.kill()


def test_while_a_given_redis_is_away_solo_goes_on_and_coop_waits(
    beds: Callable[..., Bed], given: Given, tmp_path: Path
) -> None:
    bed = beds(tmp_path / "given")
    bed.start("solo,coop-comm", own_url(given.port))
    bed.until_in_the_middle(3)
    given.kill()
    until(lambda: bed.redis.state == "down", "the runner has seen it")
    bed.endpoint.plan()
    until(lambda: bed.board.jobs[SOLO].state == "done", "solo has a result without Redis")
    until(lambda: bed.board.jobs[COOP].state == "retrying", "coop has lost its Redis")
    coop = bed.board.jobs[COOP]
    failed = coop.attempts[0].outcome
    assert failed is not None
    assert (failed.failure, len(coop.attempts)) == ("redis", 1)
    assert [(supply.kind, number) for supply, number in waiting(bed.board)] == [("redis", 1)]
    assert "Connection refused" in bed.cli("status", "s")
    assert coop.retry_at is not None
    until(lambda: time.time() > (coop.retry_at or 0), "its time has come, and it is still held")
    assert len(bed.board.jobs[COOP].attempts) == 1
    given.start()
    until(bed.over, "the sweep is over")
    board = bed.board
    assert (board.jobs[COOP].state, len(board.jobs[COOP].attempts)) == ("done", 2)
    assert bed.conversation() == {"agent1", "agent2"}
    assert given.process is not None
    assert given.process.poll() is None, "a given one is not ours to end"
    assert bed.servers() == []


def test_a_private_one_comes_back_and_outlives_the_runner_for_as_long_as_it_is_needed(
    beds: Callable[..., Bed], needs_server: None, tmp_path: Path
) -> None:
    bed = beds(tmp_path / "private")
    bed.start("coop-comm", "own")
    bed.until_in_the_middle(2)
    (first,) = bed.servers()
    address = bed.redis.address
    os.kill(first, signal.SIGKILL)
    until(lambda: bed.servers() not in ([], [first]) and bed.redis.state == "there", "it is back")
    assert bed.redis.address == address
    (second,) = bed.servers()

    runner = bed.places.runner_pid("s")
    assert runner
    os.kill(runner, signal.SIGKILL)
    until(lambda: bed.places.runner_pid("s") is None, "the runner is gone")
    shape = json.loads(bed.cli("clean", "--yes", "--json"))
    assert (shape["processes"], shape["still_running"]) == ([], {"s": 1})
    assert bed.servers() == [second]

    bed.cli("run", "s", "--detach")
    until(lambda: bed.redis.state == "there", "the next runner has taken it up")
    assert (bed.servers(), bed.redis.address) == ([second], address)
    bed.endpoint.plan()
    until(bed.over, "the sweep is over")
    row = bed.board.jobs[COOP]
    assert (row.state, len(row.attempts)) == ("done", 1), "the attempt came back to the port that it knew"
    assert bed.conversation() == {"agent1", "agent2"}
    assert bed.servers() == []


@pytest.fixture
def poor_path(tmp_path: Path) -> str:
    """Everything on PATH but redis-server; and a docker that can bring no image of Redis."""
    farm = tmp_path / "bin"
    farm.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            link = farm / program.name
            link.unlink(missing_ok=True)
            if "redis" not in program.name:
                link.symlink_to(program)
    real = shutil.which("docker")
    (farm / "docker").unlink(missing_ok=True)
    (farm / "docker").write_text(
        f'#!/bin/sh\ncase " $* " in *" {IMAGE} "*) echo "no such image: {IMAGE}" >&2; exit 1 ;; esac\n'
        f'exec {real} "$@"\n'
    )
    (farm / "docker").chmod(0o755)
    return str(farm)


def test_with_neither_server_nor_image_the_embedded_one_carries_the_messages(
    beds: Callable[..., Bed], poor_path: str, tmp_path: Path
) -> None:
    bed = beds(tmp_path / "embedded", poor_path)
    bed.endpoint.plan()
    bed.start("coop-comm", "own")
    until(lambda: ("redis", "") in bed.board.supplies and bed.redis.state == "there", "there is one")
    (pid,) = bed.servers()
    assert b"redis_embedded" in Path(f"/proc/{pid}/cmdline").read_bytes()
    until(bed.over, "the sweep is over")
    row = bed.board.jobs[COOP]
    assert (row.state, len(row.attempts)) == ("done", 1)
    assert bed.conversation() == {"agent1", "agent2"}
    assert {delivery.agent for delivery in bed.endpoint.deliveries} == {"agent1", "agent2"}
    assert bed.servers() == []


@pytest.fixture(scope="module")
def redis_image(toy_images: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image that would be pulled: the real one if it is there, else this machine's redis-server in the toy base."""
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0:
        yield IMAGE
        return
    server = shutil.which("redis-server")
    if server is None:
        lacking("no redis-server on PATH")
    folder = tmp_path_factory.mktemp("image")
    libraries = re.findall(
        r"(/\S+) \(", subprocess.run(["ldd", server], capture_output=True, text=True, check=True).stdout
    )
    for file in (server, *libraries):
        target = folder / "root" / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(file), target)
    (folder / "Dockerfile").write_text("FROM coopdeck-e2e-base\nCOPY root/usr /usr\nCOPY root/lib /usr/lib\n")
    docker("build", "--quiet", "--tag", IMAGE, str(folder))
    yield IMAGE
    docker("rmi", "--force", IMAGE)


def test_a_container_of_our_own_answers_on_loopback_and_where_agents_containers_look(
    redis_image: str, tmp_path: Path
) -> None:
    sweep_dir = tmp_path / f"redis-{os.getpid()}"
    sweep_dir.mkdir()
    servers = RedisServers(sweep_dir, ProcessLauncher(), os.environ)
    label = f"label=coopdeck.token={servers.token}"

    async def run() -> None:
        own = await servers.start("container")
        try:
            with redis.from_url(f"{own.url}#run:x") as agent:
                agent.rpush("run:x:agent1:inbox", "hello")
                assert agent.lpop("run:x:agent1:inbox") == b"hello"
            published = docker("ps", "--filter", label, "--format", "{{.Ports}}")
            assert re.fullmatch(rf"127\.0\.0\.1:{own.port}->6379/tcp\n", published)
            assert await RedisServers(sweep_dir, ProcessLauncher(), os.environ).left(own.port) is not None
            docker("rm", "--force", docker("ps", "--quiet", "--filter", label).strip())
            assert not await servers.alive(own)
            again = await servers.start("container", own.port)
            assert again.url == own.url
        finally:
            await servers.end(contained=True)

    anyio.run(run)
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
