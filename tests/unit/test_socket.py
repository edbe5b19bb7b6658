"""Runner and clients over a real unix socket: attach, follow, ask; a bad or slow client harms nobody."""

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from runner.adapters.places import socket_folder
from runner.adapters.socket import ClientServer
from runner.client import Refused, RunningSweep, Update
from runner.engine.dispatcher import Dispatcher
from runner.engine.hub import BUFFER, Hub
from runner.model import events as ev
from runner.model.board import Board
from runner.model.commands import Command, Pause, Reply
from runner.model.reduce import with_rows
from runner.model.refusal import UsageRefused
from runner.model.rows import AttemptRow, ContainerRow, JobRow
from runner.wire import frames
from tests.unit.fakes import MemoryLedger, QuickClock, jobs, the_plan

pytestmark = pytest.mark.anyio


class Served:
    def __init__(self, folder: Path) -> None:
        self.hub = Hub()
        self.dispatcher = Dispatcher(Board(), MemoryLedger(), QuickClock(), self.hub.publish)
        self.path = folder / "s.sock"
        self.commands: list[Command] = []

    async def obey(self, command: Command) -> Reply:
        self.commands.append(command)
        return Reply(True, "done")


@asynccontextmanager
async def served(folder: Path, number: int = 3) -> AsyncIterator[Served]:
    it = Served(folder)
    server = ClientServer(it.path, folder, it.hub, lambda: it.dispatcher.board, it.obey)
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.dispatcher.run)
            await it.dispatcher.record(
                ev.RunnerStarted(1, "h", "v"), ev.SweepPlanned(the_plan()), ev.JobsPlanned(jobs(number))
            )
            await tasks.start(server.serve)
            yield it
            tasks.cancel_scope.cancel()


class Watcher:
    def __init__(self, path: Path) -> None:
        self.source = RunningSweep(path)
        self.updates: list[Update] = []
        self.news = anyio.Event()

    def seen(self, update: Update) -> None:
        self.updates.append(update)
        self.news.set()
        self.news = anyio.Event()

    async def follow(self) -> None:
        await self.source.follow(self.seen)

    @property
    def board(self) -> Board:
        return self.updates[-1].board if self.updates else Board()

    async def reaches(self, seq: int) -> None:
        while self.board.seq < seq:
            await self.news.wait()


async def test_a_client_gets_the_board_and_then_what_happens(tmp_path: Path) -> None:
    async with served(tmp_path, 1200) as it, anyio.create_task_group() as clients:
        watcher = Watcher(it.path)
        clients.start_soon(watcher.follow)
        await watcher.reaches(3)
        assert watcher.updates[0].whole
        assert len(watcher.board.order) == 1200
        await it.dispatcher.record(ev.SlotsSet(7), ev.JobSettled(jobs(1)[0].id, "failed"))
        await watcher.reaches(5)
        assert watcher.board == it.dispatcher.board
        assert watcher.source.sweep_dir == tmp_path
        clients.cancel_scope.cancel()


async def test_two_clients_see_the_same_and_know_of_each_other(tmp_path: Path) -> None:
    async with served(tmp_path) as it, anyio.create_task_group() as clients:
        first, second = Watcher(it.path), Watcher(it.path)
        clients.start_soon(first.follow)
        await first.reaches(3)
        clients.start_soon(second.follow)
        await second.reaches(3)
        await it.dispatcher.record(ev.QueuePaused())
        await first.reaches(4)
        await second.reaches(4)
        assert first.board == second.board
        assert first.updates[-1].attached == 2
        clients.cancel_scope.cancel()


async def test_a_command_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path) as it, anyio.create_task_group() as clients:
        watcher = Watcher(it.path)
        assert not (await watcher.source.ask(Pause())).ok
        clients.start_soon(watcher.follow)
        await watcher.reaches(3)
        assert await watcher.source.ask(Pause()) == Reply(True, "done")
        assert it.commands == [Pause()]
        clients.cancel_scope.cancel()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(5000) + b"\n",
        b"x" * (frames.MAX_FRAME + 10),
        frames.encode(frames.Hello(frames.PROTOCOL, "v")) + b'{"type":"Ask"}\n',
        frames.encode(frames.Hello(frames.PROTOCOL, "v")) + frames.encode(frames.Hello(frames.PROTOCOL, "v")),
    ],
    ids=["nothing", "empty", "http", "random", "endless", "half an ask", "hello twice"],
)
async def test_a_client_that_talks_nonsense_is_dropped_alone(sent: bytes, tmp_path: Path) -> None:
    async with served(tmp_path) as it, anyio.create_task_group() as clients:
        good = Watcher(it.path)
        clients.start_soon(good.follow)
        await good.reaches(3)
        stream = await anyio.connect_unix(it.path)
        async with stream:
            try:
                await stream.send(sent)
                await stream.send_eof()
                while True:
                    await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
        await it.dispatcher.record(ev.SlotsSet(9))
        await good.reaches(4)
        assert good.board.slots == 9
        clients.cancel_scope.cancel()


