"""Pure `(board, now) -> what is shown` for the lines above the table; rows.py does the same for one job.

Times are recorded time: in a rehearsal at x60 a real second counts for sixty.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from runner.client import Link
from runner.model.board import Board
from runner.model.forecast import forecast_board
from runner.model.supplies import Supply
from runner.model.tally import Tally
from styles.themes import Tone
from tui.format import about, bar, clock, cost, money, rate
from tui.glyphs import Glyphs
from tui.sanitise import clean
from tui.text import Line, Span, fit, join, spread, width_of

_WORDS = {"Submitted": "ok", "LimitsExceeded": "limit"}
_SHORT = {"running": "run", "retrying": "retry", "no-patch": "empty"}


@dataclass(frozen=True, slots=True)
class Outlook:
    """How long and how dear the rest will be; None while nothing is known."""

    settings: Mapping[str, float | None]
    seconds: float | None
    usd: float | None
    p90_usd: float | None


def speed_of(board: Board) -> float:
    return board.plan.speed if board.plan else 1.0


def elapsed(board: Board, now: float) -> float:
    return board.wall_s(now) * speed_of(board)


def settings_of(board: Board) -> tuple[str, ...]:
    """In the plan's order, then those that only jobs know."""
    planned = board.plan.settings if board.plan else ()
    return (*planned, *(name for name in sorted(board.tallies) if name not in planned))


def outlook(board: Board) -> Outlook:
    """The forecast, in recorded seconds."""
    ahead, speed = forecast_board(board), speed_of(board)
    etas = {name: None if one.eta_s is None else one.eta_s * speed for name, one in ahead.by_setting.items()}
    return Outlook(etas, None if ahead.wall_s is None else ahead.wall_s * speed, ahead.cost_usd, ahead.cost_p90_usd)


def head_line(board: Board, now: float, link: Link, attached: int, width: int, glyphs: Glyphs) -> Line:
    """Who, what, how long, and that it is only a rehearsal."""
    plan = board.plan
    right: list[Line] = [(Span(clock(elapsed(board, now)), "strong"),)]
    if link == "attached":
        right.append((Span("attached" if attached < 2 else f"attached x{attached}", "muted"),))
    elif link == "reconnecting":
        right.append((Span(" RECONNECTING ", "alarm"),))
    else:
        right.append((Span("over", "strong"),))
    if plan is not None and plan.rehearsal is not None:
        right.append((Span(f" REHEARSAL x{plan.rehearsal.speed:g} ", "loud"),))
    tail = (*join(right), Span(" "))
    if plan is None:
        waits: Line = (Span(" coopdeck", "title"), Span("  waiting for the sweep's plan", "muted"))
        return spread(waits, tail, width, more=glyphs.more)
    start: Line = (Span(" coopdeck", "title"), Span("  "), Span(clean_cell(plan.sweep, glyphs), "strong"))
    jobs = "1 job" if board.total.jobs == 1 else f"{board.total.jobs} jobs"
    extras = [jobs, " ".join(plan.models), plan.agent]
    for extra in extras:
        longer = (*start, Span("  "), Span(clean_cell(extra, glyphs), "muted"))
        if extra and width_of(longer) + width_of(tail) + 1 <= width:
            start = longer
    return spread(start, tail, width, more=glyphs.more)


def clean_cell(text: str, glyphs: Glyphs) -> str:
    return clean(text, ascii_only=glyphs.ascii_only)


