"""The lock of a sweep: whose it is, and whether it is still the one that others would look at."""

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
    with pytest.raises(UsageRefused, match=r"'s' is owned by a runner already .*\d+"):
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
