"""How `coopdeck setup` tells what it does: a line that moves, plain lines, or JSON."""

import json
import os
import shutil
import sys
import time
from typing import Literal

from runner.model.hidden import plain

WIDTH = 14
_SPIN = "|/-\\"

State = Literal["there", "done", "failed"]


class Report:
    """One step at a time. In a terminal a step that takes long is one line that is drawn again."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._live = not as_json and sys.stdout.isatty() and os.environ.get("TERM") not in {None, "dumb"}
        self._step = self._doing = ""
        self._began = self._drawn = time.monotonic()
        self._turn = 0

    @property
    def step(self) -> str:
        return self._step

    def begin(self, step: str, doing: str, *, spoken: bool = True) -> None:
        """A step begins."""
        self._step, self._began = step, time.monotonic()
        self.doing(doing, spoken=spoken)

    def doing(self, text: str, *, spoken: bool = False) -> None:
        """What it does now; without a terminal only what is `spoken` is printed."""
        self._doing = text
        if self._live:
            self.tick()
        elif spoken and not self._json:
            print(plain(f"{self._step:{WIDTH}} {text} ..."), flush=True)

    def progress(self, line: str) -> None:
        """A line that a program wrote meanwhile."""
        if not (self._live or self._json):
            print(plain(f"{'':{WIDTH}} {line.strip()}"), flush=True)

    def tick(self) -> None:
        """Time has passed."""
        if not self._live:
            return
        self._turn += 1
        seconds = f" {time.monotonic() - self._began:.0f}s"
        width = shutil.get_terminal_size().columns - 1
        text = plain(f"{self._step:{WIDTH}} {_SPIN[self._turn % len(_SPIN)]} {self._doing}")
        sys.stdout.write(f"\r\x1b[K{text[: width - len(seconds)]}{seconds}")
        sys.stdout.flush()

    def end(self, step: str, state: State, says: str) -> None:
        """The step is over; `says` tells what was there, or what was done."""
        seconds = time.monotonic() - self._began if step == self._step else 0.0
        self._clear()
        if self._json:
            shape = {"type": "step", "step": step, "state": state, "says": says, "seconds": round(seconds, 1)}
            print(json.dumps(shape), flush=True)
        elif state != "failed":  # a failure is the last sentence of the whole call
            took = f" ({seconds:.0f} s)" if state == "done" and seconds >= 1 else ""
            print(plain(f"{step:{WIDTH}} {'there already: ' if state == 'there' else ''}{says}{took}"), flush=True)
        self._step = ""

    def say(self, text: str) -> None:
        """A line that belongs to no step."""
        self._clear()
        if not self._json:
            print(plain(text), flush=True)

    def close(self) -> None:
        """Nothing more comes; the line that moved is gone."""
        self._clear()

    def _clear(self) -> None:
        if self._live:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
