"""Numbers as people read them: money, durations, bars."""

import re
from collections.abc import Sequence

from runner.model.rows import AgentRow
from styles.themes import Tone
from tui.glyphs import Glyphs
from tui.text import Line, Span

_SHORT = {"starting": "start", "waiting": "wait", "retrying": "retry", "ended": "end", "unseen": "?"}


def clock(seconds: float) -> str:
    """`06:12`, `1:02:03`, `4d 02:03`."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    if days:
        return f"{days}d {hours:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def tight_clock(seconds: float) -> str:
    """In at most five characters: `06:12`, `1h02m`, `12.1h`, `5d`."""
    whole = max(0, int(seconds))
    if whole < 3600:
        return clock(whole)
    if whole < 36_000:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 360 / 10:.1f}h" if whole < 360_000 else f"{whole // 86_400}d"


def about(seconds: float) -> str:
    """Roughly: `45s`, `38m`, `2h10m`, `3d4h`."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole}s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours < 48 else f"{hours // 24}d{hours % 24}h"


def brief_span(seconds: float) -> str:
    """In at most four characters: `45s`, `38m`, `12h`, `3d`."""
    whole = max(0, int(seconds))
    for size, unit in ((86_400 * 2, 86_400), (6000, 3600), (100, 60)):
        if whole >= size:
            return f"{whole // unit}{'d' if unit == 86_400 else 'h' if unit == 3600 else 'm'}"
    return f"{whole}s"


def money(usd: float, *, fine: bool = False) -> str:
    """Dollars and cents; `fine` shows a job's tenths of a cent."""
    return f"${usd:,.3f}" if fine and usd < 100 else f"${usd:,.2f}"


def cost(usd: float, unknown: int, *, fine: bool = False) -> str:
    """What is known, and a mark for what is not: unknown is never shown as 0."""
    if not unknown:
        return money(usd, fine=fine)
    return f"{money(usd, fine=fine)}+?" if usd else "$?"


def rate(usd_per_hour: float) -> str:
    return f"${usd_per_hour:,.1f}/h" if usd_per_hour < 1000 else f"${usd_per_hour:,.0f}/h"


def agents_line(agents: Sequence[AgentRow]) -> str:
    """`a1 exec a2 llm`; an agent that works alone needs no name."""
    if len(agents) == 1:
        return agents[0].doing
    return " ".join(f"{short_agent(agent.agent)} {_SHORT.get(agent.doing, agent.doing)}" for agent in agents)


def short_agent(name: str) -> str:
    match = re.fullmatch(r"agent[_-]?(\d+)", name)
    return f"a{match[1]}" if match else name[:8]


def bar(parts: Sequence[tuple[int, str, Tone]], whole: int, width: int, glyphs: Glyphs) -> Line:
    """Parts (number, character, tone) of a whole; none that is there is too small to see."""
    spans: list[Span] = []
    used, seen = 0, 0
    there = [part for part in parts if part[0]]
    for index, (number, character, tone) in enumerate(there):
        seen += number
        exact = width * seen / max(whole, 1)
        end = min(max(int(exact), used + 1), width - (len(there) - index - 1))
        if end <= used:
            continue
        spans.append(Span(character * (end - used), tone))
        used = end
        eighth = int((exact - used) * 8)
        last = index == len(there) - 1
        if last and character == glyphs.done and glyphs.eighths and eighth > 0 and used < width:
            spans.append(Span(glyphs.eighths[eighth - 1], tone))
            used += 1
    if used < width:
        spans.append(Span(glyphs.rest * (width - used), "faint"))
    return tuple(spans)
