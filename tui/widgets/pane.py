"""What the panes of a job have in common: rows in view that are drawn when they differ, moving, following, wrapping."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

POLL_S = 0.1
BUDGET_S = 0.01
ACROSS = 16


class Pane(Widget, can_focus=True):
    """Looks at its files ten times a second while it is on the screen, and reads for some milliseconds at a time.

    It shows entries 0 to `entries`, each some rows; the place in view is an entry and a row of it.
    """

    class Said(Message):
        """A sentence for the user."""

        def __init__(self, says: str) -> None:
            super().__init__()
            self.says = says

    class Moved(Message):
        """`status` changed."""

    class SaveAsked(Message):
        """All that the pane shows is wanted in a file."""

    def __init__(self, *, ascii_only: bool, busy: Callable[[], bool], id: str | None = None) -> None:
        super().__init__(id=id)
        self.follow = True
        self.wrap = True
        self.status = ""
        self._ascii = ascii_only
        self._busy = busy
        self._top, self._sub, self._left = 0, 0, 0
        self._rows: list[Strip] = []

    # -- what a pane is -----------------------------------------------------------------------------------------

    @property
    def path(self) -> Path | None:
        """The file that is shown."""
        raise NotImplementedError

    @property
    def entries(self) -> int:
        raise NotImplementedError

    @property
    def needle(self) -> str:
        """What is searched for."""
        raise NotImplementedError

    def search(self, needle: str) -> None:
        """Look for a text from the first entry in view on; an empty one takes the marks away."""
        raise NotImplementedError

    def search_again(self, *, back: bool = False) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _read(self) -> bool:
        """Read a few milliseconds' worth; says whether there is anything new."""
        raise NotImplementedError

    @property
    def _unread(self) -> bool:
        """There is more to read at once."""
        raise NotImplementedError

    def _folded(self, number: int) -> list[Strip]:
        """An entry as the rows it takes."""
        raise NotImplementedError

    def _view(self) -> list[Strip]:
        """The rows in view."""
        raise NotImplementedError

    def _words(self) -> list[str]:
        """Where the pane is, for its status."""
        raise NotImplementedError

    # -- reading and drawing ------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(POLL_S, self.poll)

    def on_unmount(self) -> None:
        self.close()

    def poll(self, *, force: bool = False) -> None:
        """Look whether there is more."""
        if not force and (not self.is_on_screen or not self.screen.is_current or self._busy()):
            return
        until = perf_counter() + BUDGET_S
        grew = self._read()
        # What is large takes many looks, and blocks nobody.
        while self._unread and perf_counter() < until and self._read():
            grew = True
        if grew or force:
            self.redraw()

    def redraw(self) -> None:
        """Work out the rows in view, and have those drawn that differ."""
        rows = self._view() if self.size.height else []
        old, self._rows = self._rows, rows
        width = self.size.width
        regions = [
            Region(0, y, width, 1)
            for y in range(max(len(old), len(rows)))
            if y >= len(old) or y >= len(rows) or old[y] != rows[y]
        ]
        if regions:
            self.refresh(*regions)
        unwrapped = [] if self.wrap else [f"unwrapped +{self._left}" if self._left else "unwrapped"]
        words = self._words()
        status = " ".join([*unwrapped, *words]) if words else ""
        if status != self.status:
            self.status = status
            self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        if y < len(self._rows):
            return self._rows[y].adjust_cell_length(self.size.width, self.rich_style)
        return Strip.blank(self.size.width, self.rich_style)

    def on_resize(self) -> None:
        self.restyle()

    def restyle(self) -> None:
        """Draw everything anew, in another theme or size."""
        self._rows = []
        self.redraw()
        self.refresh()

    # -- moving -------------------------------------------------------------------------------------------------

    def _end(self) -> tuple[int, int]:
        """The place from which the last page is in view: entry, and row of that entry."""
        left, number = self.size.height, self.entries
        while number > 0 and left > 0:
            number -= 1
            rows = len(self._folded(number))
            if rows >= left:
                return number, rows - left
            left -= rows
        return 0, 0

    def _scroll(self, by: int) -> None:
        if not self.entries:
            return
        if self.follow:
            self.follow = False
            self._top, self._sub = self._end()
        while by > 0:
            rows = len(self._folded(self._top))
            step = min(by, rows - self._sub)
            by -= step
            self._sub += step
            if self._sub >= rows:
                self._top, self._sub = self._top + 1, 0
            if self._top >= self.entries:
                break
        while by < 0:
            step = min(-by, self._sub)
            by += step
            self._sub -= step
            if by < 0:
                if self._top == 0:
                    break
                self._top -= 1
                self._sub = len(self._folded(self._top))
        self._top, self._sub = min((self._top, self._sub), self._end())
        self.redraw()

    def action_up(self) -> None:
        self._scroll(-1)

    def action_down(self) -> None:
        self._scroll(1)

    def action_page_up(self) -> None:
        self._scroll(1 - self.size.height)

    def action_page_down(self) -> None:
        self._scroll(self.size.height - 1)

    def action_first(self) -> None:
        self.follow = False
        self._top = self._sub = 0
        self.redraw()

    def action_last(self) -> None:
        """The end, and stay there."""
        self.follow = True
        self.redraw()

    def action_left(self) -> None:
        self._left = max(0, self._left - ACROSS)
        self.redraw()

    def action_right(self) -> None:
        if not self.wrap:
            self._left += ACROSS
            self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._scroll(3)

    def action_save(self) -> None:
        self.post_message(self.SaveAsked())

    def toggle_follow(self) -> None:
        if not self.follow:
            self.action_last()
        else:
            self._scroll(0)

    def toggle_wrap(self) -> None:
        self.wrap = not self.wrap
        self._sub = self._left = 0
        self.redraw()
