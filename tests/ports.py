"""Ports for servers that a test starts, and one that nothing listens at."""

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

# Below those that the system hands out by itself: a server that was ended finds its port free when it comes back.
_FROM, _TO = 20_000, 32_000


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    while True:
        port = random.randrange(_FROM, _TO)
        with socket.socket() as one:
            # As a server would: what is left of an ended connection is in nobody's way.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses, for as long as it is held."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
