"""The warm process: what it shares with attempts, how they end, and who may begin."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from runner.adapters.processes import Process, ProcessLauncher, claim, started_ticks
from runner.adapters.strays import carriers, token_of
from runner.adapters.warm import SCRIPT, WarmGone, WarmProcess
from runner.adapters.warm_launcher import WarmLauncher
from runner.engine.ports import LaunchGone, LaunchOrder, LaunchRefused
from tests.unit.warm_bed import WAIT, WarmBed, forked_by

pytestmark = pytest.mark.anyio


@pytest.fixture
def bed(tmp_path: Path) -> WarmBed:
    return WarmBed(tmp_path)


@pytest.fixture
async def warm(bed: WarmBed) -> AsyncIterator[WarmLauncher]:
    launcher = bed.warm()
    yield launcher
    await launcher.close()


async def gone(pid: int) -> None:
    with anyio.fail_after(40):
        while started_ticks(pid) is not None:
            await anyio.sleep(0.01)


async def test_twenty_at_once_are_twenty_of_one_process(warm: WarmLauncher, bed: WarmBed) -> None:
    code = (
        "import os, sys, time\n"
        "print('up', os.getppid(), os.environ['COOPDECK_TOKEN'], os.getcwd(), flush=True)\n"
        "time.sleep(0.2); sys.exit(int(os.environ['COOPDECK_TOKEN']))"
    )
    statuses: dict[int, int | None] = {}

    async def one(number: int) -> None:
        process = await warm.start(bed.order(code, token=str(number), name=f"a{number}"))
        statuses[number] = await process.wait()

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(one, number)
    assert statuses == {number: number for number in range(20)}
    said = [bed.said(f"a{number}").split() for number in range(20)]
    assert {words[1] for words in said} == {said[0][1]}, "one parent"
    assert [words[2:] for words in said] == [[str(number), str(bed.folder / f"a{number}")] for number in range(20)]
    assert not bed.fell


async def test_the_import_sees_what_attempts_have_in_common_and_nothing_of_any_of_them(
    warm: WarmLauncher, bed: WarmBed
) -> None:
    code = "print(sorted(name for name in SEEN if name.startswith('COOPDECK_')), SEEN['FAKE_IMPORT'])"
    await (await warm.start(bed.order(code, imports="'common'"))).wait()
    assert bed.said() == "['COOPDECK_TOKEN'] 'common'\n"


async def test_an_attempt_changes_nothing_for_the_next(warm: WarmLauncher, bed: WarmBed) -> None:
    spoil = (
        "import builtins, os, resource, signal, sys, random\n"
        "STATE.append(1); os.environ['LEFT'] = '1'; os.chdir('/'); os.umask(0o77); builtins.left = 1\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "print(random.random(), flush=True); os.closerange(0, 256); os.kill(os.getpid(), signal.SIGKILL)"
    )
    look = (
        "import builtins, os, random, resource, signal\n"
        "print(random.random(), STATE, os.environ.get('LEFT'), os.getcwd(), os.umask(0), hasattr(builtins, 'left'),\n"
        "signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), resource.getrlimit(resource.RLIMIT_CORE),\n"
        "os.environ['COOPDECK_TOKEN'], os.environ['COOPDECK_PROBE'], sep='\\n')"
    )
    spoiled = await (await warm.start(bed.order(spoil, token="first", name="spoiled"))).wait()
    assert spoiled == -signal.SIGKILL
    assert await (await warm.start(bed.order(look, token="second"))).wait() == 0
    plain = ProcessLauncher()
    assert await (await plain.start(bed.order(look, token="second", name="plain"))).wait() == 0
    forked, own = bed.said().splitlines(), bed.said("plain").splitlines()
    assert forked[1:] == [line.replace("plain", "attempt") for line in own[1:]], "as a process of its own"
    assert len({forked[0], own[0], bed.said("spoiled").strip()}) == 3, "nor the same chance"


async def test_it_ends_as_an_interpreter_ends(warm: WarmLauncher, bed: WarmBed) -> None:
    code = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'at the end')\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('a thread'))).start()\n"
        "raise SystemExit('the last word')"
    )
    assert await (await warm.start(bed.order(code))).wait() == 1
    assert sorted(bed.said().splitlines()) == ["a thread", "at the end", "the last word"]


async def test_the_probe_begins_in_each_child(warm: WarmLauncher, bed: WarmBed) -> None:
    (bed.folder / "site" / "coopdeck_probe.py").write_text(
        "import os\ndef install():\n    path = os.environ.get('COOPDECK_PROBE')\n"
        "    if path:\n        open(path, 'a').write('installed\\n')\ninstall()\n"
    )
    for name in ("a", "b"):
        await (await warm.start(bed.order("pass", name=name, imports="import coopdeck_probe"))).wait()
        assert (bed.folder / name / "probe.jsonl").read_text() == "installed\n"


async def test_the_token_names_a_child_and_its_children_and_not_the_process_that_forks(
    warm: WarmLauncher, bed: WarmBed
) -> None:
    token = uuid.uuid4().hex
    code = "import subprocess, sys; child = subprocess.Popen(['sleep', '60']);" + WAIT
    process = await warm.start(bed.order(code, token=token))
    parent = await forked_by(bed)
    with anyio.fail_after(40):
        while len(found := carriers({token})) != 2:
            await anyio.sleep(0.01)
    assert process.pid in {carrier.pid for carrier in found}
    assert (token_of(parent) or "").strip("-") == ""
    await process.end(0.1)
    for carrier in found:
        await gone(carrier.pid)


async def test_who_runs_outlives_the_process_that_forked_it_which_is_replaced(warm: WarmLauncher, bed: WarmBed) -> None:
    code = (
        "import os, time\nprint('up', os.getppid(), flush=True)\n"
        "while not os.path.exists('go') and os.path.exists('output.log'): time.sleep(0.01)"
    )
    first = await warm.start(bed.order(code, name="first"))
    parent = await forked_by(bed, "first")
    os.kill(parent, signal.SIGKILL)
    await gone(parent)
    second = await warm.start(bed.order(code, name="second"))
    assert await forked_by(bed, "second") != parent, "it was replaced"
    assert started_ticks(first.pid) is not None, "and what ran goes on"
    for name in ("first", "second"):
        (bed.folder / name / "go").touch()
    with anyio.fail_after(40):
        # Nobody here is the subreaper: the orphan's status is init's.
        assert await first.wait() is None
        assert await second.wait() == 0
    assert not bed.fell
    assert bed.notes == ["the warm process died (killed by SIGKILL); the next attempt gets another"]


ORPHANED = """
import os, signal, sys
from pathlib import Path
import anyio
from runner.adapters.strays import become_subreaper
from tests.unit.warm_bed import WarmBed

