"""A small source package named cooperbench, for the kills: its building, its answer and its `prepare` wait when told.

In the folder that `COOPDECK_STAND_IN` names: where `hold-WHAT` stands, the step WHAT (`install`, `answer`, `prepare`)
writes `at-WHAT` and waits until the hold is taken away. `offline` makes `prepare` fail as upstream's does.
"""

import io
import json
import tarfile
import time
from pathlib import Path

from runner.adapters.dataset import read_dataset

VERSION = "0.0.29"
WAIT_S = 120.0

_PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "cooperbench"
version = "{version}"
"""
_WAITING = """\
import os
import time
from pathlib import Path

HERE = Path(os.environ["COOPDECK_STAND_IN"])


def reach(what):
    if (HERE / f"hold-{what}").exists():
        (HERE / f"at-{what}").touch()
    while (HERE / f"hold-{what}").exists():
        time.sleep(0.02)
"""
_BACKEND = """\
import os
import zipfile
from pathlib import Path

from cooperbench_waiting import reach

INFO = "cooperbench-{version}.dist-info"
WHEEL = "Wheel-Version: 1.0\\nGenerator: stand-in\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
METADATA = "Metadata-Version: 2.1\\nName: cooperbench\\nVersion: {version}\\n"


def build_wheel(folder, config_settings=None, metadata_directory=None, path=None):
    reach("install")
    name = "cooperbench-{version}-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        if path:
            wheel.writestr("cooperbench_stand_in.pth", path)
        else:
            for module in ("cooperbench_waiting.py", "cooperbench_stand_in.py"):
                wheel.writestr(module, Path(module).read_text())
        wheel.writestr(INFO + "/METADATA", METADATA)
        wheel.writestr(INFO + "/WHEEL", WHEEL)
        wheel.writestr(INFO + "/entry_points.txt", "[console_scripts]\\ncooperbench = cooperbench_stand_in:main\\n")
        wheel.writestr(INFO + "/RECORD", "")
    return name


def build_editable(folder, config_settings=None, metadata_directory=None):
    return build_wheel(folder, path=os.getcwd())
"""
_PROGRAM = """\
import json
import sys
from pathlib import Path

from cooperbench_waiting import HERE, reach


def main():
    if sys.argv[1:] == ["run", "--help"]:
        reach("answer")
        print("usage: cooperbench run")
        return 0
    if sys.argv[1:] != ["prepare"]:
        return 2
    Path("dataset").mkdir(exist_ok=True)
    if (HERE / "offline").exists():
        if any(Path("dataset").iterdir()):
            print("Returning existing local_dir `dataset` as remote repo cannot be accessed")
            return 0
        print("error: Got: ConnectError: Name or service not known\\nPlease check your internet connection.")
        return 1
    paths = json.loads((HERE / "index.json").read_text())
    for number, path in enumerate(paths):
        if number == len(paths) // 2:
            reach("prepare")
        print(f"Fetching {{number}}/{{len(paths)}}", end="\\r", flush=True)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("a text")
    return 0
"""


class StandIn:
    """The package's folder, which pip's and uv's `find-links` take, and the switches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        index = read_dataset()
        texts = [
            f"dataset/{repo}/task{task}/feature{feature}/{text}"
            for repo, tasks in index.features.items()
            for task, features in tasks.items()
            for feature in features
            for text in ("feature.md", "tests.patch")
        ]
        (folder / "index.json").write_text(json.dumps(texts))
        self.clone = folder / "clone"
        self._write(VERSION)

    def add(self, version: str) -> None:
        """Another version in the index."""
        self._write(version)

    def hold(self, what: str) -> None:
        (self.folder / f"at-{what}").unlink(missing_ok=True)
        (self.folder / f"hold-{what}").touch()

    def go(self, what: str) -> None:
        (self.folder / f"hold-{what}").unlink(missing_ok=True)

    def reached(self, what: str) -> None:
        """Wait until the held step has begun."""
        deadline = time.monotonic() + WAIT_S
        while not (self.folder / f"at-{what}").exists():
            assert time.monotonic() < deadline, f"{what} has not begun within {WAIT_S:g} s"
            time.sleep(0.02)

    def _write(self, version: str) -> None:
        sources = {
            "pyproject.toml": _PROJECT.format(version=version),
            "backend.py": _BACKEND.format(version=version),
            "cooperbench_waiting.py": _WAITING,
            "cooperbench_stand_in.py": _PROGRAM.format(),
            "PKG-INFO": f"Metadata-Version: 2.1\nName: cooperbench\nVersion: {version}\n",
        }
        self.clone.mkdir(exist_ok=True)
        with tarfile.open(self.folder / f"cooperbench-{version}.tar.gz", "w:gz") as archive:
            for name, text in sources.items():
                (self.clone / name).write_text(text)
                member = tarfile.TarInfo(f"cooperbench-{version}/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
