"""Whether the machine would end the runner when its user logs out, and how it is kept out of that."""

import getpass
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ASK_S = 2.0
LINGER = Path("/var/lib/systemd/linger")
CONFIGURATION = Path("/etc/systemd")
_ASK = (
    "busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
    "KillUserProcesses",
)  # fmt: skip
_OUTSIDE = ("systemd-run", "--user", "--scope", "--quiet", "--collect", "--")


@dataclass(frozen=True, slots=True)
class Logout:
    """What a logout would mean for a runner that is started now."""

    within: tuple[str, ...] = ()
    """The command that starts the runner's own command outside the session."""
    warning: str | None = None


def logout(
    environment: Mapping[str, str] = os.environ, linger: Path = LINGER, configuration: Path = CONFIGURATION
) -> Logout:
    """How to start a runner that outlives the session, and what the user should know of it.

    Where logind kills a session's processes (logind.conf(5), KillUserProcesses), lingering alone does not help, as
    seen with systemd 252: the runner has to be in a scope of the user's own service manager as well.
    """
    if "XDG_SESSION_ID" not in environment or not _kills(configuration):
        return Logout()
    within = _OUTSIDE if _succeeds(*_OUTSIDE, "true") else ()
    kills = "this machine ends your processes when you log out (KillUserProcesses=yes), the runner too"
    if not within:
        return Logout(
            warning=f"{kills}, and systemd-run --user cannot start it elsewhere; stay logged in while the sweep runs, "
            "or have an administrator set KillUserProcesses=no"
        )
    if (linger / getpass.getuser()).exists():
        return Logout(within)
    return Logout(within, f"{kills}; before you leave, allow it to stay with: loginctl enable-linger")


def _kills(configuration: Path) -> bool:
    try:
        asked = subprocess.run(_ASK, capture_output=True, text=True, timeout=ASK_S, check=True)
        return asked.stdout.split() == ["b", "true"]
    except (OSError, subprocess.SubprocessError):
        return _configured(configuration)


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=ASK_S, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _configured(configuration: Path) -> bool:
    """The last setting wins, and a drop-in wins over the main file."""
    files = [configuration / "logind.conf", *sorted((configuration / "logind.conf.d").glob("*.conf"))]
    value = "no"
    for file in files:
        try:
            found = re.findall(r"^\s*KillUserProcesses\s*=\s*(\w+)", file.read_text(errors="replace"), re.MULTILINE)
        except OSError:
            continue
        value = found[-1] if found else value
    return value.lower() in {"yes", "true", "on", "1"}
