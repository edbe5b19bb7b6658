"""A folder in which the rehearsal is started as a program, and what it leaves there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAIR = ("dspy_task", 8563, (2, 6))
SETTINGS = {"solo": ["solo"], "coop-comm": ["coop"], "coop-nocomm": ["coop", "--no-messaging"], "team": ["team"]}


class Stage:
    """Starts rehearsals that log below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"

    def start(
        self, *words: str, faults: list[dict[str, object]] | None = None, **environ: str
    ) -> subprocess.Popen[bytes]:
        config: dict[str, object] = {"speed": 1e5, "seed": 0}
        if faults is not None:
            plan = self.folder / f"plan-{os.urandom(4).hex()}.json"
            plan.write_text(json.dumps({"faults": faults}))
            config["faults"] = str(plan)
        return subprocess.Popen(
            [sys.executable, "-m", "runner.rehearsal", *words],
            cwd=ROOT,
            env={**os.environ, "COOPDECK_REHEARSAL": json.dumps(config), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def words(self, setting: str, *extra: str, name: str = "x", pair: tuple[str, int, Any] = PAIR) -> list[str]:
        repo, task, features = pair
        chosen = ["-r", repo, "-t", str(task), "-f", ",".join(map(str, features))]
        where = ["--log-dir", str(self.logs)]
        return ["run", "-n", name, "--setting", *SETTINGS[setting], *chosen, *where, "-m", "openai/gpt-4o", *extra]

    def run(
        self,
        setting: str,
        fault: dict[str, object] | None = None,
        *extra: str,
        status: int = 0,
        name: str = "x",
        pair: tuple[str, int, Any] = PAIR,
        environ: dict[str, str] | None = None,
    ) -> tuple[bytes, bytes]:
        words = self.words(setting, "--no-auto-eval", *extra, name=name, pair=pair)
        process = self.start(*words, faults=[fault] if fault else None, **environ or {})
        out, err = process.communicate(timeout=40)
        assert process.returncode == status, err.decode()
        return out, err

    def job(self, setting: str, name: str = "x", pair: tuple[str, int, Any] = PAIR) -> Path:
        repo, task, features = pair
        leaf = "_".join(f"f{feature}" for feature in sorted(features))
        return self.logs / name / SETTINGS[setting][0] / repo / str(task) / leaf

    def result(self, setting: str, name: str = "x", pair: tuple[str, int, Any] = PAIR) -> dict[str, Any]:
        return result_of(self.job(setting, name, pair))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def result_of(folder: Path) -> dict[str, Any]:
    return dict(read(folder / "result.json"))
