"""Whether an image has what agents need: looked for in a throw-away container, remembered by the image's digest."""

import json
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.adapters.docker_engine import Engine, EngineAway, why_away
from runner.adapters.processes import started_ticks
from runner.model.failure import one_line

ANSWER_S = 30
"""A container that has not told by then hangs."""
LABEL = "coopdeck.check"
STALE_S = 600.0
_CHECK = "check."
MOST = 500
"""Verdicts that are remembered; the oldest go first."""

# As upstream starts its containers: with bash in the place of the image's entrypoint, which may do what it likes.
# The folder alone proves nothing: Docker makes an image's working directory where it is missing.
_SHELL = "/bin/bash"
_SCRIPT = """
cd /workspace/repo 2>/dev/null && [ -n "$(ls -A)" ] || { echo 'it has no /workspace/repo'; exit 3; }
command -v git >/dev/null || { echo 'it has no git'; exit 3; }
git -c safe.directory=/workspace/repo rev-parse --verify -q HEAD >/dev/null 2>&1 || {
    echo '/workspace/repo is no git repository with a commit'; exit 3; }
echo ok
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in an image; `says` is empty for a good one."""

    name: str
    good: bool
    says: str
    at: float


class Verdicts:
    """The verdicts of this project, in `.coopdeck/images.json`; a file that cannot be read is no file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[str, Verdict]:
        """By image id."""
        try:
            document = json.loads(self._path.read_text("utf-8"))
            found = document["verified"].items()
            return {image: Verdict(str(one["name"]), bool(one["good"]), str(one["says"]), float(one["at"]))
                    for image, one in found}  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def remember(self, image: str, verdict: Verdict) -> None:
        known = self.all()
        known[image] = verdict
        kept = sorted(known.items(), key=lambda item: item[1].at)[-MOST:]
        text = json.dumps({"verified": {key: asdict(one) for key, one in kept}}, indent=1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        fresh.write_text(text, "utf-8")
        fresh.replace(self._path)


def check(engine: Engine, name: str, image: str, answer_s: int = ANSWER_S) -> Verdict:
    """Start a container of the image, without a network, and see what is in it. Blocks; it is removed whatever happens.

    Args:
        image: its id, so that what is remembered is what was looked at.

    Raises:
        EngineAway: the engine kept us from looking.
    """
    import docker
    import requests

    api, made = engine.api, ""

    def verdict(says: str) -> Verdict:
        return Verdict(name, not says, one_line(says), time.time())

    try:
        made = api.create_container(
            image,
            entrypoint=[_SHELL],
            command=["-c", _SCRIPT],
            # With a token, so that coopdeck clean lists it as it does what attempts have left.
            labels={LABEL: _owner(), "coopdeck.token": _owner(), "coopdeck.sweep": "images", "coopdeck.job": name},
            host_config=api.create_host_config(network_mode="none", auto_remove=False),
        )["Id"]
        api.start(made)
        status = int(api.wait(made, timeout=answer_s)["StatusCode"])
        said = api.logs(made, stdout=True, stderr=True, tail=5).decode(errors="replace").strip()
        if status == 0 and said.endswith("ok"):
            return verdict("")
        return verdict(said if status == 3 else f"its bash ends with status {status}: {said}")
    except docker.errors.APIError as error:
        if _SHELL in str(error.explanation or error):
            return verdict(f"it has no {_SHELL}")
        if isinstance(error, docker.errors.ImageNotFound):
            return verdict("it is not here")
        raise EngineAway(
            f"the Docker Engine does not let it start: {one_line(str(error.explanation or error))}"
        ) from None
    except requests.exceptions.ConnectionError as error:
        # What the SDK makes of a wait that takes too long.
        if "timed out" in str(error).lower():
            return verdict(f"its bash has not answered within {answer_s} s")
        raise EngineAway(why_away(error, engine.host)) from None
    except requests.exceptions.ReadTimeout:
        return verdict(f"its bash has not answered within {answer_s} s")
    finally:
        if made:
            _remove(engine, made)


def clear(engine: Engine) -> int:
    """Remove the containers of checks whose process is gone; how many there were. Raises EngineAway."""
    removed = 0
    for made in left(engine):
        if not _alive(made):
            removed += _remove(engine, str(made["Id"]))
    return removed


def left(engine: Engine) -> list[Mapping[str, Any]]:
    """The containers of all checks, as the engine lists them. Raises EngineAway."""
    import docker
    import requests

    try:
        found: list[Mapping[str, Any]] = engine.api.containers(all=True, filters={"label": LABEL})
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineAway(why_away(error, engine.host)) from None
    return found


def _remove(engine: Engine, container: str) -> bool:
    import docker
    import requests

    with suppress(docker.errors.DockerException, requests.RequestException, OSError):
        engine.api.remove_container(container, v=True, force=True)
        return True
    return False


def _owner() -> str:
    return f"{_CHECK}{os.getpid()}.{started_ticks(os.getpid())}.{socket.gethostname()}"


def abandoned(token: str) -> bool:
    """Whether this is the token of a check whose process, one of this machine's, is gone."""
    words = token.removeprefix(_CHECK).split(".", 2)
    if not token.startswith(_CHECK) or len(words) != 3 or not words[0].isdigit() or words[2] != socket.gethostname():
        return False
    return str(started_ticks(int(words[0]))) != words[1]


def _alive(made: Mapping[str, Any]) -> bool:
    """Whether the process that made it may still remove it; of another machine's we only know the time."""
    token = str((made.get("Labels") or {}).get(LABEL, ""))
    return not abandoned(token) and time.time() - float(made.get("Created") or 0) < STALE_S
