"""A runner that logind would kill at logout is started outside the session, and its user is warned before."""

import getpass
from pathlib import Path

import pytest

from runner.adapters.logout import Logout, logout

SESSION = {"XDG_SESSION_ID": "3"}
ANSWERS = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without busctl, whose configuration the test writes."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "logind.conf.d").mkdir()
    (tmp_path / "linger").mkdir()
    return tmp_path


def said(machine: Path, environment: dict[str, str] = SESSION) -> Logout:
    return logout(environment, machine / "linger", machine)


def program(machine: Path, name: str, script: str) -> None:
    (machine / name).write_text(script)
    (machine / name).chmod(0o755)


def strict(machine: Path) -> None:
    (machine / "logind.conf").write_text("[Login]\nKillUserProcesses=no\n")
    (machine / "logind.conf.d" / "50-strict.conf").write_text("[Login]\nKillUserProcesses = yes\n")


def test_nothing_is_done_or_said_where_processes_stay(machine: Path) -> None:
    program(machine, "systemd-run", ANSWERS)
    assert said(machine) == Logout()
    (machine / "logind.conf").write_text("[Login]\n#KillUserProcesses=yes\nKillUserProcesses=no\n")
    assert said(machine) == Logout()


def test_the_runner_starts_outside_the_session_and_the_warning_says_what_is_left_to_do(machine: Path) -> None:
    strict(machine)
    program(machine, "systemd-run", ANSWERS)
    found = said(machine)
    assert found.within[:3] == ("systemd-run", "--user", "--scope")
    assert "loginctl enable-linger" in (found.warning or "")
    assert said(machine, {}) == Logout()


def test_with_lingering_there_is_nothing_left_to_do(machine: Path) -> None:
    strict(machine)
    program(machine, "systemd-run", ANSWERS)
    (machine / "linger" / getpass.getuser()).touch()
    found = said(machine)
    assert found.within
    assert found.warning is None


@pytest.mark.parametrize("script", [None, "#!/bin/sh\nexit 1\n"])
def test_where_nothing_can_start_it_outside_lingering_does_not_help(machine: Path, script: str | None) -> None:
    strict(machine)
    if script is not None:
        program(machine, "systemd-run", script)
    (machine / "linger" / getpass.getuser()).touch()
    found = said(machine)
    assert not found.within
    assert "stay logged in" in (found.warning or "")


def test_logind_itself_is_asked_first(machine: Path) -> None:
    program(machine, "busctl", "#!/bin/sh\necho 'b true'\n")
    assert said(machine).warning is not None
