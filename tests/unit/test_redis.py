"""Finding, starting, pinging and ending a Redis: the same tests for every kind that needs no Docker."""

import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
import redis

from runner.adapters import redis_ways
from runner.adapters.processes import ProcessLauncher
from runner.adapters.redis_ping import address_of, ping
from runner.adapters.redis_servers import Own, RedisFailed, RedisServers, own_url, redis_token
from runner.adapters.redis_ways import IMAGE, OwnKind, ways
from runner.adapters.strays import carriers
from runner.model.plan import OWN_REDIS
from tests.ports import closed_port

Handler = Callable[[anyio.abc.SocketStream], Awaitable[None]]

needs_server = pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server on PATH")
KINDS = [pytest.param("redis-server", marks=needs_server), "embedded"]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """The URL of a server that treats every connection so."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield own_url(listener.extra(anyio.abc.SocketAttribute.local_port))
        tasks.cancel_scope.cancel()


def saying(answer: bytes) -> Handler:
    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    return handle


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"+PONG\r\n", ""),
        (b"+PO", "closes the connection"),
        (b"-NOAUTH Authentication required.\r\n", "asks for a password"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "does not answer as a Redis: LOADING"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not answer as a Redis: HTTP/1.1"),
        (b"x" * 5000, "does not answer as a Redis: xxx"),
    ],
)
def test_only_a_pong_is_a_redis(answer: bytes, says: str) -> None:
    async def run() -> str:
        async with answering(saying(answer)) as url:
            return await ping(url)

    said = anyio.run(run)
    assert says in said
    assert bool(said) == bool(says)


def test_who_says_nothing_is_not_waited_for() -> None:
    async def silence(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await anyio.sleep_forever()

    async def run() -> str:
        async with answering(silence) as url:
            return await ping(url, 0.1)

    assert "has not answered for 0.1 s" in anyio.run(run)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "redis://localhost:port", "redis://[", ""])
def test_what_is_no_address_is_said(url: str) -> None:
    assert anyio.run(ping, url)
    with pytest.raises(ValueError, match=r"\w"):
        address_of(url)


def test_nobody_there_is_said_with_the_address() -> None:
    with closed_port() as port:
        assert anyio.run(ping, own_url(port)) == f"127.0.0.1:{port} cannot be reached: Connection refused"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "localhost:6379"),
        ("redis://host/3", "host:6379"),
        ("rediss://host:7000", "host:7000"),
        ("unix:///run/redis.sock", "/run/redis.sock"),
        ("redis://[::1]:7000", "::1:7000"),
    ],
)
def test_addresses_are_read_as_redis_py_reads_them(url: str, shown: str) -> None:
    assert str(address_of(url)) == shown


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    folder.mkdir()
    return folder


def servers(sweep_dir: Path) -> RedisServers:
    return RedisServers(sweep_dir, ProcessLauncher(), dict(os.environ) | {"OPENAI_API_KEY": "hush"})


def left_of(sweep_dir: Path) -> list[int]:
    return [stray.pid for stray in carriers({redis_token(sweep_dir)})]


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_our_own_carries_messages_and_is_gone_at_the_end(kind: OwnKind, sweep_dir: Path) -> None:
    mine = servers(sweep_dir)
    own = anyio.run(mine.start, kind)
    try:
        agents = [redis.from_url(f"{own.url}#run:x") for _ in range(2)]
        agents[0].rpush("run:x:agent2:inbox", "hello")
        agents[0].set("run:x:agent1:alive", "1", ex=600)
        assert agents[1].lpop("run:x:agent2:inbox") == b"hello"
        assert agents[1].exists("run:x:agent1:alive")
        for agent in agents:
            agent.close()
        (pid,) = left_of(sweep_dir)
        assert "hush" not in Path(f"/proc/{pid}/environ").read_text()
        listening = Path("/proc/net/tcp").read_text().splitlines()
        assert [line.split()[1] for line in listening if f":{own.port:04X} 00000000:0000 0A" in line] == [
            f"0100007F:{own.port:04X}"
        ]
    finally:
        anyio.run(lambda: mine.end(contained=False))
    assert left_of(sweep_dir) == []
    assert list(sweep_dir.iterdir()) == []
    assert anyio.run(ping, own.url)


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_runner_finds_what_a_killed_one_left(kind: OwnKind, sweep_dir: Path) -> None:
    async def run() -> tuple[Own, Own | None, Own | None]:
        mine = servers(sweep_dir)
        own = await mine.start(kind)
        try:
            found = await servers(sweep_dir).left(own.port)
            other = sweep_dir.with_name("other")
            other.mkdir()
            return own, found, await servers(other).left(own.port)
        finally:
            await mine.end(contained=False)

    own, found, others = anyio.run(run)
    assert found is not None
    assert found.running is not None
    assert own.running is not None
    assert (found.url, found.running.pid) == (own.url, own.running.pid)
    assert others is None, "what answers on the port is not this sweep's"


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_is_taken_is_said_and_nothing_is_left(kind: OwnKind, sweep_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RedisFailed, match=r"(?i)in use|listen"):
            anyio.run(lambda: servers(sweep_dir).start(kind, port))
    assert left_of(sweep_dir) == []
    assert list(sweep_dir.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_agents_in_containers_find_the_same_one_at_another_address(kind: OwnKind, sweep_dir: Path) -> None:
    async def run() -> None:
        mine = servers(sweep_dir)
        mine.beyond = "127.0.0.2"  # stands for Docker's gateway
        own = await mine.start(kind)
        try:
            with redis.from_url(own.url) as host, redis.from_url(f"redis://127.0.0.2:{own.port}") as container:
                container.rpush("cb:x:tasks", "one")
                assert host.lpop("cb:x:tasks") == b"one"
        finally:
            await mine.end(contained=False)

    anyio.run(run)
    assert left_of(sweep_dir) == []


@needs_server
def test_agents_may_neither_write_files_nor_end_the_server(sweep_dir: Path) -> None:
    async def run() -> None:
        mine = servers(sweep_dir)
        own = await mine.start("redis-server")
        try:
            with redis.from_url(own.url) as agent:
                for command in ("CONFIG SET dir /tmp", "SAVE", "BGSAVE", "SHUTDOWN", "REPLICAOF NO ONE"):
                    with pytest.raises(redis.ResponseError, match="unknown command"):
                        agent.execute_command(*command.split())
        finally:
            await mine.end(contained=False)

    anyio.run(run)


# -- the ways ------------------------------------------------------------------------------------------------


def docker(folder: Path, script: str) -> Path:
    """A `docker` that answers so; `asked` holds its arguments."""
    program = folder / "docker"
    program.write_text(f"#!{sys.executable} -I\nimport sys\nasked = sys.argv[1:]\n{script}\n")
    program.chmod(0o755)
    return program


IMAGE_THERE = "sys.exit(0)"
NO_IMAGE = "sys.exit(asked[0] == 'image')"
NO_DOCKER = "sys.exit(1)"
SHARED_UP = "print('abc' if asked[0] == 'ps' else ''); sys.exit(asked[0] in ('image', 'version'))"


def kinds(tmp_path: Path, script: str, *, server: bool, wanted: str | None = OWN_REDIS) -> list[str | None]:
    docker(tmp_path, script)
    if server:
        (tmp_path / "redis-server").symlink_to(sys.executable)
    return [way.own for way in anyio.run(ways, wanted, {"PATH": str(tmp_path)})]


@pytest.mark.parametrize(
    ("script", "server", "expected"),
    [
        (IMAGE_THERE, True, ["redis-server", "container", "embedded"]),
        (IMAGE_THERE, False, ["container", "embedded"]),
        (NO_IMAGE, False, ["container", "embedded"]),
        (NO_DOCKER, False, ["embedded"]),
    ],
)
def test_the_ways_come_in_order(tmp_path: Path, script: str, server: bool, expected: list[str]) -> None:
    assert kinds(tmp_path, script, server=server) == expected


def test_without_anything_there_is_no_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert kinds(tmp_path, NO_DOCKER, server=False) == []


def test_what_is_given_is_the_only_way(tmp_path: Path) -> None:
    (way,) = anyio.run(ways, "redis://host:7000", {"PATH": str(tmp_path)})
    assert (way.url, way.own) == ("redis://host:7000", None)


def test_an_image_that_is_not_there_is_said_to_be_pulled(tmp_path: Path) -> None:
    docker(tmp_path, NO_IMAGE)
    way = anyio.run(ways, OWN_REDIS, {"PATH": str(tmp_path)})[0]
    assert way.says == f"a container of {IMAGE}, which is pulled first"


def test_one_at_hand_is_used_unless_it_is_upstreams_shared_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(script: str, wanted: str | None, beyond: str = "") -> bool:
        async with answering(saying(b"+PONG\r\n")) as url:
            monkeypatch.setattr(redis_ways, "AT_HAND", url)
            docker(tmp_path, script)
            found = await ways(wanted, {"PATH": str(tmp_path)}, beyond=beyond)
            return found[0].url == url

    assert anyio.run(run, NO_DOCKER, None)
    assert not anyio.run(run, SHARED_UP, None)
    assert not anyio.run(run, NO_DOCKER, OWN_REDIS), "--redis own means it"
    assert not anyio.run(run, NO_DOCKER, None, "127.0.0.3"), "agents in containers would not reach it"
