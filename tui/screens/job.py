"""One job on the whole screen."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from runner.model.ids import JobId
from runner.model.rows import JobRow
from tui.agents import agent_lines
from tui.keys import bindings, key_of
from tui.link import Change
from tui.rows import job_line, stall_line
from tui.screens.base import JobActions
from tui.session import Session
from tui.text import Span, clip
from tui.widgets.lines import Lines

MOST_AGENTS = 4


class JobScreen(JobActions):
    """The same panes as under the table, with all the room."""

    CSS_PATH: ClassVar[str] = "../../styles/job.tcss"
    WHERE = "job"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("job")]

    def __init__(self, session: Session, job: JobId, pane: str) -> None:
        super().__init__(session)
        self._job = job
        self._pane = pane
        self.stand = Lines(id="stand")

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.banner
        yield self.stand
        yield self.view
        yield self.prompt
        yield self.foot

    @property
    def job(self) -> JobRow | None:
        return self.session.board.jobs.get(self._job)

    def on_mount(self) -> None:
        self.view.show(self.job)
        self.view.switch(self._pane)
        self.view.current.focus()
        self._draw_lines()

    def on_resize(self) -> None:
        self._draw_lines()

    def changed(self, change: Change) -> None:
        if change.jobs is None or self._job in change.jobs:
            self.view.show(self.job)
        self._draw_lines()

    def tick(self) -> None:
        self.view.tick()
        self._draw_lines()

    def _draw_lines(self) -> None:
        session, width, row = self.session, self.size.width, self.job
        if not width:
            return
        self.draw_frame()
        if row is not None:
            eyes = session.eyes()
            stall = stall_line(row, eyes, session.keymap.shown(key_of("requeue")), width)
            agents = agent_lines(row, eyes.now, eyes.speed, session.glyphs, width - 2) if row.running else []
            told = [job_line(row, eyes), *([stall] if stall else [])]
            lines = [clip(line, width, more=session.glyphs.more) for line in told]
            self.stand.show([*lines, *((Span(" "), *line) for line in agents[:MOST_AGENTS])])

    def action_close(self) -> None:
        if self.view.current.needle:
            self.view.current.search("")
        else:
            self.dismiss()

    def action_search(self) -> None:
        self.begin_search()
