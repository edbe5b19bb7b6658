"""The sockets in this user's folder for them, of whatever project: who listens there, and removing those left over."""

import re
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from runner.adapters.places import socket_folder

CONNECT_S = 1.0
YOUNG_S = 60.0
"""A runner that has just made its socket may not listen yet."""
_NAME = re.compile(r"[0-9a-f]{20}\.sock")
_CREDENTIALS = struct.Struct("3i")


def dead_sockets() -> list[Path]:
    """Those of runners that are gone. Raises UsageRefused where the folder is not to be trusted."""
    return [path for path in _sockets() if _dead(path)]


def remove_dead(path: Path) -> None:
    """Unless a runner has come to listen there meanwhile. Raises OSError."""
    # Taken aside first: between a look and the removal another runner could put its own in that place.
    aside = path.with_suffix(".gone")
    path.rename(aside)
    if _dead(aside):
        aside.unlink()
    else:
        aside.rename(path)


def runners() -> list[tuple[int, Path | None]]:
    """This user's runners that listen: the process and its project's folder, None where that cannot be told.

    Raises:
        UsageRefused: the folder is not to be trusted.
    """
    found: list[tuple[int, Path | None]] = []
    for path in _sockets():
        with suppress(OSError):
            pid = _listener(path)
            if pid is not None:
                found.append((pid, _folder(pid)))
    return found


def _sockets() -> list[Path]:
    return [path for path in sorted(socket_folder().iterdir()) if _NAME.fullmatch(path.name) and path.is_socket()]


def _dead(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > YOUNG_S and _listener(path) is None
    except OSError:
        return False


def _listener(path: Path) -> int | None:
    """The process, or None when there is none. Raises OSError when that cannot be told."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(CONNECT_S)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return None
        told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(told)[0]
    return pid


def _folder(pid: int) -> Path | None:
    """A runner works in its project's folder."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() if pid else None
    except OSError:
        return None
