"""The panes of one job, one at a time, under a rule that names them."""

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical

from runner.model.rows import JobRow
from styles.themes import Tone
from tui.job_files import JobFiles, job_files
from tui.keys import KEYS, key_of
from tui.reading import Reading
from tui.rows import STATE_TONES, job_name, stall_line
from tui.sanitise import clean
from tui.saving import save_copy, save_text
from tui.session import Session
from tui.text import Line, Span, clip, fit, join, width_of
from tui.tries import TriesReading
from tui.widgets.entry_pane import EntryPane
from tui.widgets.lines import Lines
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane

PANES = ("log", "steps", "talk", "patch", "tries")


class JobView(Vertical):
    """Shows whichever job it is given; keeps following its newest try until asked for an older one."""

    def __init__(self, session: Session, *, alone: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._session = session
        self.alone = alone
        """The screen above it says what the job hangs at."""
        self.row: JobRow | None = None
        self.pane = "log"
        self.attempt: int | None = None
        """The try that is shown; None for the newest."""
        ascii_only, busy = session.glyphs.ascii_only, session.busy
        self.log_pane = LogPane(ascii_only=ascii_only, busy=busy, id="log")
        self._entries = {name: EntryPane(ascii_only=ascii_only, busy=busy, id=name) for name in PANES[1:]}
        self.panes: dict[str, Pane] = {"log": self.log_pane, **self._entries}
        self._title = Lines(id="job-title")
        self._why = Lines(id="why")

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._why
        yield from self.panes.values()

    def on_mount(self) -> None:
        for name, pane in self.panes.items():
            pane.display = name == self.pane

    @property
    def current(self) -> Pane:
        """The pane in view."""
        return self.panes[self.pane]

    def show(self, row: JobRow | None) -> None:
        """Another job, or the same one as it is now."""
        if row is None or self.row is None or row.spec.id != self.row.spec.id:
            self.attempt = None
        self.row = row
        self._draw_why()
        self._open()
        self.draw_title()

    def switch(self, pane: str) -> None:
        had_focus = self.current.has_focus
        self.pane = pane
        for name, one in self.panes.items():
            one.display = name == pane
        if had_focus:
            # At once: of keys typed together, the next one is the new pane's.
            self.screen.set_focus(self.current)
        self.show(self.row)

    def older(self, by: int) -> bool:
        """The files of another try; False when there is none."""
        row = self.row
        newest = len(row.attempts) if row is not None else 0
        number = (self.attempt or newest) - by
        if not 1 <= number <= newest:
            return False
        self.attempt = None if number == newest else number
        self.show(row)
        return True

    def tick(self) -> None:
        """The times of a running try go on, and it may have come to hang."""
        self._draw_why()
        if self.pane == "tries":
            self._open()

    def restyle(self) -> None:
        """Another theme."""
        for pane in self.panes.values():
            pane.restyle()

    async def save(self, folder: Path) -> Path:
        """Save all that the pane in view shows; the path of the new file.

        Raises:
            OSError: as the saving does.
        """
        row, pane = self.row, self.pane
        if row is None:
            raise FileNotFoundError("no job selected")
        files = self._files()
        number = self.attempt or len(row.attempts)
        name = f"{row.spec.id}.try{number}.{pane}" if number else f"{row.spec.id}.{pane}"
        if pane == "log":
            if self.log_pane.path is None:
                raise FileNotFoundError("there is no log to save")
            return await save_copy(self.log_pane.path, folder, name)
        # One of its own: that of the pane ends when another pane is looked at.
        reading = self._reading(files)
        if isinstance(reading, TriesReading):
            reading.show(row, self._session.eyes())
        return await save_text(reading, folder, name)

    def _files(self) -> JobFiles:
        board = self._session.board
        return job_files(self.row, self.attempt, self._session.sweep_dir, board.plan.speed if board.plan else 1.0)

    def _open(self) -> None:
        """The pane in view reads the files of the job in view; the others read nothing."""
        row, files = self.row, self._files()
        for name, pane in self._entries.items():
            if name != self.pane:
                pane.close()
        if self.pane == "log":
            self._open_log(files)
            return
        pane = self._entries[self.pane]
        key = (row.spec.id if row else None, *(() if self.pane == "tries" else files.key))
        pane.open(key, files, lambda: self._reading(files))
        if isinstance(pane.reading, TriesReading) and row is not None:
            pane.reading.show(row, self._session.eyes())
            pane.poll(force=True)

    def _reading(self, files: JobFiles) -> Reading:
        # Imported when somebody looks: what they need is a tenth of the time that attaching takes.
        glyphs = self._session.glyphs
        match self.pane:
            case "steps":
                from tui.steps import StepsReading

                return StepsReading(files, glyphs)
            case "talk":
                from tui.talk import TalkReading

                return TalkReading(files, glyphs)
            case "patch":
                from tui.patch import PatchReading

                return PatchReading(files, glyphs)
            case _:
                return TriesReading(files, self._session.eyes())

    def _open_log(self, files: JobFiles) -> None:
        none = "no log: cooperbench keeps none beside a result" if files.opened else "this try left no output"
        says = files.says or (none if files.ended else "no output yet")
        path = files.attempt / "output.log" if files.attempt else None
        if path is None or path != self.log_pane.path or says != self.log_pane.empty:
            self.log_pane.open(path, says)

    def _draw_why(self) -> None:
        """The whole sentence about a job that is not well: the table has room for its beginning alone."""
        row, glyphs, session = self.row, self._session.glyphs, self._session
        key, width = session.keymap.shown(key_of("requeue")), self.size.width
        stall = () if row is None or self.alone else stall_line(row, session.eyes(), key, width)
        if stall:
            self._why.show([stall])
            return
        shown = row is not None and row.reason and row.state in {"failed", "retrying", "queued"} and self.pane == "log"
        if row is None or not shown:
            self._why.show([])
            return
        reason = clean(row.reason, ascii_only=glyphs.ascii_only)
        self._why.show([(Span(fit(f" {reason}", width, more=glyphs.more), STATE_TONES[row.state]),)])

    def draw_title(self) -> None:
        """The rule: the job, the panes, what the log does."""
        session, row, width = self._session, self.row, self.size.width
        rule = session.glyphs.rule
        name: Line = (Span("no job", "muted"),)
        if row is not None:
            name = (Span(job_name(row, session.glyphs), "strong"),)
        panes = [
            (Span(session.keymap.shown(key), "key"), Span(f" {key.label}", "strong" if on else "muted"))
            for key in KEYS
            if key.id in PANES
            for on in (key.id == self.pane,)
        ]
        status = self.current.status
        tone: Tone = "title" if self.current.has_focus else "bar"
        left: Line = (Span(rule + " ", tone), *name, Span(" "))
        end: Line = (*((Span(f"  {status}", "muted"),) if status else ()), Span(f" {rule}", tone))
        right: Line = (Span(" "), *join(panes), *end)
        if width_of(left) + width_of(right) > width:
            right = (Span(" "), *join(panes, " "), *end)
        number = (self.attempt or len(row.attempts)) if row is not None and self.pane != "tries" else 0
        which = (*left, Span(f" try {number} ", "muted"))
        if number and width_of(which) + width_of(right) <= width:
            left = which
        left = clip(left, max(0, width - width_of(right)), more=session.glyphs.more)
        fill = rule * max(0, width - width_of(left) - width_of(right))
        self._title.show([(*left, Span(fill, tone), *right)])

    def on_pane_moved(self) -> None:
        self.draw_title()

    def on_resize(self) -> None:
        self._draw_why()
        self.draw_title()

    def on_descendant_focus(self) -> None:
        self.draw_title()

    def on_descendant_blur(self) -> None:
        self.draw_title()
