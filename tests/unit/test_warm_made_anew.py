"""The warm process, where it cannot be, is no longer what a new one would be, or has no room."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.adapters.processes import ProcessLauncher
from runner.adapters.warm import CannotFork
from runner.adapters.warm_launcher import WarmLauncher
from runner.engine.ports import LaunchRefused
from tests.unit.warm_bed import WarmBed

pytestmark = pytest.mark.anyio


@pytest.fixture
def bed(tmp_path: Path) -> WarmBed:
    return WarmBed(tmp_path)


@pytest.fixture
async def warm(bed: WarmBed) -> AsyncIterator[WarmLauncher]:
    launcher = bed.warm()
    yield launcher
    await launcher.close()


IN_WARM_ONLY = "if WARM: "
CANNOT = {
    "an import that fails": (IN_WARM_ONLY + "import no_such_module", "No module named 'no_such_module'"),
    "an import that exits": (IN_WARM_ONLY + "sys.exit(3)", "SystemExit: 3"),
    "a thread": (
        "import threading, time; threading.Thread(target=time.sleep, args=(600,), name='busy', daemon=True).start()",
        "threads are alive after the import (busy)",
    ),
    "a connection": ("import socket; KEPT = socket.socketpair()", "the import leaves open"),
    "a death": (IN_WARM_ONLY + "os.kill(os.getpid(), 9)", "died 3 times, the last time while it imported"),
    "an end": (
        IN_WARM_ONLY + "os._exit(0)",
        "died 3 times, the last time while it imported cooperbench: exit status 0",
    ),
    "nonsense": (
        IN_WARM_ONLY + "[os.write(n, b'[1]\\n') for n in range(3, 9999) if os.path.exists(f'/proc/self/fd/{n}')"
        " and os.readlink(f'/proc/self/fd/{n}').startswith('socket:')]",
        "it answered nonsense",
    ),
}


@pytest.mark.parametrize("what", CANNOT)
async def test_where_it_cannot_be_the_plain_command_runs_and_it_is_said_once(
    what: str, warm: WarmLauncher, bed: WarmBed
) -> None:
    imports, why = CANNOT[what]
    for name in ("one", "two"):
        process = await warm.start(bed.order("print(WAIT if 0 else 'ran')", name=name, imports=imports))
        assert await process.wait() == 0
        assert bed.said(name) == "ran\n"
    assert len(bed.fell) == 1
    assert why in bed.fell[0]


async def test_a_program_of_another_kind_is_only_started(warm: WarmLauncher, bed: WarmBed) -> None:
    bed.program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$1"\n')
    assert await (await warm.start(bed.order("print('ran')"))).wait() == 0
    assert bed.fell == [f"the program is not the script that pip makes for cooperbench: {bed.program}"]


async def test_who_insists_gets_no_plain_command(bed: WarmBed) -> None:
    launcher = bed.warm(insist=True)
    with pytest.raises(LaunchRefused, match="cannot work: cooperbench cannot be imported"):
        await launcher.start(bed.order("open('ran', 'w')", imports="import no_such_module"))
    assert not (bed.folder / "attempt" / "ran").exists()


async def test_who_insists_is_told_beforehand_unless_the_host_is_only_slow(bed: WarmBed) -> None:
    for imports, refused in (("import no_such_module", True), ("import time; time.sleep(1)", False)):
        launcher = bed.warm(insist=True)
        order = bed.order("print('ran')", imports=imports)
        if refused:
            with pytest.raises(CannotFork, match="No module named"):
                await launcher.begin(order, 40)
        else:
            await launcher.begin(order, 0.2)
            assert await (await launcher.start(order)).wait() == 0
        await launcher.close()


async def test_an_env_file_that_was_changed_counts_as_for_a_new_process(warm: WarmLauncher, bed: WarmBed) -> None:
    read = "TEXT = open(os.path.join(os.path.dirname(__file__), '.env')).read()"
    code = "import cooperbench.cli; print(cooperbench.cli.TEXT)"
    file = bed.folder / "site" / "cooperbench" / ".env"
    for key in ("old", "newer"):
        file.write_text(key)
        await (await warm.start(bed.order(code, name=key, imports=read))).wait()
        assert bed.said(key) == f"{key}\n"
    assert bed.notes == ["the warm process is made anew: what it had imported has changed"]


async def test_where_programs_are_looked_for_may_differ_among_attempts(warm: WarmLauncher, bed: WarmBed) -> None:
    (bed.folder / "bin").mkdir()
    (bed.folder / "bin" / "docker").write_text("#!/bin/sh\necho the shim\n")
    (bed.folder / "bin" / "docker").chmod(0o755)
    code = "import shutil, subprocess; print(shutil.which('docker')); subprocess.run(['docker', 'version'])"
    plain = bed.order("print('ran')", name="plain")
    shimmed = bed.order(code, name="shimmed")
    shimmed.environment["PATH"] = f"{bed.folder / 'bin'}{os.pathsep}{shimmed.environment['PATH']}"
    for order in (plain, shimmed, bed.order("print('ran')", name="last")):
        await (await warm.start(order)).wait()
    assert bed.said("shimmed") == f"{bed.folder / 'bin' / 'docker'}\nthe shim\n"
    assert (bed.fell, bed.notes) == ([], [])


async def test_an_environment_that_has_changed_gets_a_process_of_its_own(warm: WarmLauncher, bed: WarmBed) -> None:
    code = "import cooperbench.cli; print(cooperbench.cli.SEEN['FAKE_IMPORT'])"
    for name in ("old", "newer"):
        await (await warm.start(bed.order(code, name=name, imports=f"'{name}'"))).wait()
        assert bed.said(name) == f"'{name}'\n"
    assert bed.notes == ["the warm process is made anew: the environment of attempts has changed"]


async def test_what_cannot_begin_is_refused_as_for_a_new_process(warm: WarmLauncher, bed: WarmBed) -> None:
    order = bed.order("pass")
    (order.folder / "output.log").mkdir()
    for launcher in (ProcessLauncher(), warm):
        with pytest.raises(LaunchRefused, match="Is a directory") as refused:
            await launcher.start(order)
        assert refused.value.errno is not None
    assert not bed.fell


async def test_a_full_host_is_told_as_such_and_the_attempt_can_be_started_again(
    warm: WarmLauncher, bed: WarmBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    order = bed.order("print('ran')")
    with pytest.raises(LaunchRefused) as refused:
        await warm.start(order)
    assert refused.value.errno == 24
    monkeypatch.undo()
    assert await (await warm.start(order)).wait() == 0
    assert not bed.fell
