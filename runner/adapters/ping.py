"""Asking the models as the agents will: by the Python of cooperbench, with its litellm, in the agents' environment."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner import ping
from runner.adapters.program import interpreter

SCRIPT = Path(ping.__file__).with_name("coopdeck_ping.py")
ANSWER_S = 30.0
"""For a model to answer; an agent waits longer, but a model that needs this long for a word is no good for a sweep."""
LOAD_S = 120.0
"""For litellm to be imported: 3 s of CPU, and minutes the first time on a cold disk."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which models, and how the agents would ask them."""

    models: tuple[str, ...]
    agent: str
    agent_config: str | None
    ping: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What the program's Python said: of itself, and a set of facts for each model (see `runner/ping`)."""

    python: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[Mapping[str, Any], ...] = ()
    trouble: str = ""
    """Why it did not say all; the last line of its complaints."""


def program_python(program: Path) -> str | None:
    """The Python that runs the program: the one its first line names, or its environment's; else None."""
    named = interpreter(program)
    beside = program.parent / "python"
    if named is None and (program.parent.parent / "pyvenv.cfg").is_file() and beside.is_file():
        return str(beside)
    return named


def ask_models(program: Path, asked: Asked, environment: Mapping[str, str], folder: Path) -> Told:
    """Run the script and wait for it; without models it only says which Python and cooperbench these are.

    With a program that is no Python script, our own Python asks: its litellm is as good a guess as any.
    """
    python = program_python(program) or sys.executable
    order = {
        "models": asked.models, "agent": asked.agent, "agent_config": asked.agent_config, "ping": asked.ping,
        "timeout_s": ANSWER_S,
    }  # fmt: skip
    try:
        done = subprocess.run(
            [python, "-P", str(SCRIPT)],
            input=json.dumps(order),
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LOAD_S + (ANSWER_S if asked.ping and asked.models else 0.0),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return _told(late.stdout, f"it was not ready within {late.timeout:g} s")
    except OSError as error:
        return Told(trouble=f"{python}: {error.strerror}")
    complaints = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return _told(done.stdout, (complaints or ["it says nothing"])[-1] if done.returncode else "")


def _told(out: str | bytes | None, trouble: str) -> Told:
    text = out.decode(errors="replace") if isinstance(out, bytes) else out or ""
    lines: list[dict[str, Any]] = []
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            lines.append(said)
    python = next((line for line in lines if line.get("type") == "python"), {})
    return Told(python, tuple(line for line in lines if line.get("type") == "model"), trouble)
