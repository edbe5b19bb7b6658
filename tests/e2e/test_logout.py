"""A machine with logind: what becomes of the runner when its user logs out, and that the user is told before.

The machine is a container with systemd as its first process; `tests/e2e/logind.sh` makes its image.
"""

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

IMAGE = "coopdeck-e2e-logind"
USER = "ann"
HERE = Path(__file__).parents[2]
RUN = "run s --rehearse --speed 2 --subset lite --smoke 5 --detach"
WARNED = "ends your processes when you log out"


class Machine:
    """One booted container and a user on it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def root(self, *command: str) -> str:
        done = subprocess.run(["docker", "exec", self.name, *command], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def login(self, *commands: str, meanwhile: tuple[str, ...] = ()) -> str:
        """What the user sees in a session with these coopdeck commands, root doing something before it ends."""
        # As the tests do it here, whatever Python the machine has.
        libraries = next((HERE / ".venv/lib").glob("python3*/site-packages"))
        line = f"export PYTHONPATH=/repo:/repo/{libraries.relative_to(HERE)} PYTHONDONTWRITEBYTECODE=1; "
        line += "; ".join(f"python3 -P -m runner.cli {command}" for command in commands)
        line += "; until [ -e /tmp/leave ]; do sleep 0.1; done"
        self.root("rm", "-f", "/tmp/leave")
        session = subprocess.Popen(
            ["docker", "exec", "-t", self.name, "su", "-l", USER, "-c", line], stdout=subprocess.PIPE, text=True
        )
        if meanwhile:
            self.until(lambda: self.runner() != "", "a runner")
            self.root(*meanwhile)
        self.root("touch", "/tmp/leave")
        return session.communicate(timeout=240)[0]

    def runner(self) -> str:
        return self.root("pgrep", "-u", USER, "-f", "runner.daemon").strip()

    def logged_out(self) -> None:
        self.until(lambda: "No sessions" in self.root("loginctl", "--no-pager"), "the end of the session")
        # A user's manager that has nothing to stay for is ended ten seconds later (UserStopDelaySec=).
        lingers = "Linger=yes" in self.root("loginctl", "show-user", USER, "-p", "Linger")
        if not lingers:
            self.until(lambda: not self.root("pgrep", "-u", USER, "-f", "systemd --user").strip(), "the manager's end")

    def until(self, true: object, what: str) -> None:
        assert callable(true)
        deadline = time.monotonic() + 180
        while not true():
            assert time.monotonic() < deadline, f"never seen: {what}"
            time.sleep(0.2)


@pytest.fixture
def machine() -> Iterator[Machine]:
    there = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0
    if not there:
        pytest.skip(f"no image {IMAGE}: tests/e2e/logind.sh makes it (some minutes)")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the machine's Python is 3.11, and it runs with this one's libraries")
    name = f"coopdeck-logind-{uuid.uuid4().hex[:8]}"
    start = ["docker", "run", "-d", "--name", name, "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    start += ["--security-opt", "apparmor=unconfined", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run"]
    start += ["--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec", "-v", f"{HERE}:/repo:ro", "-e", "container=docker"]
    try:
        booted = subprocess.run([*start, IMAGE, "/sbin/init"], capture_output=True, text=True, check=False)
        if booted.returncode:
            pytest.skip(f"systemd does not start in a container here: {booted.stderr.strip()[-200:]}")
        made = Machine(name)
        deadline = time.monotonic() + 120
        while made.root("systemctl", "is-system-running").strip() not in {"running", "degraded"}:
            if time.monotonic() > deadline:
                pytest.skip("systemd does not come up in a container here")
            time.sleep(0.2)
        made.root("useradd", "-m", "-s", "/bin/bash", USER)
        yield made
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)


def strict(machine: Machine, value: str) -> None:
    settings = f"mkdir -p /etc/systemd/logind.conf.d; printf '[Login]\\nKillUserProcesses={value}\\n'"
    machine.root("sh", "-c", f"{settings} > /etc/systemd/logind.conf.d/k.conf; systemctl restart systemd-logind")


def test_where_logind_lets_processes_be_nothing_is_said_and_the_runner_stays(machine: Machine) -> None:
    strict(machine, "no")
    assert WARNED not in machine.login(RUN)
    time.sleep(1)
    assert machine.runner()
    assert "running" in machine.login("status")


def test_where_logind_kills_the_user_is_warned_and_the_sweep_can_go_on_afterwards(machine: Machine) -> None:
    strict(machine, "yes")
    seen = machine.login(RUN)
    assert WARNED in seen
    assert "loginctl enable-linger" in seen
    machine.logged_out()
    machine.until(lambda: not machine.runner(), "the runner's end")
    assert "running" in machine.login(RUN, "status")


def test_with_lingering_asked_for_before_leaving_the_runner_stays(machine: Machine) -> None:
    strict(machine, "yes")
    assert WARNED in machine.login(RUN, meanwhile=("loginctl", "enable-linger", USER))
    machine.logged_out()
    assert machine.runner()
    seen = machine.login("status", "stop --now", RUN)
    assert "running" in seen
    assert WARNED not in seen
