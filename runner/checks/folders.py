"""Coopdeck's own folders: whether it may write in them, whether there is room, and what stands in the way."""

import tempfile
from pathlib import Path

from runner.adapters.environment import free_bytes
from runner.adapters.listeners import dead_sockets
from runner.adapters.places import Places
from runner.adapters.room import ROOM
from runner.checks.wanted import Wanted
from runner.model.check import Finding
from runner.model.refusal import UsageRefused
from runner.model.sizes import size

FEW_FREE = 1_000_000_000


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
    left = f"; {stale} sockets of runners that are gone (coopdeck clean removes them)" if stale else ""
    return [Finding("folders", "ok", says + left)]


def _writable(folder: Path) -> list[Finding]:
    """Of a folder that is not there yet, the nearest one that is."""
    there = _standing(folder)
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"x")
            file.flush()
        free = free_bytes(there)
    except OSError as error:
        return [Finding("folders", "fail", f"{folder} cannot be written: {error.strerror}",
                        "run coopdeck in a folder that is yours and has room")]  # fmt: skip
    if free < ROOM:
        return [Finding("folders", "fail", f"the disk of {there} is full: {size(free)} free",
                        f"make room: no attempt begins with less than {ROOM >> 20} MB")]  # fmt: skip
    if free < FEW_FREE:
        return [Finding("folders", "warn", f"only {size(free)} are free in {there}",
                        "make room: a job's logs and conversations take a few MB")]  # fmt: skip
    return []


def _standing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())
