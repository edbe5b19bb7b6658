"""A host that is short of something: whoever cannot look must not say that nothing is there."""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio._backends._asyncio import UNIXSocketListener

from runner.adapters import room, strays
from runner.adapters.cooperbench import CooperbenchFiles
from runner.adapters.delivery import result_folder, write_json
from runner.adapters.places import Places, SweepLock
from runner.adapters.quarantine import guarded
from runner.adapters.result_files import load_result
from runner.model.outcome import Outcome
from tests.unit.fakes import OK, jobs, the_plan
from tests.unit.test_socket import Watcher, served

pytestmark = pytest.mark.anyio
SPEC = jobs(1)[0]


def refusing(number: int) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_result_that_cannot_be_opened_now_is_no_broken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "result.json").write_text("{}")
    monkeypatch.setattr("builtins.open", refusing(errno.EMFILE))
    with pytest.raises(OSError, match="Too many open files"):
        load_result(tmp_path / "result.json")


async def test_a_delivered_result_that_cannot_be_opened_now_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = the_plan()
    result_folder(tmp_path, SPEC).mkdir(parents=True)
    monkeypatch.setattr("builtins.open", refusing(errno.EMFILE))
    with pytest.raises(OSError, match="Too many open files"):
        await CooperbenchFiles(tmp_path).delivered(plan, SPEC)


def test_a_process_that_cannot_be_looked_at_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.open", refusing(errno.ENFILE))
    for look in (strays.stat_of, strays.token_of):
        with pytest.raises(OSError, match="Too many open files"):
            look(os.getpid())
    monkeypatch.setattr("builtins.open", refusing(errno.ESRCH))
    assert strays.stat_of(os.getpid()) is None


def test_a_read_that_the_host_refuses_is_no_death_of_the_runner(tmp_path: Path) -> None:
    for _ in range(5):
        with pytest.raises(OSError, match="Too many"):
            guarded(tmp_path / "mark", "read", refusing(errno.EMFILE))
    assert not (tmp_path / "mark").exists()
    assert guarded(tmp_path / "mark", "read", lambda: OK) == OK


def test_what_does_not_fit_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "summary.json", {"old": True})
    monkeypatch.setattr(os, "fsync", refusing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "summary.json", {"old": False})
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert load_result(tmp_path / "summary.json") == {"old": True}


async def test_a_crash_on_a_full_disk_is_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = CooperbenchFiles(tmp_path)
    crashed: Outcome = await program.read(the_plan(), SPEC, tmp_path, 1)
    assert crashed.failure == "crash"
    monkeypatch.setattr(os, "posix_fallocate", refusing(errno.ENOSPC))
    assert "No space left" in room.no_room(tmp_path)
    full: Outcome = await program.read(the_plan(), SPEC, tmp_path, 1)
    assert full.failure == "host"
    with pytest.raises(OSError, match="No space left"):
        await program.prepare(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


async def test_a_client_for_whom_no_descriptor_is_left_does_not_end_the_runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, refusals = UNIXSocketListener.accept, iter([True, True])

    async def short(self: UNIXSocketListener) -> anyio.abc.SocketStream:
        if next(refusals, False):
            raise anyio.BrokenResourceError from OSError(errno.EMFILE, "Too many open files")
        return await accept(self)

    monkeypatch.setattr(UNIXSocketListener, "accept", short)
    monkeypatch.setattr("runner.adapters.socket.ACCEPT_AGAIN_S", 0.01)
    async with served(tmp_path) as it, anyio.create_task_group() as tasks:
        watcher = Watcher(it.path)
        tasks.start_soon(watcher.follow)
        await watcher.reaches(3)
        tasks.cancel_scope.cancel()


def test_who_only_looks_for_the_holder_does_not_pass_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.adapters.places.LOCK_TRIES", 2000)
    looks = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looks, fcntl.LOCK_SH)

    def let_go() -> None:
        time.sleep(0.05)
        os.close(looks)

    thread = threading.Thread(target=let_go)
    thread.start()
    lock = SweepLock(tmp_path / "lock")
    lock.acquire()
    lock.release()
    thread.join()


def test_the_lock_tells_the_holder_and_what_troubles_it(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.sweep_dir("s").mkdir(parents=True)
    lock = SweepLock(places.lock("s"))
    lock.acquire()
    assert (places.runner_pid("s"), places.runner_trouble("s")) == (os.getpid(), "")
    lock.note("disk full")
    assert (places.runner_pid("s"), places.runner_trouble("s")) == (os.getpid(), "disk full")
    lock.note("")
    assert places.runner_trouble("s") == ""
    lock.release()
    assert (places.runner_pid("s"), places.runner_trouble("s")) == (None, "")


def test_a_link_in_the_locks_place_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(OSError, match="symbolic links"):
        SweepLock(tmp_path / "lock").acquire()
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_runner_of_another_user_is_seen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(tmp_path)
    places.sweep_dir("s").mkdir(parents=True)
    lock = SweepLock(places.lock("s"))
    lock.acquire()

    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as another:
        another.setattr("runner.adapters.places.os.open", refuse)
        another.setattr("runner.adapters.places.Path.read_text", lambda _: _locks(places.lock("s")))
        assert places.runner_pid("s") == os.getpid()
    lock.release()
    with monkeypatch.context() as another:
        another.setattr("runner.adapters.places.os.open", refuse)
        assert places.runner_pid("s") is None


def _locks(lock: Path) -> str:
    """As the kernel lists it; some sandboxes have an empty /proc/locks."""
    ours = f"2: FLOCK  ADVISORY  WRITE {os.getpid()} fe:01:{lock.stat().st_ino} 0 EOF"
    return f"1: POSIX  ADVISORY  READ 1 fe:01:7 0 EOF\n{ours}\n"
