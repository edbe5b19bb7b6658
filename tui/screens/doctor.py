"""Whether the machine has what a sweep needs: `coopdeck doctor`, live."""

import json
from collections.abc import Sequence
from contextlib import suppress
from subprocess import DEVNULL, PIPE
from typing import ClassVar

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from runner.model.check import Finding, Variable, read_line
from tui.examination import examination_lines, verdict_of
from tui.glyphs import Glyphs
from tui.keys import Keymap, bindings
from tui.sanitise import clean
from tui.widgets.foot import Foot
from tui.widgets.lines import Lines

LONGEST_LINE = 64 * 1024
MOST_LINES = 500
COMPLAINT = 2000


class DoctorScreen(ModalScreen[None]):
    """The lines of a process, as they come; leaving ends the process."""

    CSS_PATH: ClassVar[str] = "../../styles/doctor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("doctor"),
        Binding("down,j", "scroll('down')", show=False),
        Binding("up,k", "scroll('up')", show=False),
        Binding("pagedown,space", "scroll('page_down')", show=False),
        Binding("pageup", "scroll('page_up')", show=False),
        Binding("home,g", "scroll('home')", show=False),
        Binding("end,G", "scroll('end')", show=False),
    ]

    def __init__(self, command: Sequence[str], keymap: Keymap, glyphs: Glyphs, *, rehearsal: bool = False) -> None:
        super().__init__(classes="ascii" if glyphs.ascii_only else None)
        self._command = tuple(command)
        self._glyphs = glyphs
        self._rehearsal = rehearsal
        self._lines = Lines()
        self._page = VerticalScroll(self._lines, id="page")
        self.foot = Foot(keymap, "doctor")
        self.findings: list[Finding] = []
        self.variables: list[Variable] = []
        self.over = False

    def compose(self) -> ComposeResult:
        yield self._page
        yield self.foot

    def on_mount(self) -> None:
        self._page.focus()
        self.action_look_again()

    def on_resize(self) -> None:
        self._draw()

    def say(self, text: str, *, ok: bool = True) -> None:
        self.foot.say(text, ok=ok)

    def action_look_again(self) -> None:
        """Also while the last look is under way: that one is ended."""
        self.findings, self.variables, self.over = [], [], False
        self._draw()
        self.run_worker(self._look(), group="look", exclusive=True, exit_on_error=False)

    def action_leave_doctor(self) -> None:
        self.dismiss()

    def action_scroll(self, how: str) -> None:
        getattr(self._page, f"scroll_{how}")(animate=False)

    async def _look(self) -> None:
        try:
            process = await anyio.open_process(self._command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
        except OSError as error:
            self._end(error.strerror or str(error))
            return
        async with process:
            try:
                complaint = await self._read(process)
            finally:
                # Leaving the screen cancels this: the process must not look on for nobody.
                with suppress(ProcessLookupError):
                    process.kill()
        self._end(complaint)

    async def _read(self, process: anyio.abc.Process) -> str:
        """Show what it says until it is over; its last words, where it says nothing that can be shown."""
        assert process.stdout is not None  # noqa: S101 - asked for above
        assert process.stderr is not None  # noqa: S101
        stream = BufferedByteReceiveStream(process.stdout)
        for _ in range(MOST_LINES):
            try:
                line = await stream.receive_until(b"\n", LONGEST_LINE)
            except (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.ClosedResourceError):
                break
            self._take(line)
        if self.findings:
            return ""
        with suppress(anyio.EndOfStream):
            return (await process.stderr.receive(COMPLAINT)).decode(errors="replace")
        return "it said nothing"

    def _take(self, line: bytes) -> None:
        try:
            told = read_line(json.loads(line))
        except ValueError:
            return
        if isinstance(told, Finding):
            self.findings.append(told)
        elif told is not None:
            self.variables.append(told)
        self._draw()

    def _end(self, complaint: str) -> None:
        if complaint:
            words = " ".join(complaint.split()).removeprefix("coopdeck: ")
            self.findings.append(Finding("doctor", "fail", f"it could not look: {words}"))
        self.over = True
        self._draw()

    def _draw(self) -> None:
        width = self.app.size.width - 4
        if not self.is_mounted or width <= 0:
            return
        lines = examination_lines(
            self.findings, self.variables, width, ascii_only=self._glyphs.ascii_only, rehearsal=self._rehearsal
        )
        self._lines.show(lines)
        self._lines.styles.height = max(1, len(lines))
        said = verdict_of(self.findings, over=self.over, rehearsal=self._rehearsal)
        self._page.border_title = clean(f"doctor: {said}", ascii_only=self._glyphs.ascii_only)
