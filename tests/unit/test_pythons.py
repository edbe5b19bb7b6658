"""The Python for cooperbench is one that runs and is new enough, and a proven version before a newer one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.adapters.pythons import find_python, named_python
from runner.adapters.uv import Uv
from runner.model.refusal import UsageRefused

Fake = Callable[[str, str], Path]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Makes a program that says of itself that it is a Python of this version; without one, it fails as a shim does."""

    def make(place: str, version: str) -> Path:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {version}; echo {path}\n" if version else "#!/bin/sh\nexit 127\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture(autouse=True)
def old_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")


def found(tmp_path: Path, *, uv: str = "exit 2") -> str | None:
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\n{uv}\n")
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path / 'bin'}:{tmp_path / 'bin2'}"}
    python = find_python(Uv(str(program), {}, ()), environ, tmp_path)
    return None if python is None else f"{python.path.relative_to(tmp_path)} {python.shown} {python.origin}"


def test_path_comes_first_and_a_shim_that_fails_is_passed(fake: Fake, tmp_path: Path) -> None:
    fake("bin/python3.12", "")
    fake("bin2/python3.12", "3.12.4")
    fake(".pyenv/versions/3.12.1/bin/python", "3.12.1")
    assert found(tmp_path) == "bin2/python3.12 3.12.4 PATH"


def test_uvs_come_before_pyenvs(fake: Fake, tmp_path: Path) -> None:
    fake("bin/python3", "3.11.2")
    fake("uvs/python3.13", "3.13.0")
    fake(".pyenv/versions/3.12.1/bin/python", "3.12.1")
    assert found(tmp_path, uv=f"""echo '[{{"path": "{tmp_path}/uvs/python3.13"}}]'""") == "uvs/python3.13 3.13.0 uv"
    assert found(tmp_path) == ".pyenv/versions/3.12.1/bin/python 3.12.1 pyenv"


def test_a_newer_one_is_taken_when_there_is_no_other(fake: Fake, tmp_path: Path) -> None:
    fake("bin/python3", "3.15.0")
    assert found(tmp_path) == "bin/python3 3.15.0 PATH"
    fake(".pyenv/versions/3.13.1/bin/python", "3.13.1")
    assert found(tmp_path) == ".pyenv/versions/3.13.1/bin/python 3.13.1 pyenv"


def test_nothing_is_new_enough(fake: Fake, tmp_path: Path) -> None:
    fake("bin/python3.12", "3.11.9")
    fake("bin/python3", "nonsense")
    assert found(tmp_path) is None


def test_the_one_that_is_named_must_be_new_enough(fake: Fake, tmp_path: Path) -> None:
    assert named_python(str(fake("p/python", "3.12.0"))).version == (3, 12, 0)
    for place, version, says in (("o/python", "3.11.9", "needs Python 3.12"), ("b/python", "", "no Python that runs")):
        with pytest.raises(UsageRefused, match=says):
            named_python(str(fake(place, version)))
    with pytest.raises(UsageRefused, match="PATH has no such program"):
        named_python("python9.9", {"PATH": str(tmp_path)})
