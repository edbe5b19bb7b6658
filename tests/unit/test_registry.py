"""Sizes are for the bars: whatever a registry says, none of it is an error of ours."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from runner.adapters.docker_engine import Engine
from runner.adapters.registry import registry_sizes

NAME = "akhatua/cooperbench-toy:task1"


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """A registry that says this to everybody; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    with caller, suppress(OSError):
                        caller.recv(65536)
                        caller.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"this is no http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff",
        b"HTTP/1.1 302 Found\r\nLocation: gopher://x\r\n\r\n",
        b"",
    ],
    ids=["no http", "cut off", "bad chunk", "many headers", "no text", "elsewhere", "nothing"],
)
def test_an_answer_that_is_no_answer_is_no_size(answer: bytes) -> None:
    with saying(answer) as address:
        engine = Engine(None, "unix:///x", None, "", (address,), "x86_64")  # type: ignore[arg-type]
        assert registry_sizes(engine, [NAME], within_s=20, hub=address) == {}


def test_addresses_that_are_none_are_no_size() -> None:
    engine = Engine(None, "unix:///x", None, "", ("http://[", "http://x y/\n", "ftp://x"), "x86_64")  # type: ignore[arg-type]
    assert registry_sizes(engine, [NAME], within_s=20, hub="http://[") == {}
