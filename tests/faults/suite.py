"""The shape of the suite: a fault, how many cases of it, and the table of what survived."""

import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Play = Callable[[Path, random.Random, int], Iterator[list[str]]]
"""Plays so many cases in a folder of its own; yields for each what was wrong with it."""


class Skipped(Exception):
    """This machine cannot play the fault; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    short: int
    full: int
    play: Play


@dataclass(slots=True)
class Verdict:
    name: str
    cases: int = 0
    survived: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    skipped: str = ""


def play(fault: Fault, seed: int, cases: int) -> Verdict:
    """All cases of one fault; an exception of the suite itself is a case that did not survive."""
    verdict = Verdict(fault.name)
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="coopdeck-faults-")).resolve()
    try:
        for wrong in fault.play(folder, random.Random(f"{seed} {fault.name}"), cases):
            verdict.cases += 1
            verdict.survived += not wrong
            verdict.wrong += [f"case {verdict.cases}: {one}" for one in wrong]
    except Skipped as skipped:
        verdict.skipped = str(skipped)
    except Exception:
        verdict.cases += 1
        verdict.wrong.append(f"case {verdict.cases}: {traceback.format_exc(limit=-4)}")
    if verdict.wrong:
        verdict.wrong.append(f"left for a look: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    verdict.seconds = time.monotonic() - begun
    return verdict


def table(verdicts: Sequence[Verdict]) -> str:
    width = max(len(one.name) for one in verdicts)
    lines = [f"{'fault':<{width}}  cases  survived  seconds"]
    for one in verdicts:
        tail = f"  skipped: {one.skipped}" if one.skipped else ""
        lines.append(f"{one.name:<{width}}  {one.cases:>5}  {one.survived:>8}  {one.seconds:>7.1f}{tail}")
    cases, survived = sum(one.cases for one in verdicts), sum(one.survived for one in verdicts)
    lines.append(f"{'all':<{width}}  {cases:>5}  {survived:>8}  {sum(one.seconds for one in verdicts):>7.1f}")
    return "\n".join(lines)
