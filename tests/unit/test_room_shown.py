"""One disk has one size, whoever tells it."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.adapters.docker_engine import Engine
from runner.adapters.images import free_bytes
from runner.checks import docker, folders
from runner.checks.wanted import Wanted
from runner.model.sizes import size

FREE = 70_600_000_000


def test_doctor_and_images_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=FREE // 1000, f_frsize=1000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=FREE))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    info = f'{{"Driver": "overlay2", "DockerRootDir": "{tmp_path}"}}'
    monkeypatch.setattr(docker, "_call", lambda *_: (0, info, ""))
    wanted = Wanted(tmp_path, caller={"DOCKER_HOST": "unix:///x"})
    engine = Engine(None, "unix:///x", tmp_path, "26", (), "x86_64")  # type: ignore[arg-type]
    assert size(free_bytes(engine) or 0) == "70.6 GB"
    assert "70.6 GB free" in docker.check_storage(wanted)[0].says
    assert "70.6 GB free" in folders.check_folders(wanted)[0].says
