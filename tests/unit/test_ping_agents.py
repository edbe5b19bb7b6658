"""Which agents a cooperbench knows is read from its adapters, unless others may be added to them."""

from pathlib import Path

import pytest

from runner.ping.coopdeck_ping import known_agents

EXTERNAL = "COOPERBENCH_EXTERNAL_AGENTS"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(EXTERNAL, raising=False)
    for folder, text in (
        ("openhands_agent_sdk", '@register("openhands_sdk")\nclass One:\n'),
        ("codex", '"""\n    @register("an_example")\n"""\n@register("codex")\nclass Two:\n'),
        ("_coop", "class Three:\n"),
    ):
        path = tmp_path / "agents" / folder / "adapter.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


def test_the_names_are_those_that_are_registered(package: Path) -> None:
    assert known_agents(package, []) == ["codex", "openhands_sdk"]


def test_nothing_is_known_where_an_agent_of_ones_own_may_come(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = package / ".env"
    file.write_bytes(f"{EXTERNAL}=mine\n\xff".encode("latin-1"))
    assert known_agents(package, [file]) == []
    monkeypatch.setenv(EXTERNAL, "mine")
    assert known_agents(package, []) == []


def test_what_cannot_be_read_ends_nothing(package: Path) -> None:
    (package / "agents" / "folder" / "adapter.py").mkdir(parents=True)
    (package / "agents" / "codex" / "adapter.py").write_bytes(b'# \xe4\n@register("codex")\n')
    assert known_agents(package, [package / "gone.env"]) == ["codex", "openhands_sdk"]


def test_nothing_is_known_of_no_package_and_of_one_of_another_shape(tmp_path: Path) -> None:
    assert known_agents(None, []) == known_agents(tmp_path, []) == []
