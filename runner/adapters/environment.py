"""cooperbench's own environment: `.coopdeck/env`, a link to the one build of it that is complete.

A build is made under `.coopdeck/envs/` and never moves, for the scripts in it name its Python by an absolute path; the
link is put in place when the build has answered. So `.coopdeck/env/bin/cooperbench` works, or is not there.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runner.adapters.program import default_cooperbench

NEEDED_BYTES = 1_000_000_000
"""Measured for 0.0.29: 654 MB installed, 76 MB more in uv's cache, and what Python compiles at the first run."""
ANSWER_S = 180.0
"""For the first answer: on a cold disk thousands of modules are read and compiled."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What shall be installed: a version from the index, or a folder of one's own."""

    version: str
    editable: Path | None = None

    @property
    def requirement(self) -> tuple[str, ...]:
        return ("-e", str(self.editable)) if self.editable else (f"cooperbench=={self.version}",)

    def __str__(self) -> str:
        return f"cooperbench from {self.editable}" if self.editable else f"cooperbench {self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """What stands in an environment, by its own metadata."""

    version: str
    editable: Path | None
    python: str
    """Its Python's version."""
    interpreter: Path

    def meets(self, wanted: Wanted) -> bool:
        if wanted.editable or self.editable:
            return wanted.editable == self.editable
        return wanted.version == self.version


class Environment:
    """Of the project whose `.coopdeck` folder is `state`."""

    def __init__(self, state: Path) -> None:
        self.link = state / "env"
        self.builds = state / "envs"
        self.program = default_cooperbench(state.parent)

    def read(self) -> Installed | None:
        """What is there; None where no cooperbench has been installed. Runs nothing."""
        if not os.access(self.program, os.X_OK):
            return None
        found = next(self.link.glob("lib/python3.*/site-packages/cooperbench-*.dist-info"), None)
        if found is None:
            return None
        version = found.name.removeprefix("cooperbench-").removesuffix(".dist-info")
        interpreter = (self.link / "bin" / "python").resolve()
        return Installed(version, _editable(found), _python(self.link), interpreter)

    def new_build(self, wanted: Wanted) -> Path:
        """A folder's name for another build."""
        self.builds.mkdir(parents=True, exist_ok=True)
        label = "editable" if wanted.editable else wanted.version
        number = 1
        while (self.builds / f"{label}-{number}").exists():
            number += 1
        return self.builds / f"{label}-{number}"

    def adopt(self, build: Path) -> None:
        """Make this build the environment, at once."""
        fresh = self.link.with_name("env.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path(self.builds.name, build.name))
        if self.link.is_dir() and not self.link.is_symlink():
            # One that somebody made by hand.
            self.link.rename(self.new_build(Wanted("by-hand")))
        fresh.replace(self.link)

    def tidy(self) -> None:
        """Remove every build but the one in use: what an interrupted call has left, and what was replaced."""
        for build in self._builds():
            if build.resolve() != self.link.resolve():
                shutil.rmtree(build, ignore_errors=True)

    def _builds(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from list(self.builds.iterdir())


def answers(program: Path, environ: Mapping[str, str], cwd: Path) -> str:
    """Why its command line does not answer; empty when it does."""
    quick = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"} | dict(environ)
    try:
        asked = subprocess.run(
            [program, "run", "--help"], env=quick, cwd=cwd, capture_output=True, text=True, timeout=ANSWER_S,
            check=False, stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"it does not answer within {ANSWER_S:g} s"
    except OSError as error:
        return f"it cannot be run: {error.strerror or error}"
    if asked.returncode == 0:
        return ""
    last = (asked.stderr.strip() or asked.stdout.strip() or f"exit status {asked.returncode}").splitlines()[-1]
    return f"it does not run: {last[:300]}"


def free_bytes(folder: Path) -> int:
    """What an ordinary user can still write where the folder is or will be."""
    while not folder.exists():
        folder = folder.parent
    system = os.statvfs(folder)
    return system.f_bavail * system.f_frsize


def _editable(metadata: Path) -> Path | None:
    """The folder that an editable install names (PEP 610)."""
    try:
        told = json.loads((metadata / "direct_url.json").read_bytes())
        if told["dir_info"]["editable"] is True:
            return Path(unquote(urlsplit(told["url"]).path))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _python(environment: Path) -> str:
    """The version in pyvenv.cfg, which uv and venv write under different names."""
    with suppress(OSError):
        for line in (environment / "pyvenv.cfg").read_text(errors="replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip() in {"version", "version_info"}:
                return value.strip()
    return "of unknown version"
