"""The Docker Engine that the user means, through the docker SDK; what keeps us from it is a sentence with the remedy.

As the `docker` program finds it: DOCKER_HOST, else DOCKER_CONTEXT, else the context chosen with `docker context use`.
Everything here blocks: call it in a worker thread.
"""

import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.adapters.docker_ssh import SshBridge
from runner.model.failure import one_line

if TYPE_CHECKING:
    import docker

ANSWER_S = 20.0
"""An engine that takes longer for a small question is not well."""
_DEFAULT_HOST = "unix:///var/run/docker.sock"
_ANOTHER = "or name another with DOCKER_HOST or 'docker context use'"
_LOOK = f"look at it with 'docker info', {_ANOTHER}"


class EngineAway(Exception):
    """The engine cannot be used; the message says why and what helps, in a line."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A connection; safe to use from several threads."""

    api: "docker.APIClient"
    host: str
    """As the user has it: `unix:///var/run/docker.sock`, `ssh://me@there`."""
    root_dir: Path | None
    """Where images live, if that is on this machine."""
    version: str
    mirrors: tuple[str, ...]
    """Registries that it asks before Docker Hub."""
    architecture: str
    bridge: SshBridge | None = None

    def close(self) -> None:
        with suppress(OSError):
            self.api.close()
        if self.bridge is not None:
            self.bridge.close()


def connect(environment: Mapping[str, str]) -> Engine:
    """The engine that this environment names. Raises EngineAway."""
    import docker
    import requests

    host, tls = endpoint(environment)
    with ExitStack() as undo:
        try:
            bridge = SshBridge(host, environment, ANSWER_S) if host.startswith("ssh://") else None
            if bridge is not None:
                undo.callback(bridge.close)
            reached = bridge.url if bridge else host
            api = docker.APIClient(base_url=reached, tls=tls or False, version="auto", timeout=int(ANSWER_S))
            undo.callback(api.close)
            info: dict[str, Any] = api.info()
        except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
            raise EngineAway(why_away(error, host)) from None
        undo.pop_all()
    root = Path(str(info.get("DockerRootDir") or "/nonexistent"))
    mirrors = (info.get("RegistryConfig") or {}).get("Mirrors") or []
    return Engine(
        api,
        host,
        root if host.startswith("unix://") and root.is_dir() else None,
        str(info.get("ServerVersion", "")),
        tuple(str(mirror) for mirror in mirrors),
        str(info.get("Architecture", "")),
        bridge,
    )


def endpoint(environment: Mapping[str, str]) -> tuple[str, Any]:
    """The engine's address and the SDK's TLS configuration, if any. Raises EngineAway."""
    from docker import utils
    from docker.errors import TLSParameterError

    if environment.get("DOCKER_HOST"):
        try:
            asked = utils.kwargs_from_env(environment=dict(environment))
        except (TLSParameterError, OSError, ValueError) as error:
            raise EngineAway(f"DOCKER_HOST and DOCKER_CERT_PATH do not go together: {one_line(str(error))}") from None
        return environment["DOCKER_HOST"], asked.get("tls")
    return _context(
        Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker"), environment.get("DOCKER_CONTEXT")
    )


def _context(folder: Path, named: str | None) -> tuple[str, Any]:
    """Of the context that is named, else of the current one.

    Read here because the SDK looks for contexts only where there is a config.json beside them.
    """
    from docker.tls import TLSConfig

    name = named or _json(folder / "config.json").get("currentContext") or "default"
    if name == "default":
        return _DEFAULT_HOST, None
    digest = hashlib.sha256(str(name).encode()).hexdigest()
    endpoints = _json(folder / "contexts" / "meta" / digest / "meta.json").get("Endpoints")
    found = endpoints.get("docker") if isinstance(endpoints, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("Host"), str):
        where = "DOCKER_CONTEXT" if named else f"currentContext in {folder / 'config.json'}"
        raise EngineAway(f"{where} names the Docker context '{name}', and there is none; look at: docker context ls")
    certificates = folder / "contexts" / "tls" / digest / "docker"
    if not certificates.is_dir():
        return found["Host"], None
    files = [str(certificates / f"{part}.pem") for part in ("cert", "key", "ca")]
    there = [path if Path(path).is_file() else None for path in files]
    pair = (there[0], there[1]) if there[0] and there[1] else None
    return found["Host"], TLSConfig(client_cert=pair, ca_cert=there[2], verify=not found.get("SkipTLSVerify"))


def _json(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is no such file. Raises EngineAway for one that cannot be read."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineAway(f"Docker's {path} cannot be read: {one_line(str(error))}; mend it") from None
    return document if isinstance(document, dict) else {}


def why_away(error: BaseException, host: str) -> str:
    """What keeps us from the engine, with the remedy."""
    number = next((cause.errno for cause in _causes(error) if isinstance(cause, OSError) and cause.errno), None)
    text = str(error)
    if number in {errno.EACCES, errno.EPERM}:
        return (
            f"you may not use the Docker Engine at {host}: let 'sudo usermod -aG docker $USER' add you to its group "
            "and log in anew, or use rootless Docker"
        )
    if number in {errno.ENOENT, errno.ECONNREFUSED}:
        return f"no Docker Engine answers at {host}: start it ('sudo systemctl start docker'), {_ANOTHER}"
    if "API versions below" in text:
        return f"the Docker Engine at {host} is too old for coopdeck: bring it to 19.03 or newer, {_ANOTHER}"
    if host.startswith("ssh://"):
        there = host.removeprefix("ssh://").partition(":")[0]
        return f"no Docker Engine answers at {host}: see whether 'ssh {there} docker version' works without a password"
    if "timed out" in text.lower() or any(isinstance(cause, TimeoutError) for cause in _causes(error)):
        return f"the Docker Engine at {host} has not answered for {ANSWER_S:g} s: {_LOOK}"
    return f"the Docker Engine at {host} cannot be used: {one_line(text)}; {_LOOK}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made of: requests and urllib3 keep the cause among the arguments."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inside = [*one.args, *(part for arg in one.args if isinstance(arg, tuple) for part in arg)]
        more = [one.__cause__, one.__context__, getattr(one, "reason", None), *inside]
        waiting += [cause for cause in more if isinstance(cause, BaseException)]
