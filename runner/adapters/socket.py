"""The runner's unix socket: hello, the board, what happens, and the users' commands."""

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio.abc import SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from runner import __version__
from runner.engine.hub import Hub, Subscription
from runner.model.board import Board
from runner.model.commands import Command, Reply
from runner.wire import frames
from runner.wire.codec import dump_envelope

HELLO_S = 5.0
SEND_S = 30.0
"""A client that takes nothing for this long is dropped; it can come back and is sent the board."""
EVENTS_A_FRAME = 200
ACCEPT_AGAIN_S = 0.5


class ClientServer:
    """Serves any number of clients; none of them can hold up the runner or another."""

    def __init__(
        self,
        path: Path,
        sweep_dir: Path,
        hub: Hub,
        board: Callable[[], Board],
        obey: Callable[[Command], Awaitable[Reply]],
    ) -> None:
        self._path = path
        self._sweep_dir = sweep_dir
        self._hub = hub
        self._board = board
        self._obey = obey

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; the socket is gone afterwards."""
        self._path.unlink(missing_ok=True)
        listener = await anyio.create_unix_listener(self._path, mode=0o600)
        try:
            async with listener, anyio.create_task_group() as clients:
                task_status.started()
                while True:
                    try:
                        stream = await listener.accept()
                    except anyio.BrokenResourceError:
                        # No descriptor is left for another client. Those that are served, and the sweep, go on.
                        await anyio.sleep(ACCEPT_AGAIN_S)
                        continue
                    clients.start_soon(self._client, stream)
        finally:
            self._path.unlink(missing_ok=True)

    async def _client(self, stream: SocketStream) -> None:
        async with stream:
            try:
                if _peer_uid(stream) != os.getuid():
                    return
                lines = BufferedByteReceiveStream(stream)
                with anyio.fail_after(HELLO_S):
                    hello = frames.decode(await lines.receive_until(b"\n", frames.MAX_FRAME))
                if not isinstance(hello, frames.Hello) or hello.protocol != frames.PROTOCOL:
                    theirs = hello.version if isinstance(hello, frames.Hello) else "unknown"
                    says = (
                        f"this sweep's runner is coopdeck {__version__} and speaks protocol {frames.PROTOCOL}, "
                        f"yours is {theirs}; use that version, or stop the runner and start it again"
                    )
                    await self._send(stream, frames.Refusal(says))
                    return
                await self._talk(stream, lines)
            except (ValueError, OSError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return  # a client that is gone or talks nonsense concerns nobody else
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound):
                return

    async def _talk(self, stream: SocketStream, lines: BufferedByteReceiveStream) -> None:
        board = self._board()
        sweep = board.plan.sweep if board.plan else ""
        welcome = frames.Welcome(frames.PROTOCOL, __version__, os.getpid(), sweep, str(self._sweep_dir))
        turn = anyio.Lock()
        await self._send(stream, welcome)
        with self._hub.subscribe() as subscription:
            try:
                async with anyio.create_task_group() as both:
                    both.start_soon(self._tell, stream, subscription, turn, both)
                    await self._listen(stream, lines, turn)
                    both.cancel_scope.cancel()
            except ExceptionGroup as group:
                raise group.exceptions[0] from None

    async def _tell(self, stream: SocketStream, subscription: Subscription, turn: anyio.Lock, both: TaskGroup) -> None:
        async for envelopes in subscription.take():
            async with turn:
                if envelopes is None:
                    for part in frames.board_parts(self._board()):
                        await self._send(stream, part)
                    continue
                for start in range(0, max(1, len(envelopes)), EVENTS_A_FRAME):
                    some = tuple(dump_envelope(one) for one in envelopes[start : start + EVENTS_A_FRAME])
                    await self._send(stream, frames.Happened(some, self._hub.attached))
        both.cancel_scope.cancel()

    async def _listen(self, stream: SocketStream, lines: BufferedByteReceiveStream, turn: anyio.Lock) -> None:
        while True:
            try:
                line = await lines.receive_until(b"\n", frames.MAX_FRAME)
            except (anyio.EndOfStream, anyio.IncompleteRead):
                return
            frame = frames.decode(line)
            if not isinstance(frame, frames.Ask):
                raise ValueError("a client only asks")
            reply = await self._obey(frame.command)
            async with turn:
                await self._send(stream, frames.Answer(frame.number, reply))

    async def _send(self, stream: SocketStream, frame: frames.Frame) -> None:
        with anyio.fail_after(SEND_S):
            await stream.send(frames.encode(frame))


def _peer_uid(stream: SocketStream) -> int:
    """The user behind the connection (unix(7), SO_PEERCRED)."""
    raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)  # noqa: S610 - no Django here
    credentials = raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)
