"""`--git` on the real thing: two agents share a remote on upstream's server, which is nobody's to remove."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.commands.sweeps import the_sweep
from tests.e2e.bed import docker
from tests.e2e.dataset import IMAGES, REPO
from tests.e2e.endpoint import ScriptedEndpoint

pytestmark = pytest.mark.docker

IMAGE, CONTAINER, NETWORK, VOLUME = (
    "cooperbench-git-server:local",
    "cooperbench-git",
    "cooperbench",
    "cooperbench-git-data",
)
# Upstream's own, but for the base, which no registry gives us here: the toy image has git already.
RECIPE = f"""FROM {IMAGES[0]}
RUN mkdir /git
ENTRYPOINT ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--base-path=/git", \
"--listen=0.0.0.0", "/git"]
CMD []
"""
PAIR = "1/f1_f2"


def there(kind: str, name: str) -> bool:
    asked = subprocess.run(["docker", kind, "inspect", name], capture_output=True, timeout=120, check=False)
    return asked.returncode == 0


@pytest.fixture
def shared(toy_images: tuple[str, ...]) -> Iterator[None]:
    """What upstream makes once a machine; what was not there before the test is taken away after it."""
    mine = [
        (kind, name)
        for kind, name in (("container", CONTAINER), ("network", NETWORK), ("volume", VOLUME), ("image", IMAGE))
        if not there(kind, name)
    ]
    yield
    for kind, name in mine:
        if there(kind, name):
            force = ["--force"] if kind != "network" else []
            docker(kind, "rm", *force, name)


@pytest.fixture
def git_image(shared: None) -> None:
    if not there("image", IMAGE):
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", IMAGE, "-"],
            input=RECIPE,
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
            text=True,
            capture_output=True,
            timeout=300,
            check=True,
        )


def coopdeck(folder: Path, endpoint: ScriptedEndpoint, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "runner.cli", *arguments],
        cwd=folder,
        env={**os.environ, **endpoint.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def run(folder: Path, endpoint: ScriptedEndpoint, program: Path, dataset: Path, redis: str) -> Any:
    asked = ["run", "shared", "--pairs", f"{REPO}/{PAIR}", "--settings", "coop-comm", "--git", "--redis", redis]
    how = [
        "-m",
        "openai/gpt-4o",
        "--dataset-dir",
        str(dataset),
        "--cooperbench",
        str(program),
        "--headless",
        "--no-ping",
    ]
    return coopdeck(folder, endpoint, *asked, *how)


def test_two_agents_share_a_remote_and_the_server_stays(
    tmp_path: Path,
    cooperbench_program: Path,
    git_image: None,
    toy_dataset: Path,
    redis_url: str,
    endpoint: ScriptedEndpoint,
) -> None:
    ran = run(tmp_path, endpoint, cooperbench_program, toy_dataset, redis_url)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    board = the_sweep("shared", tmp_path).board()
    assert board.supplies["git", ""].state == "there"
    folder = tmp_path / f"logs/shared-coop-comm/coop/{REPO}/{PAIR}"
    for feature, theirs in ((1, "add mul"), (2, "add sub")):
        assert (folder / f"agent{feature}.patch").read_text().startswith("diff --git a/calc.py")
        told = json.dumps(json.loads((folder / f"agent{feature}_traj.json").read_text()))
        assert f"seen: {theirs}" in told
    # The server is upstream's: it carries no label of ours, and neither the runner's end nor clean has touched it.
    # (Not the sockets: those of this user's other folders may be listed.)
    left = json.loads(coopdeck(tmp_path, endpoint, "clean", "--yes", "--json").stdout)
    assert [left[kind] for kind in ("containers", "volumes", "processes", "problems")] == [[], [], [], []]
    assert docker("ps", "-q", "--filter", f"name=^{CONTAINER}$")
    assert docker("ps", "-q", "--filter", f"name=^{CONTAINER}$", "--filter", "label=coopdeck.token") == []
    assert docker("ps", "-aq", "--filter", "label=coopdeck.sweep=shared") == []


def test_an_image_that_cannot_be_built_ends_its_jobs_before_they_cost_anything(
    tmp_path: Path,
    cooperbench_program: Path,
    shared: None,
    toy_dataset: Path,
    redis_url: str,
    endpoint: ScriptedEndpoint,
) -> None:
    if there("image", IMAGE):
        pytest.skip(f"{IMAGE} is on this machine, and is not ours to remove")
    ran = run(tmp_path, endpoint, cooperbench_program, toy_dataset, redis_url)
    if there("image", IMAGE):
        pytest.skip("a registry is within reach: the image could be built")
    assert ran.returncode == 1
    assert "upstream's image cannot be made" in ran.stdout
    assert "leave out --git" in ran.stdout
    (row,) = the_sweep("shared", tmp_path).board().jobs.values()
    assert (row.state, row.attempts) == ("failed", ())
    assert not there("container", CONTAINER)
