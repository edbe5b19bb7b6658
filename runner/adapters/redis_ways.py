"""How a sweep can come by a Redis on this machine, the best way first. Looks, and starts nothing."""

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from subprocess import DEVNULL
from typing import Literal

import anyio

from runner.adapters.containers import docker_program
from runner.adapters.redis_ping import PORT, ping
from runner.model.plan import OWN_REDIS

AT_HAND = f"redis://localhost:{PORT}"
"""Where upstream looks when nobody tells it where."""
IMAGE = "redis:alpine"
"""The image that upstream uses: it may be there already."""
SHARED = "cooperbench-redis"
"""Upstream's container, which all its runs on a machine share: never ours to start or to use unasked."""
DOCKER_S = 5.0
NO_WAY = (
    "settings that let agents talk need a Redis, and there is none: install redis-server, "
    "or the embedded one with: pip install 'coopdeck[redis]', or name one with --redis URL"
)

OwnKind = Literal["redis-server", "container", "embedded"]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a Redis; `says` names it for people."""

    says: str
    url: str = ""
    """Of one that is there."""
    own: OwnKind | None = None
    """What would be started."""


async def ways(wanted: str | None, environment: Mapping[str, str], *, beyond: str = "") -> list[Way]:
    """All ways, in the order in which they are tried; empty when there is none: `NO_WAY` says what to do.

    Args:
        wanted: the URL that was given, OWN_REDIS, or None.
        beyond: another address of this machine at which it must answer, for agents who ask from their containers.
    """
    if wanted is not None and wanted != OWN_REDIS:
        return [Way(wanted, wanted)]
    found: list[Way] = []
    if wanted is None and await _at_hand(environment, beyond):
        found.append(Way(f"{AT_HAND}, which answers", AT_HAND))
    if shutil.which("redis-server", path=environment.get("PATH")):
        found.append(Way("a redis-server of the sweep's own", own="redis-server"))
    status, _ = await _docker(environment, "image", "inspect", "--format", "{{.Id}}", IMAGE)
    if status == 0:
        found.append(Way(f"a container of {IMAGE}", own="container"))
    elif status is not None and (await _docker(environment, "version"))[0] == 0:
        found.append(Way(f"a container of {IMAGE}, which is pulled first", own="container"))
    if importlib.util.find_spec("fakeredis") is not None:
        found.append(Way("the embedded server (fakeredis)", own="embedded"))
    return found


async def beyond_loopback(environment: Mapping[str, str]) -> str:
    """The address of this machine that Docker's containers know as `host.docker.internal`; empty if it is not here."""
    _, said = await _docker(
        environment, "network", "inspect", "bridge", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"
    )
    for address in said.split():
        try:
            async with await anyio.create_tcp_listener(local_host=address):
                return address
        except (OSError, ValueError):
            continue
    return ""


async def _at_hand(environment: Mapping[str, str], beyond: str) -> bool:
    if await ping(AT_HAND) or (beyond and await ping(f"redis://{beyond}:{PORT}")):
        return False
    _, shared = await _docker(environment, "ps", "--quiet", "--filter", f"name=^/?{SHARED}$")
    return not shared


async def _docker(environment: Mapping[str, str], *arguments: str) -> tuple[int | None, str]:
    """Exit status and output of a question to Docker; None when it cannot be asked."""
    try:
        with anyio.fail_after(DOCKER_S):
            command = [docker_program(environment), *arguments]
            asked = await anyio.run_process(command, check=False, stdin=DEVNULL, stderr=DEVNULL, env=environment)
    except (OSError, TimeoutError):
        return None, ""
    return asked.returncode, asked.stdout.decode(errors="replace").strip()
