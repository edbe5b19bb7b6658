"""Containers that the Docker SDK makes in cooperbench's process carry their attempt's labels; nobody else's do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROBE = Path(__file__).parents[2] / "runner" / "probe"
TOKEN = {"COOPDECK_TOKEN": "t1", "COOPDECK_SWEEP": "s", "COOPDECK_JOB": "solo.x", "COOPDECK_ATTEMPT": "2"}
CREATE = """
import json, sys
{before}
import coopdeck_probe_docker
failures = []
coopdeck_probe_docker.watch_sdk(failures.append)
import docker
sent = []
client = docker.APIClient(base_url="tcp://127.0.0.1:1", version="1.41")
client._post_json = lambda url, data, params: sent.append(data.get("Labels"))
client._result = lambda answer, json: {{"Id": "c"}}
client.create_container("image", "sleep infinity", labels={labels}, name={name})
print(json.dumps([sent, list(map(str, failures)), sum("probe" in type(one).__module__ for one in sys.meta_path)]))
"""


def create(environment: dict[str, str], *, before: str = "", labels: Any = None, name: str | None = None) -> Any:
    """The labels that the engine is sent, what failed, how many finders are left."""
    ran = subprocess.run(
        [sys.executable, "-c", CREATE.format(before=before, labels=labels, name=repr(name))],
        env={**os.environ, "PYTHONPATH": str(PROBE), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize("before", ["", "import docker"])
def test_a_nameless_container_is_its_attempts(before: str) -> None:
    ours = {
        "coopdeck.sweep": "s",
        "coopdeck.job": "solo.x",
        "coopdeck.attempt": "2",
        "coopdeck.token": "t1",
    }
    assert create(TOKEN, before=before) == [[ours], [], 0]
    assert create(TOKEN, before=before, labels={"theirs": "1"}) == [[{"theirs": "1", **ours}], [], 0]


def test_upstreams_shared_servers_have_names_and_no_labels() -> None:
    assert create(TOKEN, name="cooperbench-git") == [[None], [], 0]


def test_without_an_attempt_nothing_is_labelled() -> None:
    assert create({"COOPDECK_TOKEN": ""}) == [[None], [], 0]


def test_an_sdk_of_another_shape_is_left_alone() -> None:
    before = (
        "import types; odd = types.ModuleType('docker.api.container'); "
        "odd.ContainerApiMixin = object; sys.modules[odd.__name__] = odd"
    )
    code = f"import sys\n{before}\nimport coopdeck_probe_docker\ncoopdeck_probe_docker.watch_sdk(print)"
    environment = {**os.environ, "PYTHONPATH": str(PROBE)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "AttributeError" in ran.stderr  # the probe catches it and the job does not notice
