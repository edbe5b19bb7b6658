"""What attempts made in Docker: found by the labels that `runner/shim/docker` gives it, and removed.

Through the `docker` program, not through its Python package: the shim makes containers with the program, so only
the program is sure to speak to the same engine (contexts, DOCKER_HOST over ssh, podman in docker's place). It also
costs the runner nothing before it is needed, and a call that hangs can be killed.
"""

import os
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL

import anyio

from runner.model.failure import one_line

EXECUTABLE = "MSWEA_DOCKER_EXECUTABLE"
"""Upstream's agents run this program as `docker`."""
REAL = "COOPDECK_DOCKER"
"""What the shim runs: the user's own program, where there is one."""
SHIM = Path(__file__).parent.parent / "shim" / "docker"
WAIT_S = 5.0
"""A Docker that takes longer keeps what it has until somebody looks again."""
LATE_S = 1.0
"""Killed while it waits for `docker run`, one attempt in 30 gets a container afterwards (measured; never started)."""
_AGAIN_S = 0.1
_GONE = ("No such container", "no such volume", "already in progress")
_TOKEN = "coopdeck.token"  # noqa: S105 - a name
_LABELS = f'{{{{.Label "{_TOKEN}"}}}}\t{{{{.Label "coopdeck.sweep"}}}}\t{{{{.Label "coopdeck.job"}}}}'


@dataclass(frozen=True, slots=True)
class Made:
    """A container or a volume that an attempt made."""

    id: str
    token: str
    sweep: str
    job: str
    name: str
    size: str = ""
    """As Docker says it; a volume's is not known."""


class DockerSilent(Exception):
    """Docker did not do what it was asked; the message is a line that says why."""


def docker_program(environment: Mapping[str, str]) -> str:
    """The program the user means by `docker`: their own for upstream's agents, if set; never our shim."""
    theirs = environment.get(EXECUTABLE)
    if theirs and os.path.realpath(theirs) == os.path.realpath(SHIM):
        theirs = environment.get(REAL)
    return theirs or "docker"


def shim_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What puts the shim in an attempt's way; nothing where the file system does not let it run."""
    if not os.access(SHIM, os.X_OK):
        return {}
    return {EXECUTABLE: str(SHIM), REAL: docker_program(environment)}


def shim_in_path(environment: Mapping[str, str]) -> dict[str, str]:
    """What puts the shim also in the way of who looks for `docker` in PATH; nothing where there is none to run."""
    others = [one for one in environment.get("PATH", os.defpath).split(os.pathsep) if one != str(SHIM.parent)]
    path = os.pathsep.join(others)
    real = shutil.which(docker_program(environment), path=path)
    if real is None or not os.access(SHIM, os.X_OK):
        return {}
    return {REAL: real, "PATH": f"{SHIM.parent}{os.pathsep}{path}"}


class NoContainers:
    """For sweeps whose attempts make none: rehearsals, and backends that are not Docker."""

    async def remove(self, tokens: Collection[str], *, killed: bool = False) -> int:
        return 0


class DockerContainers:
    """The port `Containers`; says on standard error when Docker stops answering and when it answers again."""

    def __init__(self, environment: Mapping[str, str], *, volumes: bool, wait_s: float = WAIT_S) -> None:
        self._environment = environment
        self._program = docker_program(environment)
        self._volumes = volumes
        self._wait_s = wait_s
        self._trouble = ""

    async def remove(self, tokens: Collection[str], *, killed: bool = False) -> int:
        removed = 0
        try:
            with anyio.fail_after(self._wait_s):
                removed = await self._remove_containers(frozenset(tokens))
                if killed:
                    await anyio.sleep(LATE_S)
                    removed += await self._remove_containers(frozenset(tokens))
                if self._volumes:
                    removed += await self._remove_volumes(frozenset(tokens))
        except TimeoutError:
            self._say(f"Docker has not answered for {self._wait_s:g} s")
        except DockerSilent as silent:
            self._say(str(silent))
        else:
            self._say("")
        return removed

    async def containers(self, *, sizes: bool = False) -> list[Made]:
        """All that carry a token, of whatever sweep and state.

        Raises:
            DockerSilent: there is no telling.
        """
        form = f"{{{{.ID}}}}\t{_LABELS}\t{{{{.Names}}}}" + ("\t{{.Size}}" if sizes else "")
        return await self._list("ps", "--all", "--no-trunc", "--filter", f"label={_TOKEN}", "--format", form)

    async def volumes(self) -> list[Made]:
        """All that carry a token. Raises DockerSilent."""
        form = f"{{{{.Name}}}}\t{_LABELS}\t{{{{.Name}}}}"
        return await self._list("volume", "ls", "--filter", f"label={_TOKEN}", "--format", form)

    async def _remove_containers(self, tokens: frozenset[str]) -> int:
        seen: set[str] = set()
        while wanted := [made.id for made in await self.containers() if made.token in tokens]:
            seen.update(wanted)
            if await self._call("rm", "--force", "--volumes", *wanted):
                break
            # Upstream's own `docker stop` was there first; once it is through, they are gone.
            await anyio.sleep(_AGAIN_S)
        return len(seen)

    async def _remove_volumes(self, tokens: frozenset[str]) -> int:
        wanted = [made.id for made in await self.volumes() if made.token in tokens]
        if wanted:
            await self._call("volume", "rm", "--force", *wanted)
        return len(wanted)

    async def _list(self, *arguments: str) -> list[Made]:
        status, out, err = await self._run(*arguments)
        if status:
            raise DockerSilent(_why(err))
        lines = [line.split("\t") for line in out.splitlines()]
        return [Made(*fields) for fields in lines if 5 <= len(fields) <= 6]

    async def _call(self, *arguments: str) -> bool:
        """True when it was done; False when somebody else is doing it. Raises DockerSilent."""
        status, _, err = await self._run(*arguments)
        problems = [line for line in err.splitlines() if not any(gone in line for gone in _GONE)]
        if status and problems:
            raise DockerSilent(_why("\n".join(problems)))
        return not status

    async def _run(self, *arguments: str) -> tuple[int, str, str]:
        try:
            command = [self._program, *arguments]
            done = await anyio.run_process(command, check=False, stdin=DEVNULL, env=self._environment)
        except OSError as error:
            raise DockerSilent(f"{self._program} cannot be run: {error.strerror}") from None
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def _say(self, trouble: str) -> None:
        if trouble == self._trouble:
            return
        says = f"{trouble}; containers of ended attempts stay until it does" if trouble else "Docker answers again"
        print(time.strftime("%Y-%m-%d %H:%M:%S"), says, file=sys.stderr, flush=True)
        self._trouble = trouble


def _why(err: str) -> str:
    return f"Docker does not do as asked: {one_line(err) or 'it does not say why'}"
