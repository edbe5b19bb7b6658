"""Clients that die, never read, talk nonsense, or belong to somebody else: the runner and the others go on."""

import os
import pty
import random
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio

from runner import __version__
from runner.client import RunningSweep, Update
from runner.model.commands import SetSlots
from runner.wire import frames
from tests.faults.bed import COOPDECK, SWEEP, Bed, until
from tests.faults.invariants import at_the_end
from tests.faults.suite import Skipped

NOBODY = 65534
ANSWER_S = 20.0
"""Whom a deaf client held up would wait for ever; a disk under load takes seconds for what is synced."""
PAINT_S = 60.0
GROWTH_MB = 48.0
MINUTE_S = 60.0
ASKED_A_SECOND = 20
BURST = 100
ENTRIES = 12_000
"""Events in ten minutes of a busy sweep, and three times what the runner keeps for one client."""


@contextmanager
def _quiet_sweep(folder: Path, **fault: object) -> Iterator[Bed]:
    """A sweep whose jobs go on for as long as the test wants."""
    bed = Bed(folder, 4, slots=2, speed=1e6, timeout_s=7200.0, faults=[{"fault": "slow", "factor": 1e9}])
    try:
        bed.start(**fault)
        yield bed
    finally:
        bed.close()


def _end_well(bed: Bed) -> list[str]:
    """Stop, mend, finish: as a user would after the trouble."""
    wrong = []
    if bed.runners[-1].poll() is not None:
        wrong.append(f"the runner went down with {bed.runners[-1].returncode}: {bed.last_words()}")
    else:
        stopped = bed.coopdeck("stop", SWEEP, "--now")
        if stopped.returncode or not until(lambda: bed.runners[-1].poll() is not None):
            wrong.append(f"the runner does not stop: {stopped.stderr}")
    (bed.folder / "faults.json").write_text('{"faults": []}')
    return wrong + bed.finish() + at_the_end(bed)


def killed_dashboards(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Each in a terminal of its own, at any moment from its start to a painted screen."""
    with _quiet_sweep(folder / "s") as bed:
        for case in range(cases):
            wrong = _kill_dashboard(bed, seeded.uniform(0.3, 3.0), painted=case % 4 == 0)
            if bed.runners[-1].poll() is not None:
                wrong.append(f"the runner went down with the dashboard: {bed.last_words()}")
            elif not until(lambda: _attached(bed) == 1, 60, 0.2):
                wrong.append("the runner still counts the dead dashboard")
            if case == cases - 1:
                wrong += _end_well(bed)
            yield wrong


def _kill_dashboard(bed: Bed, after_s: float, *, painted: bool) -> list[str]:
    """So long after its start, or as soon as it has painted."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(bed.folder)
        os.environ["TERM"] = "xterm-256color"
        os.execv(COOPDECK[0], [*COOPDECK, "attach", SWEEP])
    deadline = time.monotonic() + (PAINT_S if painted else after_s)
    written = b""
    os.set_blocking(terminal, False)
    while time.monotonic() < deadline and not (painted and b"REHEARSAL" in written):
        with suppress(BlockingIOError, OSError):
            written += os.read(terminal, 65536)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return [f"the dashboard painted nothing in {PAINT_S:g} s"] if painted and b"REHEARSAL" not in written else []


def _attached(bed: Bed) -> int:
    """How many clients the runner says there are, this one included."""
    return anyio.run(_ask_attached, bed)


async def _ask_attached(bed: Bed) -> int:
    seen: list[int] = []
    source = RunningSweep(bed.places.socket(SWEEP))

    def take(update: Update) -> None:
        if update.link == "attached" and not update.whole:
            seen.append(update.attached)

    with anyio.move_on_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(source.follow, take)
            while not seen:
                await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
    return seen[-1] if seen else 0


def never_reads(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Ten minutes of events for a client that takes none of them, while another one asks and is answered."""
    for case in range(cases):
        small = case % 2 == 0
        with _quiet_sweep(folder / str(case), **({"buffer": 64} if small else {})) as bed:
            deaf = [_hello(bed) for _ in range(seeded.randint(1, 4))]
            before = _resident_mb(bed)
            slowest = anyio.run(_ask_often, bed, ENTRIES // 40 if small else ENTRIES)
            grown = _resident_mb(bed) - before
            wrong = []
            if slowest > ANSWER_S:
                wrong.append(f"another client waited {slowest:.1f} s for its answer")
            if grown > GROWTH_MB:
                wrong.append(f"the runner grew by {grown:.0f} MB")
            wrong += _end_well(bed)
            for one in deaf:
                one.close()
            yield wrong


def never_reads_by_time(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """So many minutes in one sitting: deaf clients, and one that asks twenty times a second. A case is a minute."""
    with _quiet_sweep(folder / "s") as bed:
        deaf = [_hello(bed) for _ in range(3)]
        before = _resident_mb(bed)
        for case in range(cases):
            ends, slowest, asked = time.monotonic() + MINUTE_S, 0.0, 0
            while time.monotonic() < ends:
                slowest = max(slowest, anyio.run(_ask_often, bed, BURST))
                asked += BURST
                time.sleep(BURST / ASKED_A_SECOND)
            wrong = []
            if slowest > ANSWER_S:
                wrong.append(f"another client waited {slowest:.1f} s for its answer")
            if not asked:
                wrong.append("nothing was asked in a minute")
            if (grown := _resident_mb(bed) - before) > GROWTH_MB:
                wrong.append(f"the runner grew by {grown:.0f} MB")
            if case == cases - 1:
                wrong += _end_well(bed)
                for one in deaf:
                    one.close()
            yield wrong


def _hello(bed: Bed) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(bed.places.socket(SWEEP)))
    client.sendall(frames.encode(frames.Hello(frames.PROTOCOL, __version__)))
    return client


def _resident_mb(bed: Bed) -> float:
    status = Path(f"/proc/{bed.runners[-1].pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def _ask_often(bed: Bed, number: int) -> float:
    """Each answered command is an event; the longest wait for an answer."""
    source = RunningSweep(bed.places.socket(SWEEP))
    attached = anyio.Event()
    slowest = 0.0

    async def some(offset: int) -> None:
        nonlocal slowest
        for place in range(offset, number, 50):
            asked = time.monotonic()
            reply = await source.ask(SetSlots(2 + place % 2))
            slowest = max(slowest, time.monotonic() - asked if reply.ok else 1e9)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.follow, lambda _: attached.set())
        await attached.wait()
        async with anyio.create_task_group() as asking:
            for offset in range(50):
                asking.start_soon(some, offset)
        tasks.cancel_scope.cancel()
    return slowest


def random_bytes(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Noise before the greeting and after it, torn frames, frames without an end, and a hang-up at any moment."""
    with _quiet_sweep(folder / "s") as bed:
        for case in range(cases):
            with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(bed.places.socket(SWEEP)))
                if case % 2:
                    client.sendall(frames.encode(frames.Hello(frames.PROTOCOL, __version__)))
                client.sendall(_noise(seeded))
                if seeded.random() < 0.7:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1 << 20):
                        pass
            wrong = []
            if bed.runners[-1].poll() is not None:
                wrong.append(f"the runner went down: {bed.last_words()}")
            elif case % 10 == 0 and _attached(bed) < 1:
                wrong.append("the runner does not answer any more")
            if case == cases - 1:
                wrong += _end_well(bed)
            yield wrong


