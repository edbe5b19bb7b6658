"""Attach: from the start of the process to the whole board painted, beside an empty Textual app in the same run."""

import os
import pty
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyte
import pytest

pytestmark = pytest.mark.bench

COLUMNS, ROWS, ROUNDS = 120, 40, 10
EMPTY = "from textual.app import App\nfrom textual.widgets import Label\n" \
        "class E(App):\n    def compose(self):\n        yield Label('all is painted')\nE().run()"  # fmt: skip


def painted_after(argv: list[str], folder: Path, *words: str) -> float:
    """Seconds until all words stand on the terminal's screen; the program is killed then."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    start = time.perf_counter()
    if pid == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
        # An installed program is compiled once; where this is set, every start would be measured compiling again.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.execv(argv[0], argv)
    try:
        while True:
            ready, _, _ = select.select([terminal], [], [], 30)
            assert ready, "\n".join(screen.display)
            stream.feed(os.read(terminal, 65536))
            shown = "\n".join(screen.display)
            if all(word in shown for word in words):
                return time.perf_counter() - start
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_attach_to_a_running_sweep_of_300_jobs(tmp_path: Path) -> None:
    coopdeck = [sys.executable, "-P", "-m", "runner.cli"]
    started = [*coopdeck, "run", "b", "--rehearse", "--speed", "1", "--subset", "lite", "--detach"]
    subprocess.run(started, cwd=tmp_path, check=True, capture_output=True)
    try:
        attach, empty = [], []
        painted_after([*coopdeck, "attach", "b"], tmp_path, "REHEARSAL x1")
        for _ in range(ROUNDS):
            attach.append(
                painted_after([*coopdeck, "attach", "b"], tmp_path, "REHEARSAL x1", "4 running", "pairs 1/300")
            )
            empty.append(painted_after([sys.executable, "-c", EMPTY], tmp_path, "all is painted"))
    finally:
        subprocess.run([*coopdeck, "stop", "b", "--now"], cwd=tmp_path, check=True, capture_output=True)
    ours, theirs = statistics.median(attach), statistics.median(empty)
    print(
        f"\n{'process start to everything painted, ms':<44} {'median':>8} {'worst':>8}\n"
        f"{'coopdeck attach, 300 jobs':<44} {ours * 1000:>8.0f} {max(attach) * 1000:>8.0f}   aim: under 500\n"
        f"{'an empty Textual app':<44} {theirs * 1000:>8.0f} {max(empty) * 1000:>8.0f}\n"
        f"{'ratio':<44} {ours / theirs:>8.2f}"
    )
