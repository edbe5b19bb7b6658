"""`coopdeck` in a folder where nothing is set up: what is missing, quickly looked at, and a screen that does it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

from runner.adapters.containers import docker_program
from runner.adapters.dataset import missing_texts, read_dataset
from runner.adapters.dotenv_file import project_environment
from runner.adapters.environment import Environment
from runner.adapters.places import Places, absolute
from runner.commands.defaults import PREFIX, run_settings
from runner.model.hidden import plain
from runner.model.refusal import UsageRefused

DOCKER_S = 5.0
END_S = 10.0
COOPDECK = (sys.executable, "-P", "-m", "runner.cli")
_KEY = r"[A-Z0-9_]+_API_KEY|AWS_ACCESS_KEY_ID|GOOGLE_APPLICATION_CREDENTIALS"


def nothing_set_up(root: Path) -> bool:
    """Neither a sweep of this project nor a cooperbench."""
    return not Places(root).sweeps() and not _cooperbench(root, os.environ)[1]


def execute(root: Path) -> int:
    """The screen; without a terminal the same as lines."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        for name, there, says in looked_at(root, os.environ):
            print(plain(f"{'there' if there else 'missing':8} {name:13} {says}"))
        print("coopdeck setup makes what is missing, coopdeck doctor looks closer, coopdeck demo rehearses a sweep")
        return 0
    from runner.commands.dashboard import show_first

    if show_first(lambda: anyio.to_thread.run_sync(looked_at, root, os.environ), SetUp(root), root):
        os.execv(sys.executable, [*COOPDECK, "demo"])  # noqa: S606 - our own program takes our place
    return 0


def looked_at(root: Path, environ: Mapping[str, str]) -> list[tuple[str, bool, str]]:
    """Name, whether it is there, and a few words, of all that a sweep needs; only what is quickly seen."""
    return [
        _cooperbench(root, environ),
        _dataset(root, environ),
        _docker(project_environment(root)),
        _key(root, environ),
    ]


def _cooperbench(root: Path, environ: Mapping[str, str]) -> tuple[str, bool, str]:
    if named := _setting(root, environ, "cooperbench"):
        program = absolute(root, named)
        return "cooperbench", os.access(program, os.X_OK), str(program)
    environment = Environment(Places(root).state)
    there = environment.read()
    if there is None:
        return "cooperbench", False, f"no environment for it in {environment.link.relative_to(root.resolve())} yet"
    return "cooperbench", True, f"{there.editable or there.version}, on Python {there.python}"


def _dataset(root: Path, environ: Mapping[str, str]) -> tuple[str, bool, str]:
    try:
        named = _setting(root, environ, "dataset_dir")
        folder = absolute(root, named or "dataset")
        missing = missing_texts(folder, read_dataset(folder if named else None))
    except UsageRefused as refused:
        return "dataset", False, str(refused)
    if not folder.is_dir():
        return "dataset", False, f"nothing in {folder} yet"
    return "dataset", not missing, f"{len(missing)} files are missing in {folder}" if missing else str(folder)


def _setting(root: Path, environ: Mapping[str, str], name: str) -> str:
    """As `run` has it, without flags; empty where nobody gave one."""
    with suppress(UsageRefused):
        return str(environ.get(PREFIX + name.upper()) or run_settings(root).get(name, ""))
    return ""


def _docker(environ: Mapping[str, str]) -> tuple[str, bool, str]:
    program = docker_program(environ)
    if shutil.which(program, path=environ.get("PATH")) is None:
        return "docker", False, f"no {program} program in PATH; install Docker"
    try:
        asked = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"], env=environ,
            capture_output=True, text=True, timeout=DOCKER_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "docker", False, f"no answer within {DOCKER_S:g} s"
    if asked.returncode != 0:
        return "docker", False, (asked.stderr.strip().splitlines() or ["no answer"])[-1]
    return "docker", True, f"Engine {asked.stdout.strip()} answers"


def _key(root: Path, environ: Mapping[str, str]) -> tuple[str, bool, str]:
    """Of whichever provider: nobody has named a model yet."""
    names = [name for name, value in environ.items() if value and re.fullmatch(_KEY, name)]
    if names:
        return "key", True, f"{names[0]} in the environment"
    with suppress(OSError):
        text = (root / ".env").read_text(errors="replace")
        if found := re.search(rf"^[ \t]*(?:export[ \t]+)?({_KEY})[ \t]*=[ \t]*[^\s#]", text, re.MULTILINE):
            return "key", True, f"{found[1]} in .env"
    return "key", False, "no ..._API_KEY in the environment, nor in .env"


class SetUp:
    """Runs `coopdeck setup`, its lines in a file."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.log = Places(root).state / "setup.log"

    async def __call__(self) -> int:
        """The exit status; who cancels this ends it.

        Raises:
            OSError: it cannot be started.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        async with await anyio.open_file(self.log, "wb") as log:
            # A session of its own: a ctrl+c that the terminal sends while the screen is torn down is not for it.
            process = await anyio.open_process(
                [*COOPDECK, "setup"],
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=log.wrapped,
                stderr=log.wrapped,
                start_new_session=True,
            )
        try:
            return await process.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                with anyio.move_on_after(END_S):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            raise
