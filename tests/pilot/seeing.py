"""What is on the screen, and waiting for it however slow the machine is."""

import time
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot

MOST_S = 40.0
LOOK_S = 0.03
CALM_S, CALM_LOOKS = 0.11, 2


def drawn(app: App[Any]) -> str:
    """The screen as text."""
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())[: (width + 1) * height * 2]


async def until(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Wait for something that comes by itself."""
    deadline = time.monotonic() + MOST_S
    while not true():
        assert time.monotonic() < deadline, f"it did not come to that:\n{drawn(pilot.app)}"
        await pilot.pause(LOOK_S)


async def shows(pilot: Pilot[Any], *words: str) -> str:
    """Wait until all of the words are on the screen at once; the screen."""
    await until(pilot, lambda: all(word in drawn(pilot.app) for word in words))
    return drawn(pilot.app)


async def calm(pilot: Pilot[Any]) -> None:
    """Wait until it shows the same at several looks, each longer than anything here waits: what was due has come."""
    deadline = time.monotonic() + MOST_S
    shown, same = "", 0
    while same < CALM_LOOKS and time.monotonic() < deadline:
        await pilot.pause(CALM_S)
        now = drawn(pilot.app)
        same, shown = (same + 1, shown) if now == shown else (0, now)
