"""A runner that logind would kill at logout is warned of before it starts."""

import getpass
from pathlib import Path

import pytest

from runner.commands.logout import logout_warning

SESSION = {"XDG_SESSION_ID": "3"}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without busctl, whose configuration the test writes."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "logind.conf.d").mkdir()
    (tmp_path / "linger").mkdir()
    return tmp_path


def warned(machine: Path, environment: dict[str, str] = SESSION) -> str | None:
    return logout_warning(environment, machine / "linger", machine)


def test_nothing_is_said_where_processes_stay(machine: Path) -> None:
    assert warned(machine) is None
    (machine / "logind.conf").write_text("[Login]\n#KillUserProcesses=yes\nKillUserProcesses=no\n")
    assert warned(machine) is None


def test_the_warning_says_what_to_do(machine: Path) -> None:
    (machine / "logind.conf").write_text("[Login]\nKillUserProcesses=no\n")
    (machine / "logind.conf.d" / "50-strict.conf").write_text("[Login]\nKillUserProcesses = yes\n")
    assert "loginctl enable-linger" in (warned(machine) or "")
    assert warned(machine, {}) is None
    (machine / "linger" / getpass.getuser()).touch()
    assert warned(machine) is None


def test_logind_itself_is_asked_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    busctl = machine / "busctl"
    busctl.write_text("#!/bin/sh\necho 'b true'\n")
    busctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(machine))
    assert warned(machine) is not None
