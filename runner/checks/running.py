"""Running checks at the same time: none can hang the others, and their lines come in a fixed order."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from runner.model.check import Finding


class Check(NamedTuple):
    """A look at one thing. Its findings come at once, or the time limit's word in their place."""

    name: str
    look: Callable[[], list[Finding]]
    limit_s: float = 20.0


def run_checks(checks: Sequence[Check]) -> Iterator[list[Finding]]:
    """The findings of each check, in the order of `checks`, as soon as they and those before them are there.

    The threads are daemons: one that hangs in the kernel (a dead network drive) ends with the process.
    """
    answers: list[queue.SimpleQueue[list[Finding]]] = [queue.SimpleQueue() for _ in checks]
    for check, answer in zip(checks, answers, strict=True):
        threading.Thread(target=_look, args=(check, answer), name=f"check {check.name}", daemon=True).start()
    began = time.monotonic()
    for check, answer in zip(checks, answers, strict=True):
        try:
            yield answer.get(timeout=max(0.0, began + check.limit_s - time.monotonic()))
        except queue.Empty:
            says = f"this check was not through within {check.limit_s:g} s"
            yield [Finding(check.name, "fail", says, "see whether a disk, the network or Docker hangs")]


def _look(check: Check, answer: "queue.SimpleQueue[list[Finding]]") -> None:
    try:
        answer.put(check.look())
    except Exception as error:
        says = f"this check failed by itself: {type(error).__name__}: {error}"
        answer.put([Finding(check.name, "fail", says, "please report it")])
