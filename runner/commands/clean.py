"""`coopdeck clean`."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from runner.adapters.containers import Made
from runner.commands.leftovers import Left, Owned, look, remove
from runner.commands.sweeps import known_sweeps
from runner.commands.yes import asked, at_terminal
from runner.model.hidden import plain
from runner.model.sizes import size

NAMED = 5
ATTEMPTS, MANY_ATTEMPTS = "sweep's attempts", "sweeps' attempts"


def execute(options: argparse.Namespace) -> int:
    """List what ended sweeps have left; remove it when told to. Sweeps that have a runner are not looked at."""
    sweeps = [sweep for sweep in known_sweeps(Path.cwd()) if sweep.pid is None]
    left = look(sweeps, attempts=options.attempts)
    if options.json:
        problems = remove(left, sweeps, attempts=True) if options.yes else []
        print(json.dumps(_shape(left, removed=options.yes, problems=problems)))
        return 1 if problems else 0
    for name in left.unreadable:
        print(plain(f"{name}: its ledger cannot be read, so nothing of it is removed"))
    if left.docker:
        print(plain(f"{left.docker}: what is left there is not listed"))
    for name, number in left.still_running.items():
        on = "demo" if name.startswith("demo/") else f"run {name}"
        print(plain(f"{name}: {number} of its attempts still run; go on with them with: coopdeck {on}"))
    if left.empty and not left.attempts:
        print("nothing is left of ended sweeps")
        return 0
    _list(left)
    rest = not left.empty and (options.yes or asked("remove all this?"))
    if not rest:
        left = Left(attempts=left.attempts)
    attempts = bool(left.attempts)
    if attempts:
        _list_attempts(left.attempts)
        attempts = options.yes or asked("remove these attempts, with the logs of what failed?")
    if not rest and not attempts:
        print("nothing was removed" if at_terminal() else "nothing was removed; --yes removes it without asking")
        return 0
    problems = remove(left, sweeps, attempts=attempts)
    again = look(sweeps, attempts=attempts)
    if not rest:
        again = Left(attempts=again.attempts)
    for problem in problems:
        print(plain(problem), file=sys.stderr)
    print(f"removed: {_counts(left, again, attempts=attempts)}")
    return 1 if problems or not again.empty else 0


def _list(left: Left) -> None:
    for kind, made in (("container", left.containers), ("volume", left.volumes)):
        _print(kind, [f"{one.sweep}  {one.job}  {one.name}  {_own_size(one)}" for one in made])
    _print("process", [f"{one.sweep}  {one.what}" for one in left.processes], "processes")
    _print("stale socket", [f"{one.sweep}  {one.what}" for one in left.sockets])
    _print(
        "unfinished copy", [f"{one.sweep}  {one.what}  {size(one.bytes)}" for one in left.copies], "unfinished copies"
    )


def _list_attempts(attempts: list[Owned]) -> None:
    _print(ATTEMPTS, [f"{one.sweep}  {one.what}  {size(one.bytes)}" for one in attempts], MANY_ATTEMPTS)


def _print(kind: str, lines: list[str], many: str = "") -> None:
    if not lines:
        return
    print(_count(len(lines), kind, many))
    for line in lines[:NAMED]:
        print(plain(f"  {line[:150].rstrip()}"))
    if len(lines) > NAMED:
        print(f"  and {len(lines) - NAMED} more")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _counts(before: Left, after: Left, *, attempts: bool) -> str:
    gone = [
        _count(len(before.containers) - len(after.containers), "container"),
        _count(len(before.volumes) - len(after.volumes), "volume"),
        _count(len(before.processes) - len(after.processes), "process", "processes"),
        _count(len(before.sockets) - len(after.sockets), "stale socket"),
        _count(len(before.copies) - len(after.copies), "unfinished copy", "unfinished copies"),
    ]
    if attempts:
        freed = sum(one.bytes for one in before.attempts) - sum(one.bytes for one in after.attempts)
        sweeps = len(before.attempts) - len(after.attempts)
        gone.append(f"{_count(sweeps, ATTEMPTS, MANY_ATTEMPTS)} ({size(freed)})")
    return ", ".join(words for words in gone if not words.startswith("0 ")) or "nothing"


def _own_size(made: Made) -> str:
    """Without what it shares with its image."""
    return made.size.partition(" (")[0]


def _shape(left: Left, *, removed: bool, problems: list[str]) -> dict[str, object]:
    def files(owned: list[Owned]) -> list[dict[str, object]]:
        return [{"sweep": one.sweep, "path": one.what, "bytes": one.bytes} for one in owned]

    return {
        "type": "clean",
        "containers": [asdict(made) | {"size": _own_size(made)} for made in left.containers],
        "volumes": [asdict(made) for made in left.volumes],
        "processes": [{"sweep": one.sweep, "process": one.what} for one in left.processes],
        "sockets": files(left.sockets),
        "copies": files(left.copies),
        "attempts": files(left.attempts),
        "still_running": left.still_running,
        "unreadable": left.unreadable,
        "docker": left.docker or None,
        "removed": removed,
        "problems": problems,
    }
