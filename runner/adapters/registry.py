"""How many bytes an image is over the network, as the registries tell that the engine would ask.

The engine's mirrors are asked for manifests. Docker Hub is asked for its list of tags instead: there each manifest
counts against the limit of pulls.
"""

import json
import time
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from runner.adapters.docker_engine import Engine

HUB = "https://hub.docker.com/v2/repositories"
MOST_BYTES = 4 * 1024 * 1024
ANSWER_S = 3.0
_LISTS = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
_MANIFESTS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def registry_sizes(engine: Engine, names: Iterable[str], *, within_s: float, hub: str = HUB) -> dict[str, int]:
    """The bytes of those that a registry knows; never raises, and blocks for `within_s` seconds at the most."""
    until = time.monotonic() + within_s
    architecture = _ARCHITECTURES.get(engine.architecture, engine.architecture)

    def ask(name: str) -> tuple[str, int]:
        repository, _, tag = name.rpartition(":")
        for mirror in engine.mirrors:
            if time.monotonic() < until and (size := _manifest_size(mirror.rstrip("/"), repository, tag, architecture)):
                return name, size
        if time.monotonic() < until:
            return name, _hub_size(f"{hub}/{repository}/tags/{tag}", architecture)
        return name, 0

    with ThreadPoolExecutor(8) as pool:
        return {name: size for name, size in pool.map(ask, names) if size > 0}


def _manifest_size(registry: str, repository: str, tag: str, architecture: str) -> int:
    document = _get(f"{registry}/v2/{repository}/manifests/{tag}", (*_MANIFESTS, *_LISTS))
    listed = document.get("manifests")
    if isinstance(listed, list):
        for one in listed:
            platform = one.get("platform") if isinstance(one, dict) else None
            if isinstance(platform, dict) and platform.get("architecture") == architecture:
                document = _get(f"{registry}/v2/{repository}/manifests/{one.get('digest')}", _MANIFESTS)
                break
    return sum(_whole(layer.get("size")) for layer in _dicts(document.get("layers")))


def _hub_size(url: str, architecture: str) -> int:
    document = _get(url, ("application/json",))
    sizes = [
        _whole(one.get("size")) for one in _dicts(document.get("images")) if one.get("architecture") == architecture
    ]
    return next((size for size in sizes if size), _whole(document.get("full_size")))


def _get(url: str, kinds: tuple[str, ...]) -> Mapping[str, Any]:
    if not url.startswith(("http://", "https://")):
        return {}
    try:
        request = urllib.request.Request(url, headers={"Accept": ", ".join(kinds)})  # noqa: S310 - looked at above
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 - the same
            document = json.loads(answer.read(MOST_BYTES))
    except (OSError, ValueError, HTTPException):
        return {}
    return document if isinstance(document, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
