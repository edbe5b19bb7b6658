"""The dashboard: the sweep's lines, the pairs table, the selected job's panes."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from runner.model.ids import JobId
from runner.model.rows import JobRow
from styles.themes import Tone
from tui.keys import bindings
from tui.link import Change
from tui.present import settings_lines, totals_line
from tui.rows import Eyes, PairRow, pair_row
from tui.screens.base import JobActions
from tui.screens.job import JobScreen
from tui.session import Session
from tui.text import Line, Span, width_of
from tui.widgets.columns import Column
from tui.widgets.line_table import LineTable
from tui.widgets.lines import Lines
from tui.widgets.prompt import Prompt

COLUMNS = (
    Column("", 1),
    Column("setting", 11, most=16),
    Column("pair", 22, most=30, tight=22),
    Column("model", 12, from_width=-1, most=24),
    Column("try", 3, most=5, from_width=66),
    Column("doing", 0, flex=1),
    Column("step", 4, right=True, from_width=72),
    Column("cost", 7, right=True),
    Column("time", 5, right=True),
    Column("idle", 4, right=True, from_width=96, leaves=14),
)
MODEL = 3

Sort = Callable[[PairRow], tuple[Any, ...]]
SORTS: dict[str, Sort] = {
    "state": lambda row: (row.rank, row.place),
    "plan": lambda row: (row.place,),
    "cost": lambda row: (-row.cost_usd, row.place),
    # What runs comes first, longest first: by its start, so that the order does not change as time goes by.
    "time": lambda row: (0, row.since, row.place) if row.since else (1, -row.seconds, row.place),
    "steps": lambda row: (-row.steps, row.place),
}
FILTER = "filter"


class SweepScreen(JobActions):
    """Redraws from the session's latest board; every number in it comes from present.py and rows.py."""

    WHERE = "sweep"
    # The table alone where both would be too small to be of use.
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012 - Textual declares it without ClassVar
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("sweep")]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.sort = "state"
        self.filter = ""
        self.settings = Lines(id="settings")
        self.totals = Lines(id="totals")
        self.rule = Lines(id="pairs-rule")
        self.table = LineTable(COLUMNS, SORTS[self.sort], id="pairs")
        self.table.more, self.table.mark = session.glyphs.more, session.glyphs.cursor
        self.table.empty = "waiting for the first jobs"
        self._places: dict[JobId, int] = {}
        self._active: set[str] = set()
        self._stuck: set[str] = set()

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.settings
        yield self.totals
        yield self.banner
        yield self.rule
        yield self.table
        yield self.view
        yield self.prompt
        yield self.foot

    def on_mount(self) -> None:
        self.table.focus()
        self.changed(self.session.change)

    def on_resize(self) -> None:
        self._draw_lines()

    @property
    def job(self) -> JobRow | None:
        key = self.table.selected
        return self.session.board.jobs.get(JobId(key)) if key is not None else None

    def attend(self) -> None:
        self.table.anchored = False

    # -- the board ----------------------------------------------------------------------------------------------

    def changed(self, change: Change) -> None:
        board = change.board
        eyes = self.session.eyes()
        if change.jobs is None or len(board.order) != len(self._places):
            self._places = {job: place for place, job in enumerate(board.order)}
            several = board.plan is not None and len(board.plan.models) > 1
            # One model for all is in the head line.
            self.table.set_column(MODEL, from_width=100 if several else -1)
            self.table.replace(self._rows(list(self._places), eyes))
        elif change.jobs:
            jobs = [job for job in change.jobs if job in self._places]
            self.table.put(self._rows(jobs, eyes))
        selected = self.table.selected
        if change.jobs is None or selected in change.jobs:
            self.view.show(self.job)
        self._draw_lines()

    def tick(self) -> None:
        """The clocks in view go on, and what runs out of view may have come to hang; nothing else is looked at."""
        ticking = self._active.union(row.key for row in self.table.in_view if row.ticks)
        self.table.put(self._rows([JobId(key) for key in ticking], self.session.eyes()))
        self.view.tick()
        self._draw_lines()

    def _rows(self, jobs: Iterable[JobId], eyes: Eyes) -> list[PairRow]:
        """The jobs' rows as they are now; remembers which of them run, and which hang."""
        board = self.session.board
        rows = [pair_row(board.jobs[job], self._places[job], eyes) for job in jobs]
        for row in rows:
            (self._active.add if row.since else self._active.discard)(row.key)
            (self._stuck.add if row.stuck else self._stuck.discard)(row.key)
        return rows

    def _draw_lines(self) -> None:
        session, width = self.session, self.size.width
        if not width:
            return
        self.draw_frame()
        self.settings.show(settings_lines(session.board, width, session.glyphs))
        self.totals.show([totals_line(session.board, session.now(), width, len(self._stuck), more=session.glyphs.more)])
        self._draw_rule()

    def _draw_rule(self) -> None:
        table, rule, width = self.table, self.session.glyphs.rule, self.size.width
        place = table.cursor
        count = f"{0 if place is None else place + 1}/{len(table.order.shown)}"
        tone: Tone = "title" if table.has_focus else "bar"
        left: Line = (Span(rule + " ", tone), Span("pairs", "strong"), Span(f" {count} ", "muted"))
        shown: Line = ()
        if self.filter:
            shown = (Span(f" /{self.filter} ", "match"), Span(f" of {len(table.order.rows)} ", "muted"))
        right: Line = (Span(" sort: ", "muted"), Span(self.sort, "text"), Span(f" {rule}", tone))
        fill = rule * max(0, width - width_of(left) - width_of(shown) - width_of(right))
        self.rule.show([(*left, *shown, Span(fill, tone), *right)])

    # -- keys ---------------------------------------------------------------------------------------------------

    def on_line_table_selected(self, message: LineTable.Selected) -> None:
        self.view.show(self.job)
        self._draw_rule()

    def on_line_table_opened(self, message: LineTable.Opened) -> None:
        self.action_open()

    def on_descendant_focus(self) -> None:
        self._draw_rule()

    def on_descendant_blur(self) -> None:
        self._draw_rule()

    def action_open(self) -> None:
        self.attend()
        if self.job is not None:
            self.app.push_screen(JobScreen(self.session, self.job.spec.id, self.view.pane))

    def action_back(self) -> None:
        if self.focused is not self.table and self.view.current.needle:
            self.view.current.search("")
        elif self.focused is not self.table:
            self.table.focus()
        elif self.filter:
            self._filter("")

    def action_other_pane(self) -> None:
        self.attend()
        target = self.view.current if self.focused is self.table else self.table
        target.focus()

    def action_sort(self) -> None:
        names = list(SORTS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self.table.sort_by(SORTS[self.sort])
        self._draw_rule()

    def action_filter(self) -> None:
        if self.focused is self.table:
            self.foot.display = False
            self.prompt.ask(FILTER, self.filter)
        else:
            self.begin_search()

    def on_prompt_typed(self, message: Prompt.Typed) -> None:
        if message.purpose == FILTER:
            self._filter(message.text)

    def on_prompt_closed(self, message: Prompt.Closed) -> None:
        super().on_prompt_closed(message)
        if message.purpose == FILTER:
            self._filter(message.text)
            self.table.focus()

    def _filter(self, text: str) -> None:
        self.filter = text
        words = text.casefold().split()
        self.table.empty = f"no job matches '{text}' (esc shows all)" if words else "waiting for the first jobs"
        self.table.keep((lambda row: all(word in row.find for word in words)) if words else None)
        self.view.show(self.job)
        self._draw_rule()
