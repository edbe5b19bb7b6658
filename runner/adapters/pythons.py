"""The Pythons of this machine that cooperbench could run on."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.adapters.program import NEEDS
from runner.adapters.uv import Uv
from runner.model.refusal import UsageRefused

ASK_S = 20.0
PROVEN = ((3, 12), (3, 13))
"""Taken before newer ones: cooperbench's dependencies have wheels for these."""
FETCHED = "3.12"
_NAMES = ("python3.12", "python3.13", "python3.14", "python3")
# The base of a virtual environment: that one stays when the environment is thrown away.
_ASK = "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(getattr(sys, '_base_executable', sys.executable))"


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter that has answered."""

    path: Path
    version: tuple[int, ...]
    origin: str
    """Where it was found: `named`, `PATH`, `uv`, `pyenv`, `own`."""

    @property
    def shown(self) -> str:
        return ".".join(map(str, self.version))


def named_python(named: str, environ: Mapping[str, str] = os.environ) -> Python:
    """The interpreter at a path, or of a name in PATH.

    Raises:
        UsageRefused: it is not there, does not run, or is too old.
    """
    path = named if "/" in named else shutil.which(named, path=environ.get("PATH"))
    if path is None:
        raise UsageRefused(f"--python names '{named}', and PATH has no such program; name it by its path")
    found = ask(Path(os.path.abspath(os.path.expanduser(path))), "named")  # noqa: PTH100, PTH111 - a link stays one
    if found is None:
        raise UsageRefused(f"--python names {path}, which is no Python that runs; name another, or leave it out")
    if found.version[:2] < NEEDS:
        needs = ".".join(map(str, NEEDS))
        raise UsageRefused(
            f"cooperbench needs Python {needs} or newer, and {path} is {found.shown}; name another, or leave it out"
        )
    return found


def find_python(uv: Uv, environ: Mapping[str, str], home: Path) -> Python | None:
    """The best Python that is installed; a proven version first, then in the order PATH, uv's, pyenv's, our own."""
    newer: Python | None = None
    seen: set[Path] = set()
    for path, origin in _places(uv, environ, home):
        real = path.resolve()
        # A pyenv shim is a script of one name for all versions.
        if real in seen and real.name.startswith("python"):
            continue
        seen.add(real)
        found = ask(path, origin)
        if found is None or found.version[:2] < NEEDS:
            continue
        if found.version[:2] in PROVEN:
            return found
        newer = newer or found
    return newer


def ask(path: Path, origin: str) -> Python | None:
    """What the interpreter says of itself; None when it does not run."""
    try:
        told = subprocess.run(
            [path, "-I", "-S", "-c", _ASK],
            capture_output=True, text=True, timeout=ASK_S, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        version, executable = told.stdout.splitlines()
        return Python(Path(executable), tuple(map(int, version.split("."))), origin)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _places(uv: Uv, environ: Mapping[str, str], home: Path) -> Iterator[tuple[Path, str]]:
    folders = [folder for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    for name in _NAMES:
        for folder in folders:
            if os.access(path := Path(folder, name), os.X_OK):
                yield path, "PATH"
    for path in _of_uv(uv):
        yield path, "uv"
    root = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    for path in sorted(root.glob("versions/3.1[2-9]*/bin/python")):
        yield path, "pyenv"
    yield Path(sys.executable), "own"


def _of_uv(uv: Uv) -> list[Path]:
    """Those that uv has fetched; none when it cannot tell."""
    asked = [uv.program, "python", "list", "--only-installed", "--managed-python", "--output-format", "json"]
    try:
        told = subprocess.run(
            asked, env=dict(uv.environ), capture_output=True, text=True, timeout=ASK_S, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return [Path(one["path"]) for one in json.loads(told.stdout) if one.get("path")]
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, KeyError, AttributeError):
        return []
