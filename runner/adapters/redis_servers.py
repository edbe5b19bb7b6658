"""A Redis of the sweep's own: started, found again and ended. A `redis-server`, a container, or the embedded server.

Whatever it is, it listens on loopback, keeps nothing on disk, and carries one token that follows from the sweep's
folder: so the next runner finds it, and `coopdeck clean` too, even if this one dies before it can say a word.
"""

import hashlib
import os
import random
import shutil
import socket
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

import anyio
import anyio.to_thread

from runner.adapters.containers import DockerContainers, DockerSilent, docker_program
from runner.adapters.processes import LOG_NAME, ProcessLauncher, started_ticks
from runner.adapters.redis_ping import ping
from runner.adapters.redis_ways import DOCKER_S, IMAGE, OwnKind
from runner.engine.ports import LaunchOrder, LaunchRefused, Running
from runner.model.failure import one_line

LOOPBACK = "127.0.0.1"
START_S = 15.0
PULL_S = 600.0
REAP_S = 1.0
_LOOK_S = 0.05
_PORTS, _PORT_TRIES = (20_000, 32_000), 50
_INSIDE = 6379
# Agents whose containers reach it are strangers: what writes files, loads code or ends the server is not theirs.
_NOT_FOR_AGENTS = ("CONFIG", "SAVE", "BGSAVE", "BGREWRITEAOF", "DEBUG", "MODULE", "REPLICAOF", "SLAVEOF", "SHUTDOWN")
_ON_NO_DISK = ("--save", "", "--appendonly", "no", "--protected-mode", "no", "--loglevel", "warning")
_PASSED_ON = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")


class RedisFailed(Exception):
    """It could not be started; the message is a line that says why."""


@dataclass(frozen=True, slots=True)
class Own:
    """A Redis of our own that answers."""

    url: str
    port: int
    running: Running | None
    """Its process; None for a container."""

    @property
    def runs(self) -> bool:
        """Whether its process does; of a container it is not known."""
        return self.running is None or started_ticks(self.running.pid) == self.running.started_ticks


def redis_token(sweep_dir: Path) -> str:
    """What the processes and containers of this sweep's own Redis carry."""
    return "redis" + hashlib.sha256(os.fsencode(sweep_dir.resolve())).hexdigest()[:27]


def own_url(port: int) -> str:
    return f"redis://{LOOPBACK}:{port}"