def _noise(seeded: random.Random) -> bytes:
    ask = frames.encode(frames.Ask(1, SetSlots(2)))
    return seeded.choice(
        (
            lambda: seeded.randbytes(seeded.randint(1, 4096)),
            lambda: seeded.randbytes(200) + b"\n",
            lambda: ask[: seeded.randint(1, len(ask) - 1)],
            lambda: ask[: seeded.randint(1, len(ask) - 1)] + b"\n",
            lambda: b"[" * 100_000 + b"\n",
            lambda: b"x" * (frames.MAX_FRAME + 10),
            lambda: b'{"type": "Ask", "number": 1e999, "command": null}\n',
            lambda: b'{"type": "Welcome"}\n' + b"\0" * 100 + b"\n",
            lambda: b"\n" * 1000,
        )
    )()


def second_user(folder: Path, seeded: random.Random, cases: int) -> Iterator[list[str]]:
    """Another user finds the folder closed, and is refused by the runner where somebody has opened it."""
    if os.getuid() != 0:
        raise Skipped("only root can be a second user here")
    with _quiet_sweep(folder / "s") as bed:
        path = bed.places.socket(SWEEP)
        public = Path("/tmp") / f"{folder.name}-public"
        for case in range(cases):
            wrong = []
            if case % 2 == 0:
                if stat.S_IMODE(path.stat().st_mode) != 0o600 or stat.S_IMODE(path.parent.stat().st_mode) != 0o700:
                    wrong.append("the socket or its folder is open to others")
                said = _as_nobody(path)
                if said != b"refused: 13":
                    wrong.append(f"nobody could reach the socket: {said!r}")
            else:
                public.mkdir(mode=0o755)
                try:
                    os.link(path, public / "socket")
                    path.chmod(0o666)
                    said = _as_nobody(public / "socket")
                    path.chmod(0o600)
                finally:
                    (public / "socket").unlink(missing_ok=True)
                    public.rmdir()
                if said not in {b"", b"refused: 104", b"refused: 32"}:
                    wrong.append(f"the runner talked to another user: {said[:200]!r}")
            if case == cases - 1:
                wrong += _end_well(bed)
            yield wrong


def _as_nobody(path: Path) -> bytes:
    """What a process of another user hears at the socket."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        said = b""
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(60)
                client.connect(str(path))
                client.sendall(frames.encode(frames.Hello(frames.PROTOCOL, __version__)))
                while some := client.recv(4096):
                    said += some
        except OSError as error:
            said = f"refused: {error.errno}".encode()
        finally:
            os.write(writer, said[:4096])
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said
