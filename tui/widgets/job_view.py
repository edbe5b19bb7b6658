"""The panes of one job: its log and its tries, under a rule that names them."""

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget

from runner.model.rows import JobRow
from styles.themes import Tone
from tui.keys import KEYS
from tui.rows import STATE_TONES, job_name, tries_lines
from tui.sanitise import clean
from tui.session import Session
from tui.text import Line, Span, clip, fit, join, width_of
from tui.widgets.lines import Lines
from tui.widgets.log_pane import LogPane


class JobView(Vertical):
    """Shows whichever job it is given; keeps following its newest try until asked for an older one."""

    def __init__(self, session: Session, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._session = session
        self.row: JobRow | None = None
        self.pane = "log"
        self.attempt: int | None = None
        """The try that is shown; None for the newest."""
        self.log_pane = LogPane(ascii_only=session.glyphs.ascii_only, busy=session.busy, id="log")
        self._title = Lines(id="job-title", classes="rule")
        self._why = Lines(id="why")
        self._tries = Lines(id="tries-lines")
        self._scroll = VerticalScroll(self._tries, id="tries")

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._why
        yield self.log_pane
        yield self._scroll

    def on_mount(self) -> None:
        self._scroll.display = False

    @property
    def focusable_pane(self) -> Widget:
        return self.log_pane if self.pane == "log" else self._scroll

    def show(self, row: JobRow | None) -> None:
        """Another job, or the same one as it is now."""
        if row is None or self.row is None or row.spec.id != self.row.spec.id:
            self.attempt = None
        self.row = row
        self._draw_why()
        if self.pane == "log":
            self._open_log()
        else:
            self._draw_tries()
        self.draw_title()

    def switch(self, pane: str) -> None:
        had_focus = self.screen.focused is self.focusable_pane
        self.pane = pane
        self.log_pane.display = pane == "log"
        self._scroll.display = pane == "tries"
        if had_focus:
            self.focusable_pane.focus()
        self.show(self.row)

    def older(self, by: int) -> None:
        """The log of another try."""
        row = self.row
        if row is None or not row.attempts:
            return
        newest = len(row.attempts)
        number = min(max((self.attempt or newest) - by, 1), newest)
        self.attempt = None if number == newest else number
        self.show(row)

    def tick(self) -> None:
        """The times of a running try go on."""
        if self.pane == "tries" and self.row is not None:
            self._draw_tries()

    def _open_log(self) -> None:
        row, folder = self.row, self._session.sweep_dir
        if row is None:
            self.log_pane.open(None, "no job selected")
        elif not row.attempts:
            says = "a result was there already: nothing was run" if row.state == "skipped" else "not started yet"
            self.log_pane.open(None, says)
        elif folder is None:
            self.log_pane.open(None, "the sweep's folder is not known yet")
        else:
            attempt = row.attempts[(self.attempt or len(row.attempts)) - 1]
            says = "no output yet" if attempt.ended_at is None else "this try left no output"
            path = folder / attempt.folder / "output.log"
            if path != self.log_pane.path or says != self.log_pane.empty:
                self.log_pane.open(path, says)

    def _draw_why(self) -> None:
        """The whole sentence about a job that is not well: the table has room for its beginning alone."""
        row, glyphs = self.row, self._session.glyphs
        shown = row is not None and row.reason and row.state in {"failed", "retrying", "queued"} and self.pane == "log"
        if row is None or not shown:
            self._why.show([])
            return
        reason = clean(row.reason, ascii_only=glyphs.ascii_only)
        self._why.show([(Span(fit(f" {reason}", self.size.width, more=glyphs.more), STATE_TONES[row.state]),)])

    def _draw_tries(self) -> None:
        if self.row is not None:
            self._tries.show(tries_lines(self.row, self._session.eyes(), self.size.width))

    def draw_title(self) -> None:
        """The rule: the job, the panes, what the log does."""
        session, row, width = self._session, self.row, self.size.width
        rule = session.glyphs.rule
        name: Line = (Span("no job", "muted"),)
        if row is not None:
            number = self.attempt or len(row.attempts)
            which = (Span(f"  try {number}", "muted"),) if number and self.pane == "log" else ()
            name = (Span(job_name(row, session.glyphs), "strong"), *which)
        panes = join(
            (Span(session.keymap.shown(key), "key"), Span(f" {key.label}", "strong" if on else "muted"))
            for key in KEYS
            if key.id in {"log", "tries"}
            for on in (key.id == self.pane,)
        )
        status = self.log_pane.status if self.pane == "log" else ""
        focused: bool = self.screen.focused is self.focusable_pane
        tone: Tone = "title" if focused else "bar"
        left: Line = (Span(rule + " ", tone), *name, Span(" "))
        right: Line = (Span(" "), *panes, *((Span(f"  {status}", "muted"),) if status else ()), Span(f" {rule}", tone))
        left = clip(left, max(0, width - width_of(right)))
        fill = rule * max(0, width - width_of(left) - width_of(right))
        self._title.show([(*left, Span(fill, tone), *right)])

    def on_log_pane_moved(self) -> None:
        self.draw_title()

    def on_resize(self) -> None:
        self._draw_why()
        self._draw_tries()
        self.draw_title()

    def on_descendant_focus(self) -> None:
        self.draw_title()

    def on_descendant_blur(self) -> None:
        self.draw_title()
