"""Processes that leave their attempt's group are found by the token, ended and reaped; others are left alone."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from runner.adapters.strays import token_of

PROGRAM = """
import os, signal, sys, time, uuid
from pathlib import Path

import anyio

from runner.adapters.processes import ProcessLauncher
from runner.adapters.strays import become_subreaper, orphans, stat_of
from runner.engine.ports import LaunchOrder

FOLDER = Path(sys.argv[1])
# Of this run alone, where every process of the machine is looked at.
ONE, OTHER = uuid.uuid4().hex, uuid.uuid4().hex
# Forks away into a session of its own, twice, and lets its parents go.
ESCAPE = '''
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        if "stubborn" in sys.argv:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60 if "brief" not in sys.argv else 0)
    os._exit(0)
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read():
    time.sleep(0.01)
if "stay" in sys.argv:
    time.sleep(60)
'''


def order(name, *how, token):
    folder = FOLDER / name
    folder.mkdir()
    argv = (sys.executable, "-c", ESCAPE, str(folder / "pid"), *how)
    return LaunchOrder(argv, {**os.environ, "COOPDECK_TOKEN": token}, folder, folder)


async def escaped(launcher, name, *how, token):
    process = await launcher.start(order(name, *how, token=token))
    while not (FOLDER / name / "pid").exists() or not (FOLDER / name / "pid").read_text():
        await anyio.sleep(0.01)
    return process, int((FOLDER / name / "pid").read_text())


def up(pid):
    stat = stat_of(pid)
    return stat is not None and not stat.dead


async def main():
    launcher = ProcessLauncher()
@CODE@

become_subreaper()
anyio.run(main)
"""


def play(tmp_path: Path, code: str) -> None:
    """In a process of its own: a subreaper among the tests would take other tests' orphans."""
    program = PROGRAM.replace("@CODE@", textwrap.indent(textwrap.dedent(code), "    "))
    # A session of its own, as the runner has.
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_who_forked_away_is_ended_and_another_attempts_child_is_not(tmp_path: Path) -> None:
    play(
        tmp_path,
        """
        first, one = await escaped(launcher, "one", token="t1")
        second, two = await escaped(launcher, "two", "stay", token="t2")
        assert await first.wait() == 0
        assert up(one) and up(two)
        assert await launcher.end_strays({"t1"}) == 1
        assert not os.path.exists(f"/proc/{one}"), "reaped as well"
        assert up(two) and up(second.pid)
        await second.end(5)
        assert up(two)
        assert await launcher.end_strays(None) == 1
        assert not os.path.exists(f"/proc/{two}")
        assert await launcher.end_strays(None) == 0
        """,
    )


def test_who_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    play(
        tmp_path,
        """
        process, pid = await escaped(launcher, "one", "stubborn", token="t1")
        await process.wait()
        began = time.monotonic()
        assert await launcher.end_strays({"t1"}) == 1
        assert not up(pid) and time.monotonic() - began > 0.9
        """,
    )


def test_an_attempts_own_exit_status_is_not_taken_away(tmp_path: Path) -> None:
    play(
        tmp_path,
        """
        process = await launcher.start(order("one", "brief", token="t1"))
        time.sleep(0.5)
        for tokens in ({"t1"}, None):
            await launcher.end_strays(tokens)
        assert await process.wait() == 0
        killed, _ = await escaped(launcher, "two", "stay", token="t2")
        os.kill(killed.pid, signal.SIGKILL)
        time.sleep(0.2)
        await launcher.end_strays(None)
        assert await killed.wait() == -9
        """,
    )


def test_everywhere_finds_what_is_nobodys_child(tmp_path: Path) -> None:
    play(
        tmp_path,
        """
        import ctypes
        ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
        process, pid = await escaped(launcher, "one", token=ONE)
        await process.wait()
        assert await launcher.end_strays({ONE}) == 0 and up(pid)
        assert await launcher.end_strays({OTHER}, everywhere=True) == 0 and up(pid)
        assert await launcher.end_strays({ONE}, everywhere=True) == 1 and not up(pid)
        """,
    )


@pytest.mark.parametrize("environment", [{"COOPDECK_TOKEN": "mine"}, {}])
def test_the_token_is_read_from_the_environment(environment: dict[str, str]) -> None:
    # Said by the child: for a moment after exec, the kernel shows an empty environment.
    command = ["sh", "-c", "echo up; read line"]
    environment = {**environment, "PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        assert token_of(child.pid) == environment.get("COOPDECK_TOKEN")
        assert token_of(2**22 - 1) is None
