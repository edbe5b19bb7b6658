"""`coopdeck images prune` keeps what somebody needs: a sweep of any folder, or a container."""

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from runner import cli
from runner.adapters import listeners
from runner.adapters.docker_engine import Engine
from runner.adapters.ledger import SqliteLedger
from runner.adapters.places import Places, SweepLock
from runner.commands import images, images_prune
from runner.model import events as ev
from runner.model.ids import PairId
from runner.model.plan import Plan
from runner.model.queue import make_jobs
from runner.model.supplies import image_name
from tests.e2e.dataset import write_dataset

NEEDED, USED, IDLE = (image_name("toy_task", task) for task in (1, 2, 3))


class Api:
    """The few answers of the engine that are asked for."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def images(self) -> list[dict[str, Any]]:
        names = [one for one in (NEEDED, USED, IDLE) if one not in self.removed]
        return [{"Id": f"sha256:{name}", "Size": 2_000_000_000, "RepoTags": [name]} for name in names]

    def containers(self, **_: object) -> list[dict[str, Any]]:
        return [{"Id": "c", "ImageID": f"sha256:{USED}", "Labels": {}}]

    def remove_image(self, name: str) -> None:
        self.removed.append(name)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """We stand in one folder; in another one a sweep has a runner, which is this process."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    api = Api()
    engine = Engine(api, "unix:///x", None, "26", (), "x86_64")  # type: ignore[arg-type]
    monkeypatch.setattr(images_prune, "connect", lambda _: engine)
    monkeypatch.setattr(images_prune, "clear", lambda _: 0)
    monkeypatch.setattr(listeners, "_folder", lambda _: there)
    places = Places(there)
    places.ledger("s").parent.mkdir(parents=True)
    jobs = make_jobs("s", ("solo",), (PairId("toy_task", 1, (1, 2)),), ("m",))
    ledger = SqliteLedger(places.ledger("s"))
    plan = Plan("s", ("x",), str(there / "logs"), ("solo",), ("m",), "a")
    every: tuple[ev.Event, ...] = (ev.SweepPlanned(plan), ev.JobsPlanned(jobs))
    anyio.run(ledger.append, [ev.Envelope(seq, 1000.0 + seq, event) for seq, event in enumerate(every, 1)])
    ledger.close()
    return SimpleNamespace(here=here, there=there, places=places, api=api)


def test_what_a_sweep_of_another_folder_or_a_container_needs_stays(
    world: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = SweepLock(world.places.lock("s"), world.places.socket("s"))
    lock.acquire()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(world.places.socket("s")))
        listener.listen()
        assert cli.main(["images", "prune"]) == 0
        assert f"looked at: {world.here}, {world.there}\n" in capsys.readouterr().out
        assert cli.main(["images", "prune", "--yes", "--json"]) == 0
    lock.release()
    shape = json.loads(capsys.readouterr().out)
    assert (shape["images"], shape["kept"]) == ([IDLE], 2)
    assert shape["folders"] == [str(world.here), str(world.there)]
    assert world.api.removed == [IDLE]


def test_a_runner_whose_folder_cannot_be_told_keeps_all(
    world: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_folder", lambda _: None)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(world.places.socket("s")))
        listener.listen()
        assert cli.main(["images", "prune", "--yes"]) == 2
    assert f"the runner with process {os.getpid()} needs; let it end first" in capsys.readouterr().err
    assert world.api.removed == []


def test_without_a_runner_only_containers_keep_theirs(world: SimpleNamespace) -> None:
    assert cli.main(["images", "prune", "--yes"]) == 0
    assert world.api.removed == [NEEDED, IDLE]


def test_of_a_dataset_without_lite_all_is_listed_and_the_command_to_get_it_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(tmp_path / "my data")
    monkeypatch.chdir(tmp_path)
    engine = Engine(Api(), "unix:///x", None, "26", (), "x86_64")  # type: ignore[arg-type]
    monkeypatch.setattr(images, "connect", lambda _: engine)
    (tmp_path / "my data" / "toy_task" / "task1").rename(tmp_path / "my data" / "toy_task" / "task7")
    assert cli.main(["images", "--dataset-dir", "my data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 images for 6 pairs; Docker 26 at unix:///x"
    assert lines[-1] == "get what is missing with: coopdeck images pull --subset all --dataset-dir 'my data'"
