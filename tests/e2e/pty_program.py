"""A program in a real terminal of its own: what it writes, byte by byte, and what stands on the screen then."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte


class PtyProgram:
    """Keeps every byte that the program writes."""

    def __init__(self, argv: list[str], folder: Path, size: tuple[int, int], environ: Mapping[str, str]) -> None:
        self.written = bytearray()
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._ended = False
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
            os.chdir(folder)
            os.execve(argv[0], argv, {**os.environ, "TERM": "xterm-256color", **environ})

    @property
    def screen(self) -> str:
        return "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take what is written within some time; False when the program has ended."""
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:
            data = b""
        self._ended = not data
        self.written += data
        # pyte stops at sequences that it does not know; none of them is text.
        self._stream.feed(re.sub(rb"\x1b\[[?><=][0-9;]*[a-z$]+", b"", data))
        return bool(data)

    def until(self, true: Callable[[str], bool], what: str, seconds: float = 90) -> str:
        deadline = time.monotonic() + seconds
        while not true(self.screen):
            assert self.read(0.1), f"it ended before {what}\n{self.screen}"
            assert time.monotonic() < deadline, f"never seen: {what}\n{self.screen}"
        return self.screen

    def shows(self, *words: str) -> str:
        return self.until(lambda screen: all(word in screen for word in words), f"{words}")

    def settle(self, quiet_s: float = 0.4) -> None:
        """Until it has written nothing for a moment; at most some seconds."""
        deadline = time.monotonic() + 10
        size = -1
        while size != len(self.written) and time.monotonic() < deadline:
            size = len(self.written)
            until = time.monotonic() + quiet_s
            while time.monotonic() < until and self.read(0.05):
                pass

    def end(self) -> None:
        """Take the rest, if it ends by itself; else end it."""
        deadline = time.monotonic() + 90
        while not self._ended and time.monotonic() < deadline:
            self.read(0.1)
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._terminal)