async def main():
    bed = WarmBed(Path(sys.argv[1]))
    launcher = bed.warm()
    code = "import os, sys, time\\nprint('up', os.getppid(), flush=True)\\n"
    code += "while not os.path.exists('go') and os.path.exists('output.log'): time.sleep(0.01)\\nsys.exit(7)"
    process = await launcher.start(bed.order(code))
    os.kill(int((await bed.until_said("up")).split()[1]), signal.SIGKILL)
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1] != str(os.getpid()):
        await anyio.sleep(0.01)
    assert await launcher.end_strays(None) == 0, "it is no stray"
    (bed.folder / "attempt" / "go").touch()
    assert await process.wait() == 7
    assert not os.path.exists(f"/proc/{process.pid}"), "reaped"
    await launcher.close()

become_subreaper()
anyio.run(main)
"""


def test_the_runner_hears_the_exit_status_of_an_attempt_whose_parent_is_gone(tmp_path: Path) -> None:
    """In a process of its own: a subreaper among the tests would take other tests' orphans."""
    command = [sys.executable, "-c", ORPHANED, str(tmp_path)]
    ran = subprocess.run(
        command, cwd=Path(__file__).parents[2], start_new_session=True, capture_output=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()


async def test_it_goes_when_it_is_let_go_and_its_attempts_go_on(bed: WarmBed) -> None:
    launcher = bed.warm()
    process = await launcher.start(bed.order(WAIT))
    parent = await forked_by(bed)
    await launcher.close()
    assert started_ticks(parent) is None
    adopted = await ProcessLauncher().adopt(process.pid, process.started_ticks)
    assert adopted is not None
    with anyio.fail_after(40):
        await adopted.end(5)
        await process.end(5)


async def test_signals_for_the_runners_group_do_not_end_it(warm: WarmLauncher, bed: WarmBed) -> None:
    first = await warm.start(bed.order(WAIT, name="first"))
    parent = await forked_by(bed, "first")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(parent, number)
    second = await warm.start(bed.order(WAIT, name="second"))
    assert await forked_by(bed, "second") == parent
    for process in (first, second):
        await process.end(5)


async def test_who_was_counted_as_lost_does_not_begin_late(warm: WarmLauncher, bed: WarmBed) -> None:
    """A runner that came later found nobody with the token, and has taken the attempt."""
    order = bed.order("open('ran', 'w')", token=uuid.uuid4().hex)
    assert await ProcessLauncher().find(order.environment["COOPDECK_TOKEN"], order.folder) is None
    with pytest.raises(LaunchRefused, match="FileExistsError"):
        await warm.start(order)
    assert not (order.folder / "ran").exists()
    assert not claim(order.folder)


async def test_who_began_between_the_look_and_the_claim_is_found(
    warm: WarmLauncher, bed: WarmBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = uuid.uuid4().hex
    process = await warm.start(bed.order(WAIT, token=token))
    real, looks = carriers, [0]

    def blind_at_first(tokens: set[str]) -> object:
        looks[0] += 1
        return real(tokens) if looks[0] > 1 else []

    monkeypatch.setattr("runner.adapters.strays.carriers", blind_at_first)
    found = await ProcessLauncher().find(token, bed.folder / "attempt")
    assert found is not None
    assert found.pid == process.pid
    await process.end(0.1)
    await found.end(0.1)


async def test_who_took_the_attempt_and_is_gone_is_looked_for_in_its_files(
    warm: WarmLauncher, bed: WarmBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stalled(process: WarmProcess, order: LaunchOrder) -> int:
        """It forks, the child ends, and the answer never comes."""
        assert claim(order.folder)
        raise WarmGone("no answer within 30 s")

    monkeypatch.setattr(WarmProcess, "fork", stalled)
    with pytest.raises(LaunchGone, match="no answer within 30 s"):
        await warm.start(bed.order("pass", token=uuid.uuid4().hex))


async def test_a_slow_import_is_waited_for_by_all(warm: WarmLauncher, bed: WarmBed) -> None:
    processes: list[Process] = []

    async def one(name: str) -> None:
        processes.append(await warm.start(bed.order(WAIT, name=name, imports="import time; time.sleep(2)")))

    async with anyio.create_task_group() as tasks:
        for name in ("one", "two", "three"):
            tasks.start_soon(one, name)
    assert len({await forked_by(bed, name) for name in ("one", "two", "three")}) == 1
    for process in processes:
        await process.end(5)


NONSENSE = {
    "no JSON": b"garbage\n",
    "a list": b"[1]\n",
    "no order": b'{"fork": 1}\n',
    "a line without an end": b"x" * 2_000_000,
    "no text": b"\xff\n",
    "nothing": b"",
}


@pytest.mark.parametrize("what", NONSENSE)
def test_it_does_not_outlive_a_runner_that_talks_nonsense(what: str, bed: WarmBed) -> None:
    ours, theirs = socket.socketpair()
    environment = bed.order("").environment | {"COOPDECK_TOKEN": "-" * 64}
    command = [sys.executable, str(SCRIPT), str(theirs.fileno()), str(bed.program)]
    with (
        ours,
        subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE) as process,
    ):
        theirs.close()
        ours.settimeout(40)
        assert ours.recv(100) == b'{"ready": true}\n'
        try:
            ours.sendall(NONSENSE[what])
            ours.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass
        assert process.wait(40) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
