"""The steps of a job's agents, in the order of time: pure reading."""

from dataclasses import dataclass, replace
from typing import Literal

from runner.model.secrets import masked_text
from styles.themes import Tone
from tui.format import about, money, short_agent
from tui.glyphs import Glyphs
from tui.growing import Record, Ref, number, words
from tui.job_files import JobFiles
from tui.reading import Row, block
from tui.text import Line, Span, fit
from tui.told import AGENT_TONES, ToldReading

MOST_ENTRIES = 20_000
MOST_AGENTS = 64
MOST_COMMANDS = 20
THOUGHT_LINES, COMMAND_LINES, OUTPUT_LINES = 200, 100, 40
_PAD = 32
"""Cells before a command: as many as before a thought."""


@dataclass(slots=True)
class Entry:
    """A step, a retry or an end, by its places; its texts are read when they are looked at."""

    kind: Literal["step", "retry", "end"]
    agent: str
    step: int
    at: float
    ref: Ref
    cost: float | None = None
    latency: float | None = None
    commands: tuple[Ref, ...] = ()
    """Where the ends of its commands stand."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """Of an agent: what its calls have cost since its last step, and that step."""

    cost: float | None = 0.0
    latency: float | None = None
    entry: Entry | None = None


class Steps:
    """Folds records into entries."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.begun: float | None = None
        self.more = 0
        self.agents: dict[str, _Pending] = {}
        self._at = 0.0

    def __len__(self) -> int:
        return len(self.entries)

    def take(self, ref: Ref, record: Record) -> bool:
        at = number(record.get("at"))
        self._at = self._at if at is None else at
        if self.begun is None and at is not None:
            self.begun = at
        agent = words(record.get("agent"), 64)
        if not agent or (agent not in self.agents and len(self.agents) >= MOST_AGENTS):
            return False
        pending = self.agents.setdefault(agent, _Pending())
        match record.get("type"):
            case "llm_end":
                cost = number(record.get("cost_usd"))
                summed = None if cost is None or pending.cost is None else pending.cost + cost
                answered = number(record.get("latency_s")) if record.get("status") == "ok" else pending.latency
                self.agents[agent] = replace(pending, cost=summed, latency=answered)
                return False
            case "step":
                step = int(number(record.get("step")) or 0)
                entry = Entry("step", agent, step, self._at, ref, pending.cost, pending.latency)
                self.agents[agent] = _Pending(entry=entry)
            case "exec_end":
                before = pending.entry
                if before is None or len(before.commands) >= MOST_COMMANDS:
                    return False
                before.commands = (*before.commands, ref)
                return True
            case "llm_retry":
                entry = Entry("retry", agent, 0, self._at, ref)
            case "agent_end":
                entry = Entry("end", agent, 0, self._at, ref)
            case _:
                return False
        if len(self.entries) >= MOST_ENTRIES:
            self.more += 1
            return True
        self.entries.append(entry)
        return True

    def sort(self) -> None:
        self.entries.sort(key=lambda entry: entry.at)
        if self.entries:
            self.begun = self.entries[0].at