def settings_lines(board: Board, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """One line for each setting: bar, how many, in what, for how much, how long still."""
    ahead = outlook(board)
    names = settings_of(board)
    label = min(max((len(name) for name in names), default=4), 16)
    digits = len(str(max((tally.jobs for tally in board.tallies.values()), default=0)))
    rows = [(name, board.tallies.get(name, Tally())) for name in names]
    costs = [cost(tally.cost_usd, tally.unknown_costs) for _, tally in rows]
    if any(text.endswith("+?") for text in costs):
        costs = [text if text.endswith("?") else f"{text}  " for text in costs]
    money_width = max((len(text) for text in costs), default=6)
    etas = [_eta(tally, ahead.settings.get(name)) for name, tally in rows]
    eta_width = max([7, *(len(text) for text in etas)])
    fixed = 1 + label + 2 + 1 + digits * 2 + 1 + 2 + 2 + money_width + 2
    # By the terminal's width alone: a bar that gave way to longer counts would jump.
    bar_width = max(10, min(60, (width - fixed - 9) * 3 // 10))
    room = width - fixed - bar_width - 2 - eta_width
    return tuple(
        (
            Span(f" {fit(clean_cell(name, glyphs), label, more=glyphs.more)}  ", "text"),
            *_bar(tally, bar_width, glyphs),
            Span(f" {tally.settled:>{digits}}/{tally.jobs:<{digits}}  ", "strong"),
            *_padded(_counts(tally, room, glyphs), room),
            Span(f"  {costs[index]:>{money_width}}", "money"),
            Span(f"  {etas[index]:>{eta_width}}", "muted"),
        )
        for index, (name, tally) in enumerate(rows)
    )


def _bar(tally: Tally, width: int, glyphs: Glyphs) -> Line:
    parts: tuple[tuple[int, str, Tone], ...] = (
        (tally.count("failed", "cancelled"), glyphs.failed, "error"),
        (tally.results, glyphs.done, "ok"),
    )
    active = tally.count("starting", "running", "delivering", "retrying")
    if active:
        parts = (*parts, (active, glyphs.active, "run"))
    return bar(parts, tally.jobs, width, glyphs)


def _eta(tally: Tally, seconds: float | None) -> str:
    if tally.jobs and tally.settled == tally.jobs:
        return "done"
    return "eta -" if seconds is None else f"eta {about(seconds)}"


def _counts(tally: Tally, room: int, glyphs: Glyphs) -> Line:
    """Counts by outcome: what needs a look first, in short words where there is little room."""
    states: list[tuple[int, str, Tone]] = [
        (tally.count("starting", "running", "delivering"), "running", "run"),
        (tally.count("retrying"), "retrying", "warn"),
    ]
    labels = sorted(tally.labels.items(), key=lambda item: (-item[1], item[0]))
    settled = [(number, _WORDS.get(label, clean_cell(label, glyphs)), _tone(label)) for label, number in labels]
    failures = [item for item in settled if item[2] == "error"]
    others = [item for item in settled if item[2] != "error"]
    # The queue is what the bar shows anyway: first to go.
    parts: list[tuple[int, str, Tone]] = [*failures, *states, *others, (tally.count("queued"), "queued", "muted")]
    there = [part for part in parts if part[0]]
    if len(there) > 1 and width_of(_line_of(there[:-1])) > room:
        there = [(number, _SHORT.get(word, word), tone) for number, word, tone in there]
    kept: list[tuple[int, str, Tone]] = []
    for item in there:
        if width_of(_line_of([*kept, item])) <= room:
            kept.append(item)
    return _line_of(kept)


def _line_of(counts: list[tuple[int, str, Tone]]) -> Line:
    return join(((Span(f"{number} {word}", tone),) for number, word, tone in counts), "  ")


def _tone(label: str) -> Tone:
    if label == "Submitted":
        return "ok"
    if label in {"no-patch", "LimitsExceeded"} or label[:1].isupper():
        return "soft"
    return "muted" if label == "cancelled" else "error"


def _padded(line: Line, width: int) -> Line:
    return (*line, Span(" " * max(0, width - width_of(line))))


def totals_line(board: Board, now: float, width: int, stuck: int = 0, *, more: str = "…") -> Line:
    """Slots, money, pace and how many jobs are `stuck`; what matters least goes first where the line is short."""
    total, plan = board.total, board.plan
    ahead = outlook(board)
    active = total.count("starting", "running", "delivering")
    budget = plan.budget_usd if plan else None
    spent = cost(total.cost_usd, total.unknown_costs)
    hours = elapsed(board, now) / 3600
    money_part: Line = (Span(spent, "strong"), *((Span(f" of {_round(budget)}", "muted"),) if budget else ()))
    pace: Line = (Span(rate(total.cost_usd / hours) if hours > 0 else "-/h", "muted"),)
    forecast: Line = ()
    if board.finished_at is None and total.settled < total.jobs:
        over = budget is not None and ahead.usd is not None and ahead.usd > budget
        forecast = (Span("forecast ", "muted"), Span(_about_usd(ahead.usd), "warn" if over else "text"))
    likely, high = _about_usd(ahead.usd), _about_usd(ahead.p90_usd)
    bound: Line = (Span(f"p90 {high}", "muted"),) if forecast and high != likely else ()
    wasted: Line = ()
    tries = max(0, total.attempts - active - total.count("done"))
    if tries:
        wasted = (Span(f"wasted {cost(total.wasted_usd, total.unknown_waste)}", "warn"),)
    retries: Line = (Span(f"{tries} {'retry' if tries == 1 else 'retries'}", "muted"),) if tries else ()
    eta: Line = ()
    if ahead.seconds and not board.finished_at:
        eta = (Span("eta ", "muted"), Span(about(ahead.seconds)))
    found: Line = (Span(f"found {money(total.skipped_usd)}", "muted"),) if total.skipped_usd else ()
    slots: Line = (Span("slots ", "muted"), Span(f"{active}/{board.slots}", "text"))
    hung: Line = (Span(f" {stuck} STUCK ", "alarm"), Span(" ")) if stuck else ()
    right: Line = (*hung, *_word(board), Span(" "))
    choices = (
        (slots, money_part, pace, forecast, bound, wasted, retries, eta, found),
        (slots, money_part, pace, forecast, wasted, retries, eta),
        (slots, money_part, pace, forecast, wasted, retries),
        (slots, money_part, pace, forecast, wasted),
        (slots, money_part, forecast, wasted),
        (slots, money_part, forecast),
    )
    left: Line = ()
    for parts, gap in ((parts, gap) for parts in choices for gap in ("   ", "  ")):
        left = (Span(" "), *join(parts, gap))
        if width_of(left) + width_of(right) + 1 <= width:
            break
    return spread(left, right, width, more=more)


def _about_usd(usd: float | None) -> str:
    if usd is None:
        return "-"
    return _round(round(usd) if usd >= 100 else usd)


def _round(usd: float) -> str:
    return f"${usd:,.0f}" if usd == int(usd) else money(usd)


def _word(board: Board) -> Line:
    """The sweep's condition in a word or two."""
    if board.finished_at is not None:
        return (Span("finished", "ok"),)
    if board.runner is not None and board.runner.stopped_at is not None:
        return (Span("not running", "warn"),)
    if board.stopping is not None:
        return (Span(" STOPPING ", "loud"),)
    if board.holds:
        return (Span(" HELD ", "alarm"),)
    if board.paused:
        return (Span(" PAUSED ", "loud"),)
    return (Span("ok", "ok"),)


def banner(board: Board, now: float, link: Link, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    """What must not be missed, a line each; nothing while all is well."""
    says: list[tuple[str, Tone]] = []
    total = board.total
    if link == "reconnecting":
        says.append(("the runner does not answer: trying again, and showing what was last known", "alarm"))
    if link == "over" or board.finished_at is not None:
        says.append(_last_word(board, now, glyphs))
    elif board.stopping == "drain":
        left = total.count("starting", "running")
        says.append((f"STOPPING: {left} running may finish, nothing new starts", "loud"))
    elif board.stopping == "now":
        says.append(("STOPPING: what runs is being ended, and can be resumed", "loud"))
    if link != "over":
        for hold in board.holds:
            reason = clean_cell(hold.reason, glyphs)
            says.append((f"HELD by {clean_cell(hold.cause, glyphs)}: {reason}", "alarm"))
        says += [(f"DOWN: {clean_cell(text, glyphs)}", "alarm") for text in _down(board)]
        if board.paused and board.finished_at is None:
            says.append(("PAUSED: what runs goes on, nothing new starts (p resumes)", "loud"))
        if board.runner is not None and board.runner.not_warm and board.finished_at is None:
            says.append((f"plain launcher: {clean_cell(board.runner.not_warm, glyphs)}", "warn"))
    return tuple((Span(fit(f" {text}", width, more=glyphs.more), tone),) for text, tone in says)


def _down(board: Board) -> list[str]:
    """What jobs wait for because it is down, things with the same cause on one line."""
    causes: dict[str, list[Supply]] = {}
    if board.finished_at is None:
        for supply in board.supplies.values():
            if supply.state == "down":
                causes.setdefault(supply.says, []).append(supply)
    return [
        supplies[0].line if len(supplies) == 1 else f"{len(supplies)} things that jobs wait for: {says}"
        for says, supplies in sorted(causes.items())
    ]


def _last_word(board: Board, now: float, glyphs: Glyphs) -> tuple[str, Tone]:
    total = board.total
    failed = total.count("failed")
    because = board.runner.stopped_because if board.runner else ""
    word = "FINISHED" if board.finished_at is not None else (clean_cell(because, glyphs) or "no runner").upper()
    parts = [
        f"{word}: {total.settled} of {total.jobs} jobs settled",
        f"{total.results} results",
        f"{failed} failed",
        cost(total.cost_usd, total.unknown_costs),
        clock(elapsed(board, now)),
    ]
    return ", ".join(parts), "loud" if failed or total.settled < total.jobs else "good"
