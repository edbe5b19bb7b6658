"""The project's `.env`, which the agents get wherever their cooperbench is installed.

Upstream itself looks for a `.env` in the folders above its own code (python-dotenv's `find_dotenv`), so it finds the
project's only when it is installed inside the project.
"""

import os
from collections.abc import Mapping
from pathlib import Path

NAME = ".env"


def project_dotenv(folder: Path) -> dict[str, str]:
    """Its variables; empty when there is none, or none that can be read."""
    path = folder / NAME
    try:
        if not path.is_file():
            return {}
        from dotenv import dotenv_values

        found = dotenv_values(path)
    except (OSError, ValueError):
        return {}
    return {
        name: value
        for name, value in found.items()
        # No environment can hold the others.
        if value is not None and "\0" not in name + value and "=" not in name
    }


def project_environment(folder: Path, caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the project's attempts get: the caller's environment over its `.env`.

    Whoever asks Docker for the project asks with this one too: DOCKER_HOST in `.env` names the engine for all of us.
    """
    return {**project_dotenv(folder), **caller}
