"""Processes of attempts: a session of their own, found again, ended with everything in their group."""

import errno
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from runner.adapters import processes, strays
from runner.adapters.processes import ProcessLauncher, started_ticks
from runner.adapters.warm_launcher import WarmLauncher
from runner.engine.ports import LaunchOrder, LaunchRefused
from tests.unit.warm_bed import WarmBed

pytestmark = pytest.mark.anyio


Launcher = ProcessLauncher | WarmLauncher


@pytest.fixture
def bed(tmp_path: Path) -> WarmBed:
    return WarmBed(tmp_path)


@pytest.fixture(params=["cli", "warm"])
async def launcher(request: pytest.FixtureRequest, bed: WarmBed) -> AsyncIterator[Launcher]:
    """What either of them promises; each test that names this runs with both."""
    launcher = bed.warm() if request.param == "warm" else ProcessLauncher()
    yield launcher
    await launcher.close()
    assert not bed.fell, "it was the plain command that was tested"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("raise SystemExit(7)", 7),
        ("raise SystemExit('no')", 1),
        ("1 / 0", 1),
        ("import os; os.abort()", -6),
    ],
)
async def test_it_waits_for_the_exit_status(code: str, status: int, launcher: Launcher, bed: WarmBed) -> None:
    process = await launcher.start(bed.order(code))
    assert await process.wait() == status


async def test_both_outputs_go_to_one_file_and_there_is_no_input(launcher: Launcher, bed: WarmBed) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); assert sys.stdin.read() == ''"
    assert await (await launcher.start(bed.order(code))).wait() == 0
    assert bed.said().split() == ["out", "err"]


async def test_it_leads_a_session_of_its_own(launcher: Launcher, bed: WarmBed) -> None:
    process = await launcher.start(bed.order("import os; print(os.getsid(0) == os.getpid())"))
    await process.wait()
    assert bed.said().strip() == "True"


async def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="No such file"):
        await ProcessLauncher().start(LaunchOrder((str(tmp_path / "nothing"),), {}, tmp_path, tmp_path))


async def test_ending_is_sigterm_first(launcher: Launcher, bed: WarmBed) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    process = await launcher.start(bed.order(code))
    await bed.until_said("up")
    with anyio.fail_after(40):
        await process.end(39)
    assert "bye" in bed.said()


async def test_who_ignores_sigterm_is_killed_with_all_its_group(launcher: Launcher, bed: WarmBed) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'])\n"
        "print('child', child.pid, flush=True); time.sleep(60)"
    )
    process = await launcher.start(bed.order(code))
    child = int((await bed.until_said("child")).split()[1])
    with anyio.fail_after(40):
        await process.end(0.2)
        while started_ticks(child) is not None:
            await anyio.sleep(0.01)


async def test_a_process_of_an_earlier_runner_is_adopted_and_a_stranger_is_not(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])  # noqa: ASYNC220
    try:
        ticks = started_ticks(child.pid)
        assert ticks is not None
        launcher = ProcessLauncher()
        assert await launcher.adopt(child.pid, ticks + 1) is None
        assert await launcher.adopt(2**22 - 1, 5) is None
        adopted = await launcher.adopt(child.pid, ticks)
        assert adopted is not None
        os.kill(child.pid, signal.SIGKILL)
        with anyio.fail_after(40):
            assert await adopted.wait() is None
    finally:
        child.kill()
        child.wait()


async def test_a_process_is_found_by_its_token(launcher: Launcher, bed: WarmBed) -> None:
    token = uuid.uuid4().hex
    process = await launcher.start(bed.order("import time; print('up', flush=True); time.sleep(60)", token))
    await bed.until_said("up")
    found = await launcher.find(token, bed.folder / "attempt")
    assert found is not None
    assert found.pid == process.pid
    assert await launcher.find(token[:-1], bed.folder) is None
    await process.end(0.1)
    assert await launcher.find(token, bed.folder / "attempt") is None
    assert await found.wait() is None


async def test_it_knows_how_long_a_process_has_been_up_whatever_the_time_of_day(
    launcher: Launcher, bed: WarmBed
) -> None:
    process = await launcher.start(bed.order("import time; time.sleep(60)"))
    await anyio.sleep(0.3)
    assert 0.2 < process.age_s() < 40
    await process.end(1.0)


async def test_a_process_that_cannot_be_looked_at_twice_holds_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[int | OSError] = [7, OSError(errno.EMFILE, "Too many open files"), 7, 8]

    def ticks(_: int) -> int:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(processes, "started_ticks", ticks)
    before = _descriptors()
    with pytest.raises(OSError, match="Too many open files"):
        await ProcessLauncher().adopt(os.getpid(), 7)
    assert await ProcessLauncher().adopt(os.getpid(), 7) is None
    assert _descriptors() == before


async def test_of_two_that_lead_a_session_the_elder_is_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    code = [sys.executable, "-c", "import time; time.sleep(60)"]
    children = []
    try:
        for _ in range(2):
            children.append(subprocess.Popen(code, start_new_session=True))  # noqa: ASYNC220
            await anyio.sleep(0.05)
        found = [strays.Stray(child.pid, started_ticks(child.pid) or 0, "token") for child in reversed(children)]
        monkeypatch.setattr(strays, "carriers", lambda _: found)
        attempt = await ProcessLauncher().find("token")
        assert attempt is not None
        assert attempt.pid == children[0].pid
        attempt.let_go()
    finally:
        for child in children:
            child.kill()
            child.wait()


def _descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())