class RedisServers:
    """Of one sweep: there is at most one at a time.

    Args:
        environment: the runner's; of it, a server gets what programs need to run, and no key.
    """

    def __init__(self, sweep_dir: Path, launcher: ProcessLauncher, environment: Mapping[str, str]) -> None:
        self.token = redis_token(sweep_dir)
        self.beyond = ""
        """An address besides loopback at which it is to answer; empty for none."""
        self._sweep = sweep_dir.name
        self._folder = sweep_dir / "redis"
        self._launcher = launcher
        self._environment = environment
        self._docker = docker_program(environment)
        self._child: Running | None = None

    async def left(self, port: int) -> Own | None:
        """The one that an earlier runner of this sweep has started on this port, if it answers."""
        url = own_url(port)
        if await ping(url):
            return None
        running = await self._launcher.find(self.token)
        if running is not None or await self._has_container():
            return Own(url, port, running)
        return None

    async def start(self, kind: OwnKind, port: int | None = None) -> Own:
        """Start one, on this port or on a free one, and wait until it answers.

        Raises:
            RedisFailed: nothing of it is left.
        """
        port = port or _free_port()
        hosts = [LOOPBACK, self.beyond] if self.beyond else [LOOPBACK]
        answered = False
        try:
            running = await (self._contain(port, hosts) if kind == "container" else self._launch(kind, port, hosts))
            own = Own(own_url(port), port, running)
            await self._until_it_answers(own)
            answered = True
            await self._forget_folder()
        finally:
            if not answered:
                with anyio.CancelScope(shield=True):
                    # Late: a `docker run` that was given up may make its container all the same.
                    await self.end(contained=kind == "container", late=True)
        return own

    async def until_gone(self, own: Own) -> None:
        """While its process runs; for ever with a container."""
        if own.running is None:
            await anyio.sleep_forever()
        elif own.running is self._child:
            await self._reap()
        elif own.runs:
            await own.running.wait()

    async def alive(self, own: Own) -> bool:
        """Whether its process or container is still there, which says nothing about its answers."""
        return own.runs if own.running is not None else await self._has_container(unless_silent=True)

    async def end(self, *, contained: bool, late: bool = False) -> None:
        """End whatever carries the token.

        Args:
            contained: it may be a container.
            late: and one that comes a moment later.
        """
        await self._launcher.end_strays({self.token}, everywhere=True)
        with anyio.move_on_after(REAP_S):
            await self._reap()
        if contained:
            await DockerContainers(self._environment, volumes=False).remove({self.token}, killed=late)
        await self._forget_folder()

    async def _launch(self, kind: OwnKind, port: int, hosts: list[str]) -> Running:
        # Its title would be written over its environment, where the token is.
        argv = ["redis-server", "--set-proc-title", "no", "--port", str(port), "--bind", *hosts, *_ON_NO_DISK]
        for name in _NOT_FOR_AGENTS:
            argv += ["--rename-command", name, ""]
        if kind == "embedded":
            argv = [sys.executable, "-P", "-m", "runner.adapters.redis_embedded", str(port), *hosts]
        environment = {name: self._environment[name] for name in _PASSED_ON if name in self._environment}
        environment["COOPDECK_TOKEN"] = self.token
        try:
            self._folder.mkdir(exist_ok=True)
            (self._folder / LOG_NAME).unlink(missing_ok=True)
            order = LaunchOrder(tuple(argv), environment, self._folder, Path("/"))
            self._child = await self._launcher.start(order)
        except (LaunchRefused, OSError) as error:
            raise RedisFailed(one_line(str(error))) from None
        return self._child

    async def _contain(self, port: int, hosts: list[str]) -> None:
        argv = [self._docker, "run", "--detach", "--rm", "--tmpfs", "/data", "--stop-timeout", "1"]
        labels = {"token": self.token, "sweep": self._sweep, "job": "redis"}
        for name, value in labels.items():
            argv += ["--label", f"coopdeck.{name}={value}"]
        for host in hosts:
            argv += ["--publish", f"{host}:{port}:{_INSIDE}"]
        argv += [IMAGE, "redis-server", *_ON_NO_DISK]
        for name in _NOT_FOR_AGENTS:
            argv += ["--rename-command", name, ""]
        try:
            with anyio.fail_after(PULL_S):
                ran = await anyio.run_process(argv, check=False, stdin=DEVNULL, env=self._environment)
        except OSError as error:
            raise RedisFailed(f"{self._docker} cannot be run: {error.strerror}") from None
        except TimeoutError:
            raise RedisFailed(f"{IMAGE} did not start within {PULL_S:g} s") from None
        if ran.returncode:
            said = [line for line in ran.stderr.decode(errors="replace").splitlines() if line.strip()]
            why = next((line for line in reversed(said) if "--help" not in line), "it does not say why")
            raise RedisFailed(f"{IMAGE}: {one_line(why)}")

    async def _until_it_answers(self, own: Own) -> None:
        why = ""
        with anyio.move_on_after(START_S):
            while why := await ping(own.url):
                if not own.runs:
                    raise RedisFailed(self._last_words())
                await anyio.sleep(_LOOK_S)
        if why:
            raise RedisFailed(why)
        if not own.runs:
            # Somebody else answers on that port.
            raise RedisFailed(self._last_words())

    async def _forget_folder(self) -> None:
        """Of a server that has begun there is nothing to read any more."""
        await anyio.to_thread.run_sync(partial(shutil.rmtree, self._folder, ignore_errors=True))

    async def _reap(self) -> None:
        # Waited for once: its descriptor is gone then.
        if self._child is not None:
            await self._child.wait()
            self._child = None

    async def _has_container(self, *, unless_silent: bool = False) -> bool:
        try:
            with anyio.fail_after(DOCKER_S):
                made = await DockerContainers(self._environment, volumes=False).containers()
        except (DockerSilent, TimeoutError):
            return unless_silent
        return any(one.token == self.token for one in made)

    def _last_words(self) -> str:
        try:
            said = (self._folder / LOG_NAME).read_text(errors="replace").splitlines()
        except OSError:
            said = []
        return one_line(next((line for line in reversed(said) if line.strip()), "it ended and said nothing"))


def _free_port() -> int:
    """Below those that the system hands out by itself, so that nobody has it when a server comes back to it."""
    for _ in range(_PORT_TRIES):
        port = random.randrange(*_PORTS)  # noqa: S311 - not a secret
        with suppress(OSError), closing(socket.create_server((LOOPBACK, port))) as taken:
            return int(taken.getsockname()[1])
    with closing(socket.create_server((LOOPBACK, 0))) as taken:
        return int(taken.getsockname()[1])
