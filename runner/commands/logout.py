"""Whether the machine would end the runner when its user logs out, and what to do about it."""

import getpass
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ASK_S = 2.0
LINGER = Path("/var/lib/systemd/linger")
CONFIGURATION = Path("/etc/systemd")
_ASK = (
    "busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
    "KillUserProcesses",
)  # fmt: skip


def logout_warning(
    environment: Mapping[str, str] = os.environ, linger: Path = LINGER, configuration: Path = CONFIGURATION
) -> str | None:
    """A sentence where logind kills a user's processes at logout (logind.conf(5)), else None."""
    if "XDG_SESSION_ID" not in environment or (linger / getpass.getuser()).exists():
        return None
    if not _kills(configuration):
        return None
    return (
        "this machine ends your processes when you log out (KillUserProcesses=yes), the runner too; "
        "before you leave, allow it to stay with: loginctl enable-linger"
    )


def _kills(configuration: Path) -> bool:
    try:
        asked = subprocess.run(_ASK, capture_output=True, text=True, timeout=ASK_S, check=True)
        return asked.stdout.split() == ["b", "true"]
    except (OSError, subprocess.SubprocessError):
        return _configured(configuration)


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
