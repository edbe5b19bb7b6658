"""The log pane in a real terminal (120x40): opening 1 GB, following, one line of 100 MB; beside Textual's own widgets.

The dashboard is the real one, over a run's folder of files alone; its memory and CPU are read by its pid from outside.
"""

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.pty_program import PtyProgram

pytestmark = pytest.mark.bench

SIZE = (120, 40)
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests/data/sample_logs/sample/solo/toy_task/1/f1_f2"
LINE = b"[05:10:44] agent1 $ pytest -q tests/test_options.py::test_number_%08d \x1b[32mPASSED\x1b[0m in 0.01s\n"
FOLLOW_S, KEYS = 6.0, 60
STOCK = """
import sys, threading
from textual.app import App
from textual.widgets import Log, RichLog
kind, path = sys.argv[1:]
class Stock(App):
    def compose(self):
        yield Log() if kind == "Log" else RichLog()
    def on_mount(self):
        self.file = open(path, errors="replace")
        self.set_interval(1 / 10, self.more)
    def more(self):
        for line in self.file:
            widget = self.query_one(kind)
            widget.write_line(line.rstrip()) if kind == "Log" else widget.write(line.rstrip())
Stock().run()
"""


class Watched:
    """A dashboard with the log in full screen."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.terminal = PtyProgram([sys.executable, "-P", *argv], folder, SIZE, {"PYTHONPATH": str(ROOT)})
        self.process = psutil.Process(self.terminal.pid)

    @property
    def rss_mb(self) -> float:
        return self.process.memory_info().rss / 2**20

    @property
    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.terminal.read(0.02)

    def key_ms(self, key: str, true: Callable[[str], bool], seconds: float = 120) -> float:
        """From the key to a screen that shows what it did."""
        began = time.perf_counter()
        self.terminal.press(key)
        self.terminal.until(true, f"the effect of {key!r}", seconds)
        return (time.perf_counter() - began) * 1000


@contextmanager
def opened(tmp_path: Path, log: Path) -> Iterator[Watched]:
    pair = tmp_path / "run/solo/toy_task/1/f1_f2"
    if not pair.exists():
        shutil.copytree(SAMPLE, pair)
    (pair / "output.log").unlink(missing_ok=True)
    (pair / "output.log").hardlink_to(log)
    watched = Watched(tmp_path, "-m", "runner.cli", "open", "run")
    try:
        watched.terminal.shows("NO RUNNER")
        yield watched
    finally:
        watched.terminal.press("\x1b")
        watched.terminal.settle(0.3)
        watched.terminal.press("d")
        watched.terminal.end()


@contextmanager
def growing(path: Path, rate: int) -> Iterator[None]:
    """So many lines a second, in twenty writes."""
    over = threading.Event()

    def write() -> None:
        number = 0
        began = time.monotonic()
        with path.open("ab", buffering=0) as out:
            while not over.wait(0.05):
                due = int((time.monotonic() - began) * rate)
                out.write(b"".join(LINE % at for at in range(number, due)))
                number = due

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def shows(*words: str) -> Callable[[str], bool]:
    return lambda screen: all(word in screen for word in words)


def keys(watched: Watched) -> tuple[float, float]:
    """p50 and p99 of switching between the log and the tries: the rule says at once which one is shown."""
    times = []
    for number in range(KEYS):
        key, word = ("5", "feature2 failed") if number % 2 == 0 else ("1", "")
        there = (
            (lambda screen: "feature2 failed" in screen) if word else (lambda screen: "feature2 failed" not in screen)
        )
        times.append(watched.key_ms(key, there))
        watched.rest(0.02)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.99) - 1]


@pytest.fixture(scope="module")
def gigabyte(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("big") / "output.log"
    with path.open("wb") as out:
        for start in range(0, 1_000_000_000 // (len(LINE % 0) * 100_000) + 1):
            out.write(b"".join(LINE % (start * 100_000 + number) for number in range(100_000)))
    yield path
    path.unlink()


def row(name: str, *values: str) -> str:
    return f"{name:<46}" + "".join(f"{value:>16}" for value in values)


def test_opening_a_gigabyte(tmp_path: Path, gigabyte: Path) -> None:
    """Beside the same with an empty log: what the file itself costs is the difference."""
    empty = tmp_path / "empty.log"
    empty.write_bytes(b"[05:10:39] the only line\n")
    told: dict[str, list[str]] = {}

    def tell(what: str, value: str) -> None:
        told.setdefault(what, []).append(value)

    for log in (empty, gigabyte):
        last = "the only line" if log is empty else f"{log.stat().st_size // len(LINE % 0) - 1:08d}"
        with opened(tmp_path, log) as watched:
            base = watched.rss_mb
            paint = watched.key_ms("\r", shows(last, "esc back"))
            tell("key to first paint of its end", f"{paint:.0f} ms")
            tell("memory by then", f"{watched.rss_mb - base:+.1f} MB")
            median, worst = keys(watched)
            tell("key to paint meanwhile, p50 / p99", f"{median:.0f} / {worst:.0f} ms")
            counted = watched.key_ms("g", lambda screen: "line 1/" in screen)
            tell("first line and all counted, after g", f"{counted / 1000:.1f} s")
            tell("memory with the whole index", f"{watched.rss_mb - base:+.1f} MB")
            watched.key_ms("/", lambda screen: "search /" in screen)
            searched = watched.key_ms("no such thing\r", lambda screen: "is not in this log" in screen)
            tell("search through all of it", f"{searched / 1000:.1f} s")
    print("\n" + row("opening the log, 120x40 pty", "1 line", "1 GB"))
    print("\n".join(row(what, *values) for what, values in told.items()))


def follow(watched: Watched) -> tuple[str, ...]:
    watched.rest(1)
    cpu, rss, written, began = watched.cpu_s, watched.rss_mb, len(watched.terminal.written), time.monotonic()
    watched.rest(FOLLOW_S)
    took = time.monotonic() - began
    sent = (len(watched.terminal.written) - written) / took / 1000
    return f"{100 * (watched.cpu_s - cpu) / took:.1f}%", f"{sent:.1f} KB/s", f"{watched.rss_mb - rss:+.1f} MB"


def test_following(tmp_path: Path) -> None:
    print(
        "\n" + row(f"following for {FOLLOW_S:.0f} s, 120x40 pty", "CPU", "to the terminal", "memory", "keys p50 / p99")
    )
    for rate in (1_000, 10_000):
        log = tmp_path / f"{rate}.log"
        log.write_bytes(LINE % 0)
        with opened(tmp_path, log) as watched, growing(log, rate):
            watched.key_ms("\r", lambda screen: "esc back" in screen and "follow" in screen)
            told = follow(watched)
            median, worst = keys(watched)
            print(row(f"coopdeck, {rate:,} lines/s", *told, f"{median:.0f} / {worst:.0f} ms"))
    for kind in ("Log", "RichLog"):
        log = tmp_path / f"{kind}.log"
        log.write_bytes(LINE % 0)
        with growing(log, 1_000):
            stock = Watched(tmp_path, "-c", STOCK, kind, str(log))
            stock.terminal.shows("test_number_")
            told = follow(stock)
            os.kill(stock.terminal.pid, 9)
            stock.terminal.end()
        print(row(f"Textual's {kind}, 1,000 lines/s", *told, "-"))


def test_one_line_of_100_mb(tmp_path: Path) -> None:
    log = tmp_path / "line.log"
    with log.open("wb") as out:
        out.write(b"first line\n")
        for _ in range(100):
            out.write(b"0123456789abcdef" * 65_536)
        out.write(b"\nlast line\n")
    with opened(tmp_path, log) as watched:
        base = watched.rss_mb
        painted = watched.key_ms("\r", lambda screen: "last line" in screen and "esc back" in screen)
        watched.terminal.press("g")
        watched.terminal.until(lambda screen: "first line" in screen and "/3" in screen, "all of it", 60)
        moved = watched.key_ms("j", lambda screen: "first line" not in screen or "line 1/3" in screen)
        median, worst = keys(watched)
        rows = {
            "key to first paint": f"{painted:.0f} ms", "memory": f"{watched.rss_mb - base:+.1f} MB",
            "a line down": f"{moved:.0f} ms", "key to paint, p50 / p99": f"{median:.0f} / {worst:.0f} ms",
        }  # fmt: skip
        print("\n" + row("one line of 100 MB, 120x40 pty", "measured"))
        print("\n".join(row(what, value) for what, value in rows.items()))


def test_a_megabyte_of_hostile_output_takes_linear_time() -> None:
    program = (
        "import sys, time; from tests.hostile import corpus; from tui.sanitise import styled, clean; "
        "data = corpus(); times = []\n"
        "for size in (250_000, 1_000_000):\n"
        "    lines = (data * (size // len(data) + 1))[:size].decode('utf-8', 'replace').split(chr(10))\n"
        "    best = 9e9\n"
        "    for _ in range(3):\n"
        "        start = time.perf_counter(); [styled(line) for line in lines]; [clean(line) for line in lines]\n"
        "        best = min(best, time.perf_counter() - start)\n"
        "    times.append(best)\n"
        "print(*times)"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    small, large = map(float, ran.stdout.split())
    print(
        "\n" + row("hostile output, both functions", "0.25 MB", "1 MB", "ratio")
        + "\n" + row("seconds", f"{small:.3f}", f"{large:.3f}", f"{large / small:.2f}") + "   linear: 4"
    )  # fmt: skip
