"""Restoring the terminal when the dashboard is killed: a program that is gone cannot tidy up after itself."""

import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_OFF = (
    "\\033[?1000l\\033[?1002l\\033[?1003l\\033[?1006l\\033[?1015l"  # mouse
    "\\033[?2004l\\033[?1004l\\033[?2048l\\033[<u"  # paste, focus, resize reports, keyboard protocol
    "\\033[?1049l\\033[?25h\\033[?7h\\033[0m"  # the other screen, cursor, wrapping, colours
)
"""What Textual's driver turns on (textual/drivers/linux_driver.py), turned off; printf's notation."""

_SAYS = "coopdeck: the dashboard was killed; the runner is not, see coopdeck attach"

# The shell that called us may already hold the terminal again: its settings are set all the same (TTOU).
_SCRIPT = f"""trap '' HUP INT QUIT TERM TSTP TTOU TTIN
read -r word
[ "$word" = left ] || {{ stty "$1" < /dev/tty; printf '{_OFF}\r\n{_SAYS}\r\n' > /dev/tty; }} 2> /dev/null
"""


@contextmanager
def restored_terminal() -> Iterator[None]:
    """While the context lasts, a tiny shell waits beside us; if we are killed in it, it restores the terminal."""
    saved = _settings()
    if saved is None:
        yield
        return
    watcher = subprocess.Popen(
        ["/bin/sh", "-c", _SCRIPT, "coopdeck-terminal", saved],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    try:
        yield
    finally:
        if watcher.stdin is not None:
            with suppress(BrokenPipeError), watcher.stdin as pipe:
                pipe.write(b"left\n")
        watcher.wait()


def _settings() -> str | None:
    """The terminal's settings in `stty -g` form; None without a terminal."""
    try:
        termios.tcgetattr(sys.stdin.fileno())
        asked = subprocess.run(["stty", "-g"], stdin=sys.stdin, capture_output=True, text=True, timeout=5, check=True)  # noqa: S607 - POSIX names it so
    except (termios.error, OSError, ValueError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip()
