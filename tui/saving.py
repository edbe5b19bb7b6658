"""Saving what a pane shows: to a new file, never over another, a few milliseconds at a time."""

import os
import re
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

import anyio
import anyio.lowlevel
import anyio.to_thread

from tui.growing import GrowingFile
from tui.reading import Reading

SLICE_S = 0.01
CHUNK = 1024 * 1024
MOST_OF_A_NAME = 1000
LONGEST_NAME = 150


async def save_text(reading: Reading, folder: Path, name: str) -> Path:
    """All entries of a reading of our own, unfolded, as they are shown: nothing in the text acts on a terminal.

    Raises:
        OSError: it was not saved, and nothing is left of it.
    """
    path, file = _made(folder, name, ".txt")
    try:
        with file:
            until = perf_counter() + SLICE_S
            while reading.advance() or not reading.complete:
                until = await _others(until)
            for entry in range(reading.count):
                rows = reading.text(entry).split("\n")
                lines = [row.rstrip() for row in rows] + ([""] if len(rows) > 1 else [])
                file.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
                until = await _others(until)
    except BaseException:
        _away(path)
        raise
    finally:
        reading.close()
    return path


async def save_copy(source: Path, folder: Path, name: str) -> Path:
    """The bytes of a file as they are now.

    Raises:
        OSError: there is no such file, or it was not saved, and nothing is left of it.
    """
    original = GrowingFile(source)
    original.look()
    if not original.exists:
        raise FileNotFoundError(f"there is no {source.name} to save")
    size = original.size
    path, file = _made(folder, name, source.suffix)
    try:
        with file:
            at = 0
            while at < size and (data := await anyio.to_thread.run_sync(original.read, at, min(CHUNK, size - at))):
                await anyio.to_thread.run_sync(file.write, data)
                at += len(data)
    except BaseException:
        _away(path)
        raise
    finally:
        original.close()
    return path


def _made(folder: Path, name: str, suffix: str) -> tuple[Path, BinaryIO]:
    """A file that was not there before; a name of any origin is made harmless."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".-")[:LONGEST_NAME] or "saved"
    for number in range(1, MOST_OF_A_NAME):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{suffix}"
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            return path, open(descriptor, "wb")
    raise FileExistsError(f"too many files are called {stem}")


def _away(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


async def _others(until: float) -> float:
    """Keys and repaints come in between; when the next slice is over."""
    if perf_counter() < until:
        return until
    await anyio.lowlevel.checkpoint()
    return perf_counter() + SLICE_S
