"""What the end-to-end tests stand on. Each piece says why it is missing; in CI that is a failure."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.e2e.dataset import IMAGES, write_dataset
from tests.e2e.endpoint import ScriptedEndpoint
from tests.ports import free_port

DEFAULT_PROGRAM = Path.home() / ".cache/coopdeck-e2e/cooperbench-0.0.29/bin/cooperbench"
IMAGE_SCRIPT = Path(__file__).with_name("image.sh")


def lacking(reason: str) -> NoReturn:
    """Skip; or fail, where everything has to be there."""
    if os.environ.get("COOPDECK_REQUIRE_DOCKER") == "1":
        pytest.fail(f"{reason} (COOPDECK_REQUIRE_DOCKER=1)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cooperbench_program() -> Path:
    """Upstream's own `cooperbench`, in an environment of its own."""
    program = Path(os.environ.get("COOPDECK_E2E_COOPERBENCH") or DEFAULT_PROGRAM)
    if not os.access(program, os.X_OK):
        lacking(f"no cooperbench at {program}: run .ci/run, or set COOPDECK_E2E_COOPERBENCH")
    return program


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """The version of the Docker Engine that answers."""
    if not shutil.which("docker"):
        lacking("no docker program on PATH")
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if answer.returncode:
        lacking(f"no Docker Engine answers: {answer.stderr.strip()}")
    return answer.stdout.strip()


@pytest.fixture(scope="session")
def toy_images(docker_engine: str) -> tuple[str, ...]:
    """The names of the toy tasks' images, made when they are not there yet (about a minute)."""
    made = subprocess.run([IMAGE_SCRIPT], capture_output=True, text=True, timeout=900, check=False)
    if made.returncode:
        lacking(f"{IMAGE_SCRIPT.name} failed: {made.stderr.strip()[-2000:]}")
    return IMAGES


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder, as for `--dataset-dir`."""
    return write_dataset(tmp_path_factory.mktemp("toy") / "dataset")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis of our own on a free port, so that nobody's messages mix."""
    if not shutil.which("redis-server"):
        lacking("no redis-server on PATH")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                lacking("redis-server does not start")
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    """The scripted model; `endpoint.plan(Fault(...))` makes it misbehave."""
    with ScriptedEndpoint() as scripted:
        yield scripted
