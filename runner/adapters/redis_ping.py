"""Whether a Redis answers, asked with one PING over a plain connection: no client library for one word."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
from anyio.abc import ByteStream

from runner.model.failure import one_line

PORT = 6379
PING_S = 2.0
_ANSWER_LIMIT = 1024
_PASSWORD = ("-NOAUTH", "-WRONGPASS")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a `redis://`, `rediss://` or `unix://` URL leads, as redis-py reads it."""

    host: str
    port: int
    tls: bool = False
    path: str = ""
    """Of a unix socket, in the place of host and port."""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def address_of(url: str) -> Address:
    """Raises ValueError, with a sentence: it leads to no Redis."""
    refusal = ValueError(f"'{url}' is no address of a Redis; one looks like redis://localhost:6379")
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        raise refusal from None
    if parts.scheme == "unix" and parts.path:
        return Address("", 0, path=parts.path)
    if parts.scheme not in {"redis", "rediss"}:
        raise refusal
    return Address(parts.hostname or "localhost", port, tls=parts.scheme == "rediss")


async def ping(url: str, within_s: float = PING_S) -> str:
    """Empty when a Redis answers there; else a line that says what is wrong. Never raises for what is out there."""
    try:
        address = address_of(url)
    except ValueError as error:
        return str(error)
    try:
        with anyio.fail_after(within_s):
            async with await _connect(address) as stream:
                await stream.send(b"*1\r\n$4\r\nPING\r\n")
                answer = await _line(stream)
    except TimeoutError:
        return f"{address} has not answered for {within_s:g} s"
    except anyio.EndOfStream:
        return f"{address} closes the connection"
    except (OSError, anyio.BrokenResourceError, ValueError) as error:
        return f"{address} cannot be reached: {_why(error)}"
    if answer == "+PONG":
        return ""
    if answer.startswith(_PASSWORD):
        return (
            f"{address} asks for a password, and upstream takes one as an argument alone, for everybody on the machine "
            "to read: name a Redis without"
        )
    return f"{address} does not answer as a Redis: {one_line(answer.removeprefix('-'))[:80]}"


async def _connect(address: Address) -> ByteStream:
    if address.path:
        return await anyio.connect_unix(address.path)
    if address.tls:
        return await anyio.connect_tcp(address.host, address.port, tls=True)
    return await anyio.connect_tcp(address.host, address.port)


async def _line(stream: ByteStream) -> str:
    said = b""
    while b"\n" not in said and len(said) < _ANSWER_LIMIT:
        said += await stream.receive(_ANSWER_LIMIT)
    return said.partition(b"\n")[0].decode(errors="replace").strip()


def _why(error: BaseException) -> str:
    # anyio wraps what every address of a host said; the first of it is enough.
    while isinstance(error, BaseExceptionGroup) or error.__cause__ is not None:
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__)[:100]
