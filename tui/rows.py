"""Pure presentation of one job: its row in the pairs table, its head line, its tries."""

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import assert_never

from runner.model.outcome import Outcome
from runner.model.plan import STALL_S, JobSpec
from runner.model.reduce import AGAIN
from runner.model.rows import ACTIVE, AttemptRow, JobRow, JobState
from runner.model.stall import Stall, idle_s, no_live_data, stall_of
from runner.model.supplies import Supply
from styles.themes import Tone
from tui.agents import agent_lines, container_words, tokens_words
from tui.format import agents_line, brief_span, clock, cost, money, tight_clock
from tui.glyphs import Glyphs
from tui.sanitise import clean
from tui.text import Line, Span, clip, join, width_of

STATE_TONES: dict[JobState, Tone] = {
    "queued": "faint", "starting": "run", "running": "run", "delivering": "run", "retrying": "warn",
    "done": "ok", "failed": "error", "skipped": "muted", "cancelled": "muted",
}  # fmt: skip
_RUN: Tone = "run"
_RANKS: dict[JobState, int] = {
    "running": 0, "starting": 0, "delivering": 0, "failed": 1, "retrying": 2, "queued": 3,
    "done": 4, "skipped": 5, "cancelled": 5,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PairRow:
    """A row of the pairs table; `cells` and `tones` follow the columns of screens/sweep.py."""

    key: str
    place: int
    """Its number in the plan's order."""
    rank: int
    """What hangs, then by state: running, failed, retrying, queued, done."""
    cells: tuple[str, ...]
    tones: tuple[Tone, ...]
    since: float
    """When the attempt under way began; 0 without one."""
    seconds: float
    cost_usd: float
    steps: int
    find: str
    """What the filter looks in."""
    ticks: bool
    """The row looks different a second later."""
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class Eyes:
    """What presentation depends on besides the row."""

    now: float
    speed: float
    attempts: int
    glyphs: Glyphs
    lacks: Callable[[JobSpec], Supply | None] | None = None
    """What a job waits for; None where the sweep watches over nothing."""
    stall_s: float | None = STALL_S
    """None where nobody is there to tell of a job that comes on."""

    def stall(self, row: JobRow) -> Stall | None:
        return None if self.stall_s is None else stall_of(row, self.now, self.stall_s, self.speed)


def pair_row(row: JobRow, place: int, eyes: Eyes) -> PairRow:
    """One job as a row."""
    spec, state, glyphs = row.spec, row.state, eyes.glyphs
    seconds = seconds_of(row, eyes)
    active = state in ACTIVE
    waiting = state == "queued"
    stall, idle = eyes.stall(row), idle_s(row, eyes.now, eyes.speed)
    doing, tone = doing_of(row, eyes, stall)
    tried = len(row.attempts)
    pair = spec.pair.short if spec.repeat == 1 else f"{spec.pair.short} r{spec.repeat}"
    steps = row.steps
    quiet: Tone = "muted" if waiting else "text"
    label = _result(row.outcome) if row.outcome and row.settled else ""
    word = f"{state} stuck" if stall else state
    cells = (
        glyphs.stuck if stall else glyphs.states[state],
        clean(spec.setting, ascii_only=glyphs.ascii_only),
        clean(pair, ascii_only=glyphs.ascii_only),
        clean(spec.model, ascii_only=glyphs.ascii_only),
        f"{tried}/{eyes.attempts + row.retries_from}" if tried else "",
        doing,
        str(steps) if steps or (tried and not waiting) else "",
        _cost(row),
        tight_clock(seconds) if seconds is not None else "",
        "" if idle is None else brief_span(idle),
    )
    state_tone: Tone = "error" if stall else STATE_TONES[state]
    return PairRow(
        key=spec.id,
        place=place,
        rank=-1 if stall else _RANKS[state],
        cells=cells,
        tones=(state_tone, quiet, quiet, "muted", "muted", tone, quiet, quiet, quiet, "warn" if stall else "muted"),
        since=row.attempts[-1].starting_at if active and row.attempts else 0.0,
        seconds=seconds or 0.0,
        cost_usd=row.cost_usd,
        steps=steps,
        find=" ".join((spec.setting, pair, spec.pair.repo, spec.model, word, label, row.reason)).casefold(),
        ticks=active or state == "retrying" or (waiting and eyes.lacks is not None),
        stuck=stall is not None,
    )


def _cost(row: JobRow) -> str:
    if row.attempts:
        # By own prices, wholly or in part.
        own = "*" if any(attempt.own_prices for attempt in row.attempts) else ""
        # Its mark, and not its last digit, is what must not be cut in a narrow column.
        return cost(row.cost_usd, row.unknown_costs, fine=not row.unknown_costs) + own
    if row.state == "skipped" and row.outcome is not None:
        return "$?" if row.outcome.cost_usd is None else money(row.outcome.cost_usd, fine=True)
    return ""


def seconds_of(row: JobRow, eyes: Eyes) -> float | None:
    """Recorded seconds of the attempt under way, else of the last outcome."""
    if row.state in ACTIVE and row.attempts:
        return max(0.0, eyes.now - row.attempts[-1].starting_at) * eyes.speed
    if not row.settled and row.state not in {"retrying", "delivering"}:
        return None
    if row.outcome is not None and row.outcome.duration_s is not None:
        return row.outcome.duration_s
    return attempt_seconds(row.attempts[-1], eyes) if row.attempts else None


def attempt_seconds(attempt: AttemptRow, eyes: Eyes) -> float:
    """As upstream recorded it; from our own clock where it did not."""
    if attempt.outcome is not None and attempt.outcome.duration_s is not None:
        return attempt.outcome.duration_s
    end = attempt.ended_at if attempt.ended_at is not None else eyes.now
    return max(0.0, end - attempt.starting_at) * eyes.speed


def doing_of(row: JobRow, eyes: Eyes, stall: Stall | None = None) -> tuple[str, Tone]:
    """What a job does, hangs at, waits for, or ended in."""
    ascii_only = eyes.glyphs.ascii_only

    def said(text: str) -> str:
        return clean(text, ascii_only=ascii_only)

    if row.cancelling and not row.settled:
        return ("ending, to be tried again" if row.reason == AGAIN else "cancelling"), "warn"
    if stall is not None:
        return said(stall.brief), "warn"
    match row.state:
        case "running" if no_live_data(row, eyes.now):
            return "no live data", "muted"
        case "running":
            return (said(agents_line(row.agents)), "text") if row.agents else ("running", "text")
        case "starting" | "delivering":
            return row.state, "muted"
        case "retrying":
            left = max(0.0, (row.retry_at or eyes.now) - eyes.now) * eyes.speed
            if left == 0 and eyes.lacks is not None and (lacking := eyes.lacks(row.spec)) is not None:
                return said(_waits(lacking)), "warn"
            cause = row.outcome.failure if row.outcome and row.outcome.failure else ""
            return f"in {clock(left)} {_after(cause, said(row.reason))}".rstrip(), "warn"
        case "failed":
            outcome = row.outcome
            why = outcome.failure if outcome and outcome.failure else "failed"
            return _after(why, said(row.reason or (outcome.evidence if outcome else ""))), "error"
        case "done" | "skipped":
            return (said(_result(row.outcome)), label_tone(row.outcome)) if row.outcome else ("", "muted")
        case "cancelled":
            return "cancelled", "muted"
        case "queued":
            lacking = eyes.lacks(row.spec) if eyes.lacks is not None else None
            if lacking is not None:
                return said(_waits(lacking)), "warn" if lacking.state in {"failed", "down"} else "muted"
            return said(row.reason), "muted"
        case never:
            assert_never(never)


def _result(outcome: Outcome) -> str:
    """The tests' verdict first: that is what such a job is looked at for, and a narrow column has no more room."""
    if outcome.tested is None:
        return outcome.label
    if outcome.label == "Submitted":
        return outcome.tested.label
    return f"{outcome.tested.label.removesuffix(' passed')}, {outcome.label}"


def _waits(supply: Supply) -> str:
    """Without the image's name, which the pair tells; how far it is comes first, where there is little room."""
    what = supply.label.partition(" ")[0]
    if supply.state == "getting" and supply.percent is not None:
        return f"waits for {what} {supply.percent}%"
    return f"waits for {what}{supply.line.removeprefix(supply.label)}"


def _after(word: str, text: str) -> str:
    """`docker: daemon down`, without saying the word twice."""
    if not word or text.lower().startswith(word.lower()):
        return text or word
    return f"{word}: {text}" if text else word


def label_tone(outcome: Outcome) -> Tone:
    if not outcome.is_result:
        return "error"
    if outcome.tested is not None and outcome.tested.verdict == "error":
        return "warn"
    passed = outcome.tested is None or outcome.tested.verdict == "passed"
    return "ok" if outcome.label == "Submitted" and passed else "soft"


def job_line(row: JobRow, eyes: Eyes) -> Line:
    """A job's head: what it is and how it stands, in one line."""
    stall, idle = eyes.stall(row), idle_s(row, eyes.now, eyes.speed)
    doing, tone = doing_of(row, eyes, stall)
    seconds = seconds_of(row, eyes)
    state: Line = (Span(f" {eyes.glyphs.states[row.state]} {row.state}", STATE_TONES[row.state]),)
    parts: list[Line] = [
        state if stall is None else (Span(f" {eyes.glyphs.stuck} stuck", "error"),),
        (Span(doing, tone),) if doing and doing != row.state else (),
        (Span(f"{row.steps} steps", "text"),) if row.steps else (),
        (Span(_cost(row), "text"),) if row.attempts else (),
        (Span(clock(seconds), "text"),) if seconds is not None else (),
        (Span(f"idle {brief_span(idle)}", "warn" if stall else "muted"),) if idle is not None else (),
        (Span(clean(row.spec.model, ascii_only=eyes.glyphs.ascii_only), "muted"),),
    ]
    return join(parts, "   ")


def stall_line(row: JobRow, eyes: Eyes, key: str, width: int) -> Line:
    """What a job hangs at, and the key that ends it, which stays whole in any width; empty while it comes on."""
    stall = eyes.stall(row)
    if stall is None:
        return ()
    says = clean(stall.says, ascii_only=eyes.glyphs.ascii_only)
    end: Line = (Span(" "), Span(key, "key"), Span(" requeues"))
    told: Line = (Span(" STUCK ", "alarm"), Span(f" {says}", "warn"))
    return (*clip(told, width - width_of(end), more=eyes.glyphs.more), *end)


def job_name(row: JobRow, glyphs: Glyphs) -> str:
    spec = row.spec
    repeat = f" r{spec.repeat}" if spec.repeat > 1 else ""
    return clean(f"{spec.setting} {spec.pair.short}{repeat}", ascii_only=glyphs.ascii_only)


def tries_lines(row: JobRow, eyes: Eyes, width: int) -> tuple[Line, ...]:
    """Every attempt: how it ended, how we know, what it took, where it is."""

    def said(text: str) -> str:
        return clean(text, ascii_only=eyes.glyphs.ascii_only)

    lines: list[Line] = []
    for attempt in row.attempts:
        outcome = attempt.outcome
        if outcome is None:
            word, tone = ("running" if row.running is attempt else "lost"), _RUN
        else:
            word, tone = said(outcome.label), label_tone(outcome)
        known = "$?" if attempt.cost_usd is None else money(attempt.cost_usd, fine=True)
        known += "*" if attempt.own_prices else ""
        steps = outcome.steps if outcome else row.steps
        lines.append(
            (
                Span(f" try {attempt.number:<3}", "strong"),
                Span(f"{word:<16} ", tone),
                Span(f"{known:>9}  {clock(attempt_seconds(attempt, eyes)):>8}  {steps:>4} steps"),
            )
        )
        if row.running is attempt:
            lines.extend((Span(" " * 9), *line) for line in agent_lines(row, eyes.now, eyes.speed, eyes.glyphs))
        words = tokens_words(attempt.tokens)
        if attempt.own_prices:
            words = f"{words}, * by the prices in coopdeck.toml"
        if words:
            lines.extend(_folded(words, "muted", width))
        if attempt.containers:
            lines.extend(_folded(said(container_words(attempt)), "muted", width))
        if outcome is not None and outcome.tested is not None:
            why = f": {outcome.tested.error}" if outcome.tested.error else ""
            lines.extend(_folded(said(f"tests: {outcome.tested.label}{why}"), "text", width))
        if outcome is not None and outcome.evidence:
            lines.extend(_folded(said(outcome.evidence), "text", width))
        lines.extend(_folded(said(attempt.folder), "muted", width))
    if row.state == "retrying":
        doing, tone_ = doing_of(row, eyes)
        lines.append((Span(f" try {len(row.attempts) + 1:<3}", "strong"), Span(doing, tone_)))
    if row.delivered:
        lines.append((Span(" result", "strong"),))
        lines.extend(_folded(said(row.delivered), "muted", width))
    return tuple(lines) or ((Span(" no try yet", "muted"),),)


def _folded(text: str, tone: Tone, width: int) -> list[Line]:
    return [(Span(f"{'':9}{part}", tone),) for part in wrap(text, max(20, width - 10))]
