"""Pure presentation of a job's agents, each in a line: what it does and for how long, and what it has taken."""

from runner.model.prices import NO_TOKENS, Tokens
from runner.model.rows import AgentRow, AttemptRow, JobRow
from runner.model.summary import count
from styles.themes import Tone
from tui.format import brief_span, money
from tui.glyphs import Glyphs
from tui.sanitise import clean
from tui.text import Line, Span, clip, join, spread, width_of

ROOMY = 110


def agent_lines(row: JobRow, now: float, speed: float, glyphs: Glyphs, width: int | None = None) -> list[Line]:
    """A line for every agent of the attempt under way: of exactly `width` cells, or as long as need be."""
    name = min(max((len(agent.agent) for agent in row.agents), default=0), 12)
    return [_line(agent, name, now, speed, glyphs, width) for agent in row.agents]


def _line(agent: AgentRow, name: int, now: float, speed: float, glyphs: Glyphs, width: int | None) -> Line:
    def said(text: str) -> str:
        return clean(text, ascii_only=glyphs.ascii_only)

    doing, tone = _doing(agent, max(0.0, now - agent.since) * speed)
    idle = max(0.0, now - agent.seen_at) * speed
    cost = "$?" if agent.cost_usd is None else money(agent.cost_usd, fine=True)
    tokens = tokens_words(agent.tokens)
    if width is not None and width < ROOMY and tokens:
        tokens = f"{count(agent.tokens.input + agent.tokens.output)} tokens"
    who, does = Span(f"{said(agent.agent):{name}.{name}} ", "strong"), Span(said(doing), tone)
    figures: list[Line] = [
        (Span(f"{agent.steps:>3} steps"),),
        (Span(f"{cost}{'*' if agent.own_prices else ''}"),),
        (Span(tokens, "muted"),) if tokens else (),
        (Span(f"idle {brief_span(idle):>4}" if agent.doing != "ended" else " " * 9, "muted"),),
    ]
    if width is None:
        return (who, *join([*figures, (does,)]))
    right = join(figures)
    return spread(clip((who, does), width - width_of(right) - 1, more=glyphs.more), right, width)


def _doing(agent: AgentRow, seconds: float) -> tuple[str, Tone]:
    since = brief_span(seconds)
    if agent.retry is not None and agent.doing in {"llm", "retrying"}:
        retry = agent.retry
        of = f"/{retry.of}" if retry.of else ""
        wait = f", waits {retry.wait_s:.0f}s" if agent.doing == "retrying" else ""
        return f"retry {retry.number}{of} {retry.failure}{wait}", "warn"
    match agent.doing:
        case "exec":
            return f"exec {since}: {agent.command}" if agent.command else f"exec {since}", "text"
        case "waiting":
            return f"waits for {agent.peer or 'a colleague'} {since}", "text"
        case "unseen":
            return "no live data", "muted"
        case "ended":
            return "ended", "muted"
        case _:
            return f"{agent.doing} {since}", "text"


def tokens_words(tokens: Tokens) -> str:
    """`1.20M in (500k cached) 3.4k out`; empty where nobody counted."""
    if tokens == NO_TOKENS:
        return ""
    cached = f" ({count(tokens.cached)} cached)" if tokens.cached else ""
    return f"{count(tokens.input)} in{cached} {count(tokens.output)} out"


def container_words(attempt: AttemptRow) -> str:
    """Every container's id and name, and whose it was."""
    return "containers " + ", ".join(f"{one.container} {one.name} ({one.agent})" for one in attempt.containers)
