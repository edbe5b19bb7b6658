"""Where upstream's program is, and whether the Python behind it is new enough for it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from runner.adapters.places import absolute
from runner.model.refusal import PreflightRefused, UsageRefused

NEEDS = (3, 12)
VERSION = "0.0.29"
PROBE_S = 20.0
_FIRST_BYTES = 4096
_CONSOLE_SCRIPT = re.compile(r"^from cooperbench\.cli import main\s*$", re.MULTILINE)


class CannotImport(Exception):
    """The program is not one whose `main` can be called; the message says why."""


def default_cooperbench(root: Path) -> Path:
    """Where `coopdeck setup` puts it."""
    return root / ".coopdeck" / "env" / "bin" / "cooperbench"


def find_cooperbench(named: str | None, root: Path) -> Path:
    """The program that was named (a path, or a word to look up in PATH), else the project's own.

    Raises:
        UsageRefused: the one that was named is not there.
        PreflightRefused: nothing is set up, it cannot be run, or its Python is too old.
    """
    if named is not None and "/" not in named and (found := shutil.which(named)):
        named = found
    path = default_cooperbench(root)
    if named is not None:
        # Not resolved: a link in an environment's bin folder must stay in that environment.
        path = absolute(root, named)
    remedy = "make an environment for it with 'coopdeck setup', or name another with --cooperbench"
    if not os.path.isfile(path):  # noqa: PTH113 - a name too long for the file system is that of no file
        refused = UsageRefused if named is not None else PreflightRefused
        raise refused(f"there is no cooperbench at {path}; {remedy}")
    if not os.access(path, os.X_OK):
        raise PreflightRefused(f"{path} may not be executed; make it executable, or name another with --cooperbench")
    python = interpreter(path)
    if python is not None:
        version = _version(python, path)
        if version < NEEDS:
            has, needs = ".".join(map(str, version)), ".".join(map(str, NEEDS))
            raise PreflightRefused(f"cooperbench needs Python {needs} or newer, and {path} runs on {has}; {remedy}")
    return path


def warm_python(path: Path) -> str:
    """The Python that runs upstream's own `main` when this program is started.

    Raises:
        CannotImport: it is a program of another kind, and only starting it tells what it does.
    """
    try:
        script = path.read_bytes()[:_FIRST_BYTES].decode("utf-8", "replace")
        python = interpreter(path)
    except OSError as error:
        raise CannotImport(f"{path} cannot be read: {error.strerror}") from None
    if python is None or not _CONSOLE_SCRIPT.search(script):
        raise CannotImport(f"the program is not the script that pip makes for cooperbench: {path}")
    return python


def interpreter(path: Path) -> str | None:
    """The Python that the script names in its first lines; None for a program of another kind."""
    with path.open("rb") as file:
        lines = file.read(_FIRST_BYTES).decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].startswith("#!"):
        return None
    words = lines[0][2:].split()
    if len(words) >= 2 and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    if words and Path(words[0]).name.startswith(("python", "pypy")):
        return words[0]
    # pip writes this for an interpreter whose path is too long for a first line, or has a space in it.
    trampoline = re.match(r"""'''exec' (?:"([^"]+)"|(\S+))""", lines[1]) if len(lines) > 1 else None
    return (trampoline[1] or trampoline[2]) if trampoline else None


def _version(interpreter: str, path: Path) -> tuple[int, int]:
    try:
        told = subprocess.run(
            [interpreter, "-S", "-E", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        major, minor = told.stdout.strip().split(".")
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise PreflightRefused(
            f"the Python that {path} names, {interpreter}, does not run; run coopdeck setup to make it anew"
        ) from None
