"""A client of a runner: attach, fold what happens, reconnect, ask."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, Protocol

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from runner import __version__
from runner.model.board import Board
from runner.model.commands import Command, Reply
from runner.model.events import Envelope
from runner.model.failure import one_line
from runner.model.ids import JobId
from runner.model.reduce import reduce
from runner.wire import frames
from runner.wire.codec import load_envelope

RECONNECT_S = 0.25
ANSWER_S = 10.0

Link = Literal["attached", "reconnecting", "over"]


class Refused(Exception):
    """The runner would not talk to this client; the message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a client now knows."""

    board: Board
    envelopes: tuple[Envelope, ...]
    """What has happened since the last update; empty when `whole`."""
    whole: bool
    """The board was sent anew: anything may have changed."""
    link: Link
    attached: int = 1
    """How many clients watch this sweep."""


class Source(Protocol):
    """Where a screen gets its board from: a running sweep, one that is over, or a test."""

    @property
    def sweep_dir(self) -> Path | None:
        """The sweep's folder, which the attempts' folders are relative to; None until known."""

    async def follow(self, seen: Callable[[Update], None]) -> None:
        """Call `seen` with every update; returns when the runner has ended and nothing more can come."""

    async def ask(self, command: Command) -> Reply:
        """Never raises for a runner that is gone: the reply says so."""


class FinishedSweep:
    """The source for a sweep that no runner owns now."""

    def __init__(self, board: Board, sweep_dir: Path) -> None:
        self._board = board
        self._sweep_dir = sweep_dir

    @property
    def sweep_dir(self) -> Path | None:
        return self._sweep_dir

    async def follow(self, seen: Callable[[Update], None]) -> None:
        seen(Update(self._board, (), True, "over"))

    async def ask(self, command: Command) -> Reply:
        name = self._board.plan.sweep if self._board.plan else "NAME"
        return Reply(False, f"no runner is up for this sweep; start it again with: coopdeck run {name}")


class RunningSweep:
    """The source for a sweep whose runner listens on a unix socket."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._stream: SocketStream | None = None
        self._numbers = count(1)
        self._answers: dict[int, Callable[[Reply], None]] = {}
        self._sweep_dir: Path | None = None
        self._board = Board()
        self._attached = 1

    @property
    def sweep_dir(self) -> Path | None:
        return self._sweep_dir

    async def follow(self, seen: Callable[[Update], None]) -> None:
        """Attach and stay attached.

        Raises:
            Refused: the runner speaks another protocol.
            OSError: there is no runner at the socket to begin with.
        """
        await self._attach(seen)
        while self._board.runner is None or self._board.runner.stopped_at is None:
            seen(Update(self._board, (), False, "reconnecting", self._attached))
            # A runner that was killed is not coming back by itself, but one that is started again listens here.
            await anyio.sleep(RECONNECT_S)
            try:
                await self._attach(seen)
            except OSError:
                continue
        seen(Update(self._board, (), False, "over", 0))

    async def ask(self, command: Command) -> Reply:
        stream, number = self._stream, next(self._numbers)
        if stream is None and self._board.runner is not None and self._board.runner.stopped_at is not None:
            return Reply(False, "the runner has stopped")
        if stream is None:
            return Reply(False, "the runner does not answer; trying to reach it again")
        answered = anyio.Event()
        replies: list[Reply] = []

        def answer(reply: Reply) -> None:
            replies.append(reply)
            answered.set()

        self._answers[number] = answer
        try:
            with anyio.fail_after(ANSWER_S):
                await stream.send(frames.encode(frames.Ask(number, command)))
                await answered.wait()
        except (TimeoutError, anyio.BusyResourceError):
            return Reply(False, f"the runner did not answer within {ANSWER_S:g} s")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return Reply(False, "the runner has gone away")
        finally:
            self._answers.pop(number, None)
        return replies[0]

    async def _attach(self, seen: Callable[[Update], None]) -> None:
        """One connection, from hello to its end."""
        async with await anyio.connect_unix(self._path) as stream:
            lines = BufferedByteReceiveStream(stream)
            try:
                await stream.send(frames.encode(frames.Hello(frames.PROTOCOL, __version__)))
                parts: list[frames.BoardPart] = []
                theirs = "of a version that is not known"
                while True:
                    frame = await _heard(lines, theirs)
                    match frame:
                        case frames.Welcome():
                            self._sweep_dir = Path(frame.sweep_dir)
                            self._stream = stream
                            theirs = f"coopdeck {frame.version}"
                        case frames.Refusal(says):
                            raise Refused(says)
                        case frames.BoardPart():
                            parts.append(frame)
                            if not frame.more:
                                self._board = frames.board_of(parts)
                                parts = []
                                seen(Update(self._board, (), True, "attached", self._attached))
                        case frames.Happened():
                            self._attached = frame.attached
                            self._fold(tuple(map(load_envelope, frame.envelopes)), seen)
                        case frames.Answer(number, reply):
                            if number in self._answers:
                                self._answers[number](reply)
                        case frames.Hello() | frames.Ask():
                            raise ValueError("a runner does not say this")
            except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                pass  # the runner ended or dropped us: the caller decides by the board whether to come back
            finally:
                self._stream = None

    def _fold(self, envelopes: tuple[Envelope, ...], seen: Callable[[Update], None]) -> None:
        fresh = tuple(envelope for envelope in envelopes if envelope.seq > self._board.seq)
        for envelope in fresh:
            self._board = reduce(self._board, envelope)
        seen(Update(self._board, fresh, False, "attached", self._attached))


async def _heard(lines: BufferedByteReceiveStream, theirs: str) -> frames.Frame:
    """The runner's next frame; raises Refused for what is none."""
    try:
        return frames.decode(await lines.receive_until(b"\n", frames.MAX_FRAME))
    except (ValueError, anyio.DelimiterNotFound) as error:
        says = f"this is coopdeck {__version__} and does not understand the sweep's runner, {theirs}"
        raise Refused(f"{says}: {one_line(str(error))}") from None


def touched(envelopes: tuple[Envelope, ...]) -> frozenset[JobId]:
    """The jobs that some envelopes speak of."""
    jobs: set[JobId] = set()
    for envelope in envelopes:
        job: JobId | None = getattr(envelope.event, "job", None)
        if job is not None:
            jobs.add(job)
    return frozenset(jobs)
