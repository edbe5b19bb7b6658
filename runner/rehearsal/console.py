"""Console output that resembles upstream's, one flushed line at a time."""

from __future__ import annotations

import sys

WIDTH = 80


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def log(name: str, level: str, text: str) -> None:
    """A line of upstream's rich log handler: wrapped and padded to 80 columns."""
    line = ""
    for word in f"{name}: {level}: {text}".split(" "):
        if line and len(line) + 1 + len(word) > WIDTH:
            say(line.ljust(WIDTH))
            line = word
        else:
            line = f"{line} {word}" if line else word
    say(line.ljust(WIDTH))


def header(*, name: str, setting: str, what: str, agent: str, model: str, messaging: bool, git: bool) -> None:
    tools = ", ".join(tool for tool, on in (("messaging", messaging), ("git", git)) if on)
    say()
    say(f"cooperbench {name} ({setting})")
    say(what)
    say(f"agent: {agent}")
    say(f"model: {model}")
    if setting != "solo":
        say(f"tools: {tools or 'none'}")
    say()


def table(rows: list[tuple[str, str, str, float, int, int]], total: float, duration: float) -> None:
    cells = [("agent", "feature", "status", "cost", "steps", "lines")]
    cells += [(a, f, s, f"${cost:.2f}", str(steps), str(lines)) for a, f, s, cost, steps, lines in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(6)]
    say()
    for row in cells:
        padded = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  " + "    ".join(padded) + "  ")
    say()
    say(f"total: ${total:.2f} time: {duration:.0f}s")


def summary(
    *,
    completed: int,
    skipped: int,
    cost: float,
    wall: float,
    agent_time: float,
    logs: str,
    evals: tuple[int, int, int] | None,
) -> None:
    say()
    say(f"runs:  {completed} completed" + (f", {skipped} skipped" if skipped else ""))
    if evals and sum(evals):
        counted = zip(evals, ("passed", "failed", "errors"), strict=True)
        parts = [f"{sum(evals)} evaluated", *(f"{count} {word}" for count, word in counted if count)]
        say(f"evals: {', '.join(parts)} ({evals[0] / sum(evals) * 100:.1f}%)")
    say(f"cost:  ${cost:.2f}")
    say(f"time:  {'~' if skipped else ''}{_clock(wall)} (agent: {_clock(agent_time)})")
    say()
    say(f"logs: {logs}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"
