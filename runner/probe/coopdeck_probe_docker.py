"""Labels what the Docker SDK makes in this process, as `runner/shim/docker` does for the program's `docker run`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODULE = "docker.api.container"
LABELS = {
    "coopdeck.sweep": "COOPDECK_SWEEP",
    "coopdeck.job": "COOPDECK_JOB",
    "coopdeck.attempt": "COOPDECK_ATTEMPT",
    "coopdeck.token": "COOPDECK_TOKEN",
}


def labelled(module: ModuleType) -> None:
    """Give every nameless container that this SDK makes the labels of the attempt in the environment.

    Named ones are upstream's own shared servers, which outlive the attempt.
    """
    mixin = module.ContainerApiMixin
    original = mixin.create_container_from_config

    def create_container_from_config(api: Any, config: Any, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        if name is None and os.environ.get("COOPDECK_TOKEN"):
            ours = {label: os.environ.get(variable, "") for label, variable in LABELS.items()}
            config["Labels"] = {**(config.get("Labels") or {}), **ours}
        return original(api, config, name, *args, **kwargs)

    mixin.create_container_from_config = create_container_from_config


class Awaiting(MetaPathFinder):
    """The SDK is never imported for our sake: this waits until upstream does."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            try:
                labelled(module)
            except Exception as error:
                self._failed(error)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def watch_sdk(failed: Callable[[Exception], None]) -> None:
    """Label from now on, or from the SDK's import on."""
    module = sys.modules.get(MODULE)
    if module is not None:
        labelled(module)
    else:
        sys.meta_path.insert(0, Awaiting(failed))
