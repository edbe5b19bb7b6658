"""Coopdeck's own folders: whether it may write in them, whether there is room, and what stands in the way."""

import errno
import os
import tempfile
from pathlib import Path

from runner.adapters.environment import free_bytes
from runner.adapters.listeners import dead_sockets
from runner.adapters.places import Places
from runner.adapters.room import ROOM
from runner.checks.wanted import Wanted
from runner.engine.patience import SHORT
from runner.model.check import Finding
from runner.model.refusal import UsageRefused
from runner.model.sizes import size

FEW_FREE = 1_000_000_000
REMEDY = "run coopdeck in a folder that is yours and has room, or name another with --log-dir"


def check_folders(wanted: Wanted) -> list[Finding]:
    """The project's folder, the logs' and the sockets'; a line for each that is not as it should be, else one."""
    places = Places(wanted.root)
    logs = Path(wanted.root, wanted.logs_dir or "logs")
    findings = [found for folder in (places.state, logs) for found in _writable(folder)]
    try:
        stale = len(dead_sockets())
    except UsageRefused as refusal:
        findings.append(Finding("folders", "fail", str(refusal)))
    if findings:
        return findings
    free = free_bytes(places.state)
    says = f"{places.state} and {logs} may be written, {size(free)} free"
    # In nobody's way: the next runner of that sweep takes its place.
    many = "a socket of a runner that is" if stale == 1 else f"{stale} sockets of runners that are"
    left = f"; {many} gone (coopdeck clean removes {'it' if stale == 1 else 'them'})" if stale else ""
    return [Finding("folders", "ok", says + left)]


def check_unwritable(folder: Path) -> list[Finding]:
    """Whether nothing can ever be written there; a disk that is full for now is another matter."""
    there = _standing(folder)
    try:
        if there != folder and os.path.lexists(folder):
            raise NotADirectoryError(errno.ENOTDIR, "it is a link that leads nowhere")
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if error.errno not in SHORT:
            return [Finding("folders", "fail", f"{folder} cannot be written: {error.strerror}", REMEDY)]
    return []


def _writable(folder: Path) -> list[Finding]:
    """Of a folder that is not there yet, the nearest one that is."""
    if unwritable := check_unwritable(folder):
        return unwritable
    there = _standing(folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
        free = free_bytes(there)
    except OSError as error:
        return [Finding("folders", "fail", f"{folder} cannot be written: {error.strerror}", REMEDY)]
    if free < ROOM:
        return [Finding("folders", "fail", f"the disk of {there} is full: {size(free)} free",
                        f"make room: no attempt begins with less than {ROOM >> 20} MB")]  # fmt: skip
    if free < FEW_FREE:
        return [Finding("folders", "warn", f"only {size(free)} are free in {there}",
                        "make room: a job's logs and conversations take a few MB")]  # fmt: skip
    return []


def _standing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())
