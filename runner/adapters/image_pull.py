"""One try at pulling an image: what comes from the engine, folded into how far it is, or into why it failed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from runner.adapters.docker_engine import ANSWER_S, Engine, EngineAway, why_away
from runner.model.failure import one_line

if TYPE_CHECKING:
    import requests

SILENCE_S = 300.0
"""A pull that says nothing for so long is stalled: it is dropped and taken up again."""

Trouble = Literal["missing", "denied", "digest", "rate", "room", "network"]
FOR_GOOD: frozenset[Trouble] = frozenset({"missing", "denied"})

_TROUBLES: tuple[tuple[Trouble, tuple[str, ...]], ...] = (
    ("rate", ("toomanyrequests", "too many requests")),
    ("room", ("no space left on device",)),
    ("digest", ("verification failed for digest", "unexpected commit digest", "does not match digest")),
    ("missing", ("manifest unknown", "manifest for ", "repository does not exist", "name unknown", "no such image",
                 "not found")),
    ("denied", ("unauthorized", "denied:", "no basic auth credentials", "authentication required")),
)  # fmt: skip
"""What the engine and the registries' own error codes say; anything else is the network's."""


_LAYER = re.compile(r"[0-9a-f]{12}")


class PullFailed(Exception):
    """The message is the engine's own, on one line."""

    def __init__(self, trouble: Trouble, says: str) -> None:
        super().__init__(says)
        self.trouble: Trouble = trouble


@dataclass(slots=True)
class Layer:
    """Bytes; the total is 0 until the engine has heard of it."""

    status: str = ""
    done: int = 0
    total: int = 0


@dataclass(slots=True)
class Progress:
    """How far a pull is; written by the pulling thread, read by others."""

    expected_bytes: int = 0
    """Of all layers together, where the registry has told."""
    layers: dict[str, Layer] = field(default_factory=dict)

    def fold(self, item: Mapping[str, Any]) -> None:
        """Take up one line of the engine's. Raises PullFailed."""
        if item.get("error") or item.get("errorDetail"):
            detail = item.get("errorDetail")
            says = detail.get("message") if isinstance(detail, dict) else None
            raise failed(str(says or item.get("error")))
        name, status = item.get("id"), str(item.get("status", ""))
        if not isinstance(name, str) or not _LAYER.fullmatch(name):
            return  # the tag's own lines, and warnings
        layer = self.layers.setdefault(name, Layer())
        layer.status = status
        detail = item.get("progressDetail")
        detail = detail if isinstance(detail, dict) else {}
        current, total = detail.get("current"), detail.get("total")
        if status == "Downloading" and isinstance(current, int):
            layer.done = current
            if isinstance(total, int) and total > 0:
                layer.total = total
        elif status in {"Download complete", "Pull complete"}:
            layer.done = layer.total

    @property
    def done_bytes(self) -> int:
        return sum(layer.done for layer in list(self.layers.values()))

    @property
    def total_bytes(self) -> int:
        """Grows while the engine hears of layers, unless it was known before."""
        return max(self.expected_bytes, sum(layer.total for layer in list(self.layers.values())))

    @property
    def says(self) -> str:
        layers = list(self.layers.values())
        over = sum(layer.status in {"Pull complete", "Already exists"} for layer in layers)
        if any(layer.status.startswith("Retrying") for layer in layers):
            return f"the connection was cut, going on, {over} of {len(layers)} layers"
        return f"pulling, {over} of {len(layers)} layers" if layers else "pulling"


def failed(says: str) -> PullFailed:
    """The engine's words as a failure of a kind."""
    text = says.lower()
    for trouble, words in _TROUBLES:
        if any(word in text for word in words):
            return PullFailed(trouble, one_line(says))
    return PullFailed("network", one_line(says))


class Pull:
    """One try, in a thread; another may end it. A dropped connection makes the engine give the pull up.

    A layer whose transfer is cut is taken up by the engine itself where it was, five times. What an engine keeps of a
    pull that was given up is its own affair: the classic image store of Docker 20.10 keeps nothing (measured).
    """

    def __init__(self, engine: Engine, name: str, progress: Progress) -> None:
        self._engine = engine
        self._name = name
        self._progress = progress
        self._response: requests.Response | None = None
        self._dropped = False

    def run(self) -> None:
        """Blocks until the image is there. Raises PullFailed, EngineAway."""
        import requests
        from docker import auth, utils

        api = self._engine.api
        repository, tag = utils.parse_repository_tag(self._name)
        registry, _ = auth.resolve_repository_name(repository)
        credentials = auth.get_config_header(api, registry)
        try:
            self._response = api.post(
                f"{api.base_url}/v{api.api_version}/images/create",
                params={"fromImage": repository, "tag": tag or "latest"},
                headers={"X-Registry-Auth": credentials} if credentials else {},
                stream=True,
                timeout=(ANSWER_S, SILENCE_S),
            )
            with self._response as response:
                if self._dropped:
                    return
                if response.status_code >= 400:
                    raise _refused(response.status_code, response.content)
                for line in response.iter_lines():
                    self._progress.fold(_json(line))
        except requests.exceptions.ChunkedEncodingError:
            # The engine ended in the middle: whether it is away is for the next call to tell.
            raise PullFailed("network", "the Docker Engine broke the pull off") from None
        except (requests.RequestException, OSError) as error:
            if isinstance(error, requests.exceptions.ReadTimeout) or "Read timed out" in str(error):
                raise PullFailed("network", f"nothing has come for {SILENCE_S:g} s") from None
            raise EngineAway(why_away(error, self._engine.host)) from None

    def drop(self) -> None:
        """End the pull from another thread."""
        self._dropped = True
        response = self._response
        if response is None:
            return
        try:
            response.raw.shutdown()
        except (OSError, ValueError, RuntimeError, AttributeError):
            response.close()


def _json(line: bytes) -> Mapping[str, Any]:
    try:
        item = json.loads(line)
    except ValueError:
        return {}
    return item if isinstance(item, dict) else {}


def _refused(status: int, body: bytes) -> PullFailed:
    says = str(_json(body).get("message") or body[:200].decode(errors="replace"))
    one = failed(says)
    return PullFailed("missing", str(one)) if status == 404 and one.trouble == "network" else one
