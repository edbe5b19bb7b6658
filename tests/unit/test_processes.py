"""Processes of attempts: a session of their own, found again, ended with everything in their group."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from runner.adapters.processes import ProcessLauncher, started_ticks
from runner.engine.ports import LaunchOrder, LaunchRefused

pytestmark = pytest.mark.anyio


def order(folder: Path, *argv: str, token: str = "t") -> LaunchOrder:
    return LaunchOrder(argv, {**os.environ, "COOPDECK_TOKEN": token}, folder, folder)


def python(folder: Path, code: str, token: str = "t") -> LaunchOrder:
    return order(folder, sys.executable, "-c", code, token=token)


async def said(folder: Path, words: str) -> str:
    with anyio.fail_after(20):
        while words not in (text := (folder / "output.log").read_text()):  # noqa: ASYNC110
            await anyio.sleep(0.01)
    return text


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(7)", 7), ("import os; os.abort()", -6)])
async def test_it_waits_for_the_exit_status(code: str, status: int, tmp_path: Path) -> None:
    process = await ProcessLauncher().start(python(tmp_path, code))
    assert await process.wait() == status


async def test_both_outputs_go_to_one_file_and_there_is_no_input(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); assert sys.stdin.read() == ''"
    assert await (await ProcessLauncher().start(python(tmp_path, code))).wait() == 0
    assert (tmp_path / "output.log").read_text().split() == ["out", "err"]


async def test_it_leads_a_session_of_its_own(tmp_path: Path) -> None:
    process = await ProcessLauncher().start(python(tmp_path, "import os; print(os.getsid(0) == os.getpid())"))
    await process.wait()
    assert (tmp_path / "output.log").read_text().strip() == "True"


async def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="No such file"):
        await ProcessLauncher().start(order(tmp_path, str(tmp_path / "nothing")))


async def test_ending_is_sigterm_first(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    process = await ProcessLauncher().start(python(tmp_path, code))
    await said(tmp_path, "up")
    with anyio.fail_after(20):
        await process.end(15)
    assert "bye" in (tmp_path / "output.log").read_text()


async def test_who_ignores_sigterm_is_killed_with_all_its_group(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)'])\n"
        "print('child', child.pid, flush=True); time.sleep(60)"
    )
    process = await ProcessLauncher().start(python(tmp_path, code))
    child = int((await said(tmp_path, "child")).split()[1])
    with anyio.fail_after(20):
        await process.end(0.2)
    with anyio.fail_after(5):
        while started_ticks(child) is not None:  # noqa: ASYNC110
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
        with anyio.fail_after(10):
            assert await adopted.wait() is None
    finally:
        child.kill()
        child.wait()


async def test_a_process_is_found_by_its_token(tmp_path: Path) -> None:
    launcher = ProcessLauncher()
    process = await launcher.start(python(tmp_path, "import time; print('up', flush=True); time.sleep(60)", "tok-77"))
    await said(tmp_path, "up")
    found = await launcher.find("tok-77", tmp_path)
    assert found is not None
    assert found.pid == process.pid
    assert await launcher.find("tok-7", tmp_path) is None
    await process.end(0.1)
    assert await launcher.find("tok-77", tmp_path) is None
    assert await found.wait() is None


async def test_it_knows_how_long_a_process_has_been_up_whatever_the_time_of_day(tmp_path: Path) -> None:
    process = await ProcessLauncher().start(python(tmp_path, "import time; time.sleep(60)"))
    await anyio.sleep(0.3)
    assert 0.2 < process.age_s() < 10
    await process.end(1.0)