async def test_a_client_of_another_protocol_is_told_so(tmp_path: Path) -> None:
    async with served(tmp_path) as it:
        stream = await anyio.connect_unix(it.path)
        async with stream:
            await stream.send(frames.encode(frames.Hello(99, "9.9")))
            answer = frames.decode((await stream.receive()).splitlines()[0])
        assert isinstance(answer, frames.Refusal)
        assert "9.9" in answer.says


async def test_a_client_that_is_refused_says_why(tmp_path: Path) -> None:
    async def refuse(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(frames.encode(frames.Refusal("use version 9")))

    listener = await anyio.create_unix_listener(tmp_path / "s.sock")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        with pytest.raises(Refused, match="use version 9"):
            await Watcher(tmp_path / "s.sock").follow()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("says", [b"HTTP/1.1 200 OK\n", b"x" * (frames.MAX_FRAME + 10)], ids=["nonsense", "endless"])
async def test_a_runner_that_is_not_understood_is_a_sentence(says: bytes, tmp_path: Path) -> None:
    async def talk(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            welcome = frames.Welcome(frames.PROTOCOL, "9.9", 1, "s", str(tmp_path))
            with suppress(anyio.BrokenResourceError):
                await stream.send(frames.encode(welcome) + says)

    listener = await anyio.create_unix_listener(tmp_path / "s.sock")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        with anyio.fail_after(40), pytest.raises(Refused, match=r"does not understand .* coopdeck 9\.9"):
            await Watcher(tmp_path / "s.sock").follow()
        tasks.cancel_scope.cancel()


def test_no_frame_of_a_board_is_over_the_limit() -> None:
    containers = tuple(ContainerRow("agent1", f"minisweagent-{number:032}", "f" * 12) for number in range(64))
    tries = tuple(AttemptRow(number, "t" * 32, "attempts/" + "x" * 60, 0.0, containers=containers) for number in (1, 2))
    rows = tuple(JobRow(spec, attempts=tries) for spec in jobs(700))
    board = with_rows(Board(), rows)
    parts = list(frames.board_parts(board))
    assert max(len(frames.encode(part)) for part in parts) < frames.MAX_FRAME / 2
    assert [row for part in parts for row in part.rows] == list(rows)
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]


async def test_a_client_that_reads_nothing_holds_up_nobody_and_is_sent_the_board_again(tmp_path: Path) -> None:
    async with served(tmp_path) as it, anyio.create_task_group() as clients:
        good = Watcher(it.path)
        clients.start_soon(good.follow)
        lazy = await anyio.connect_unix(it.path)
        async with lazy:
            await lazy.send(frames.encode(frames.Hello(frames.PROTOCOL, "v")))
            while it.hub.attached < 2:
                await anyio.sleep(0.005)
            for number in range(1, 3 * BUFFER // 100):
                await it.dispatcher.record(*[ev.SlotsSet(number)] * 100)
            await good.reaches(it.dispatcher.board.seq)
            lines, boards = BufferedByteReceiveStream(lazy), list[int]()
            while len(boards) < 2:
                frame = frames.decode(await lines.receive_until(b"\n", frames.MAX_FRAME))
                if isinstance(frame, frames.BoardPart):
                    boards.append(frame.head.seq)
            assert boards[0] < boards[1] == it.dispatcher.board.seq
        clients.cancel_scope.cancel()


async def test_the_socket_is_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path) as it:
        assert stat.S_IMODE(it.path.stat().st_mode) == 0o600
    assert not it.path.exists()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = socket_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    with pytest.raises(UsageRefused, match="private"):
        socket_folder()
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageRefused, match="private"):
        socket_folder()