class StepsReading(ToldReading[Steps]):
    """Two rows a step; all that is known of it when unfolded."""

    foldable = True

    def __init__(self, files: JobFiles, glyphs: Glyphs) -> None:
        super().__init__(files, glyphs, talk=False, kept=256)

    def _fresh(self) -> Steps:
        return Steps()

    @property
    def steps(self) -> Steps:
        return self._fold

    @property
    def says(self) -> str:
        if self.files.says and self.files.results is None:
            return self.files.says
        return "no steps were told of this try" if self.files.ended else "no step yet"

    def rows(self, entry: int, *, unfolded: bool) -> list[Row]:
        if entry >= len(self.steps.entries):
            return self._beyond()
        it = self.steps.entries[entry]
        records = self._read(it.ref)
        if it.kind == "step":
            step = next((record for record in records if record.get("type") == "step"), {})
            return self._unfolded(it, step) if unfolded else self._two(it, step)
        wanted = "llm_retry" if it.kind == "retry" else "agent_end"
        record = next((record for record in records if record.get("type") == wanted), {})
        line = self._retry(record) if it.kind == "retry" else self._end(record)
        return [Row((*self._head(it, " " * 18), *line), _PAD)]

    # -- an entry -----------------------------------------------------------------------------------------------

    def _head(self, it: Entry, cells: str) -> Line:
        place = list(self.steps.agents).index(it.agent)
        name = fit(self.said(short_agent(it.agent)), 4, more=self.glyphs.more)
        return (self._since(it.at), Span(f"{name} ", AGENT_TONES[place % len(AGENT_TONES)]), Span(cells))

    def _cells(self, it: Entry) -> str:
        cost = "$?" if it.cost is None else money(it.cost, fine=True)
        latency = "" if it.latency is None else short(it.latency * self._evidence.speed)
        return f"{it.step:>3} {cost:>7} {latency:>5} "

    def _two(self, it: Entry, step: Record) -> list[Row]:
        thought = words(step.get("thought")).strip().partition("\n")[0]
        command, _, rest = words(step.get("command")).strip().partition("\n")
        rows = [Row((*self._head(it, self._cells(it)), Span(self.said(thought))), whole=False)]
        if not command:
            rows.append(Row((Span(" " * _PAD), Span("no command", "warn"))))
            return rows
        lines = rest.count("\n") + 1 if rest else 0
        more = (Span(f" {self.glyphs.more} {lines} more", "muted"),) if lines else ()
        spans = (*self._ended(it), Span("$ ", "key"), Span(self.said(command), "muted"), *more)
        return [*rows, Row(spans, whole=False)]

    def _ended(self, it: Entry) -> Line:
        """How its last command ended, in the cells before a command."""
        if not it.commands:
            running = self.live and self._latest(it)
            return (Span(fit(" " * 18 + ("running" if running else ""), _PAD), "run"),)
        word, tone, seconds = self._outcome(it.commands[-1])
        return (Span(" " * 18), Span(f"{word:<8} ", tone), Span(f"{seconds:>4} ", "muted"))

    def _latest(self, it: Entry) -> bool:
        return self.steps.agents[it.agent].entry is it

    def _outcome(self, ref: Ref) -> tuple[str, Tone, str]:
        record = self._exec(ref)
        status, took = number(record.get("returncode")), number(record.get("seconds"))
        word, tone = _verdict(status)
        return word, tone, "" if took is None else short(took * self._evidence.speed)

    def _exec(self, ref: Ref) -> Record:
        return next((record for record in self._read(ref) if record.get("type") == "exec_end"), {})

    def _unfolded(self, it: Entry, step: Record) -> list[Row]:
        most = 1_000_000
        rows = [Row(self._head(it, self._cells(it)))]
        rows += block(self, words(step.get("thought"), most).strip(), 4, "text", THOUGHT_LINES)
        rows += block(
            self, words(step.get("command"), most), 6, "strong", COMMAND_LINES, (Span("    "), Span("$ ", "key"))
        )
        for ref in it.commands:
            word, tone, seconds = self._outcome(ref)
            took = f" in {seconds}" if seconds else ""
            rows.append(Row((Span(f"    {word}", tone), Span(took, "muted"))))
            rows += block(self, words(self._exec(ref).get("output"), most), 6, "muted", OUTPUT_LINES)
        return rows

    def _retry(self, record: Record) -> Line:
        attempt, of = number(record.get("attempt")) or 0, number(record.get("of"))
        which = f"retry {attempt:.0f} of {of:.0f}" if of else f"retry {attempt:.0f}"
        wait = number(record.get("wait_s"))
        waits = f", waits {wait:.0f}s" if wait is not None else ""
        return (Span(f"{which}: {self.said(words(record.get('class'), 100))}{waits}", "warn"),)

    def _end(self, record: Record) -> Line:
        status = self.said(words(record.get("status"), 100)) or "ended"
        # Of a run that was only opened these are upstream's own words, and some providers quote the key they refuse.
        why = self.said(masked_text(words(record.get("error") or record.get("class"), 1000)).partition("\n")[0])
        tone: Tone = "ok" if status == "Submitted" else "error" if status == "Error" else "soft"
        return (Span(status, tone), *((Span(f"  {why}", "muted"),) if why else ()))


def _verdict(status: float | None) -> tuple[str, Tone]:
    if status is None:
        return "ended", "muted"
    return (f"exit {status:.0f}", "error") if status else ("ok", "ok")


def short(seconds: float) -> str:
    """In four or five cells: `0.4s`, `12s`, `3m`, `1h05m`."""
    return f"{max(0.0, seconds):.1f}s" if seconds < 9.95 else about(seconds)
