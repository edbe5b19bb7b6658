"""How pulls are shown: bars in a terminal, a line for a change without one, or JSON."""

import json
import shutil
import sys
import time
from dataclasses import asdict
from textwrap import wrap

import anyio

from runner.adapters.images import WAITS
from runner.model.hidden import plain
from runner.model.sizes import size
from runner.model.supplies import Supply, short_image

DRAW_S = 0.25
LINE_S = 10.0
"""Between two lines about one image, without a terminal."""
NAME = 28
INDENT = "    "


class Show:
    """What is told of each image; the last word counts."""

    def __init__(self, images: int, here: int, *, as_json: bool) -> None:
        self._images = images
        self._here = here
        self._json = as_json
        self._bars = not as_json and sys.stdout.isatty()
        self._now: dict[str, Supply] = {}
        self._fetched: dict[str, int] = {}
        self._said: dict[str, tuple[tuple[str, str], float]] = {}
        self._drawn = 0
        self._full, self._rest = ("█", "·") if (sys.stdout.encoding or "").lower().startswith("utf") else ("#", ".")

    def say(self, line: str) -> None:
        """A line of its own; not in JSON, where nobody reads it."""
        if not self._json:
            print(plain(line), flush=True)

    async def told(self, supply: Supply) -> None:
        self._now[supply.name] = supply
        self._fetched[supply.name] = max(supply.done_bytes, self._fetched.get(supply.name, 0))
        if self._json:
            self._print_json(supply)
        elif not self._bars:
            self._print_line(supply)

    async def draw_for_ever(self) -> None:
        while self._bars:
            self._draw()
            await anyio.sleep(DRAW_S)

    def end(self) -> None:
        """What is on the screen stays there, whole."""
        if self._bars:
            self._draw()
            self._drawn = 0

    def _print_json(self, supply: Supply) -> None:
        if self._worth(supply, 1.0):
            print(json.dumps({"type": "supply", **asdict(supply)}), flush=True)

    def _print_line(self, supply: Supply) -> None:
        if self._worth(supply, LINE_S):
            print(plain(f"{time.strftime('%H:%M:%S')} {_line(supply)}"), flush=True)

    def _worth(self, supply: Supply, every_s: float) -> bool:
        before, at = self._said.get(supply.name, (("", ""), float("-inf")))
        # Not the layers, which stand behind a comma.
        state, now = (supply.state, supply.says.partition(",")[0]), time.monotonic()
        if state == before and now - at < every_s:
            return False
        self._said[supply.name] = (state, now)
        return True

    def _draw(self) -> None:
        width, height = shutil.get_terminal_size((80, 24))
        lines = [line for supply in self._now.values() if _moves(supply) for line in self._lines(supply, width - 1)]
        shown = lines[: max(1, height - 2)]
        arrived = sum(supply.state == "there" for supply in self._now.values())
        failed = sum(supply.state == "failed" for supply in self._now.values())
        waiting = sum(not _moves(supply) for supply in self._now.values()) - arrived - failed
        done = sum(self._fetched.values())
        foot = f"{self._here + arrived} of {self._images} here, {waiting} wait, {failed} failed, {size(done)} fetched"
        up = f"\x1b[{self._drawn}A\r\x1b[J" if self._drawn else ""
        sys.stdout.write(up + "".join(f"{plain(line)[: width - 1]}\n" for line in [*shown, foot]))
        sys.stdout.flush()
        self._drawn = len(shown) + 1

    def _lines(self, supply: Supply, width: int) -> list[str]:
        """A bar and a word beside it; what is longer than a word stands below, whole."""
        bar, says = self._bar(supply, width), supply.says.removeprefix("pulling, ")
        if len(bar) + 2 + len(says) <= width:
            return [f"{bar}  {says}"]
        return [bar, *wrap(says, width, initial_indent=INDENT, subsequent_indent=INDENT)]

    def _bar(self, supply: Supply, width: int) -> str:
        name = short_image(supply.name)[:NAME]
        percent = supply.percent
        cells = max(6, min(24, width - NAME - 44))
        full = 0 if percent is None else percent * cells // 100
        bar = self._full * full + self._rest * (cells - full)
        number = f"{percent:3}%" if percent is not None else "   -"
        bytes_ = f"{size(supply.done_bytes)}/{size(supply.total_bytes)}" if supply.total_bytes else ""
        return f"{name:{NAME}} {bar} {number} {bytes_:>15}"


def _moves(supply: Supply) -> bool:
    return supply.state in {"getting", "down"} and supply.says != WAITS


def _line(supply: Supply) -> str:
    says = supply.says or {"there": "here", "getting": "on its way"}.get(supply.state, supply.state)
    percent = (
        f" {supply.percent}% of {size(supply.total_bytes)}" if supply.state == "getting" and supply.percent else ""
    )
    return f"{short_image(supply.name)}: {says}{percent}"


def age(seconds: float) -> str:
    """`3 h`, `34 d`."""
    if seconds < 2 * 86400:
        return f"{max(0.0, seconds) / 3600:.0f} h"
    return f"{seconds / 86400:.0f} d"
