"""The lock of a sweep: whose it is, and whether it is still the one that others would look at."""

import json
import os
import shutil
from pathlib import Path

import pytest

from runner.adapters.places import Places, SweepLock
from runner.model.refusal import UsageRefused


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.sweep_dir("s").mkdir(parents=True)
    first, second = SweepLock(places.lock("s")), SweepLock(places.lock("s"))
    first.acquire()
    with pytest.raises(UsageRefused, match=rf"'s' is owned by a runner already \(pid {os.getpid()}\)"):
        second.acquire()
    assert places.runner_pid("s")
    first.release()
    assert places.runner_pid("s") is None


def test_a_lock_whose_folder_was_removed_or_replaced_stands_no_more(tmp_path: Path) -> None:
    path = tmp_path / "s" / "lock"
    path.parent.mkdir()
    lock = SweepLock(path)
    assert not lock.stands
    lock.acquire()
    assert lock.stands
    shutil.rmtree(path.parent)
    assert not lock.stands
    path.parent.mkdir()
    path.touch()
    assert not lock.stands
    lock.release()


def test_a_runner_is_found_from_a_session_with_another_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path)
    places.sweep_dir("s").mkdir(parents=True)
    for name in ("of-ssh", "of-cron"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "of-cron"))
    listening = places.socket("s")
    lock = SweepLock(places.lock("s"), listening)
    lock.acquire()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "of-ssh"))
    assert places.socket("s") == listening
    lock.release()
    assert places.socket("s") != listening


@pytest.mark.parametrize("lead", ["public", "link", "name", "relative"])
def test_a_forged_note_leads_to_no_other_socket(tmp_path: Path, lead: str) -> None:
    places = Places(tmp_path)
    places.sweep_dir("s").mkdir(parents=True)
    own = places.socket("s")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    forged = private / own.name
    if lead == "public":
        private.chmod(0o755)
    elif lead == "link":
        (tmp_path / "link").symlink_to(private)
        forged = tmp_path / "link" / own.name
    elif lead == "name":
        forged = private / "other.sock"
    else:
        forged = Path(own.name)
    lock = SweepLock(places.lock("s"), private / own.name)
    lock.acquire()
    with open(places.lock("s"), "r+") as note:
        note.write(json.dumps({"pid": os.getpid(), "socket": str(forged)}).ljust(2048))
    assert places.socket("s") == own
    lock.release()
