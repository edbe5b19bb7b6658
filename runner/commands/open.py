"""`coopdeck open`: the files of a finished run, whoever launched it, in the dashboard or a line per pair."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce as fold
from itertools import islice
from pathlib import Path

import anyio.to_thread

from runner.adapters.run_tree import Opened, PairFolder, RunTree, pair_folders, read_config, read_pair, run_tree
from runner.client import Update
from runner.commands.dashboard import exit_status, open_on
from runner.model import events as ev
from runner.model.board import Board, RunnerRow
from runner.model.commands import Command, Reply
from runner.model.hidden import plain
from runner.model.plan import Plan
from runner.model.reduce import reduce
from runner.model.summary import span, summarise, table

AT_ONCE = 64
"""Pairs in the first step; each step reads half as many again as were read before, so that the work stays linear."""
MOST_PAIRS = 100_000


def execute(options: argparse.Namespace) -> int:
    """Exit status 0 when every pair has a result, else 1."""
    tree = run_tree(Path(options.folder))
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _lines(tree, as_json=bool(options.json))
    run = OpenedRun(tree)
    ended = open_on(run)
    if ended:
        print(plain(ended), file=sys.stderr)
    print("\n".join(plain(line) for line in table(summarise(run.board, run.board.at)).splitlines()))
    return exit_status(run.board)


class OpenedRun:
    """The source for a run of which there are files alone: it tells them as a ledger would have told the run."""

    def __init__(self, tree: RunTree) -> None:
        self._tree = tree
        self._config = read_config(tree)
        self._found = pair_folders(tree)
        self._foreign = 0
        self._agent = ""
        self._span = (float("inf"), 0.0)
        self.board = Board(plan=self._plan(Board()))

    @property
    def sweep_dir(self) -> Path | None:
        return self._tree.root

    async def follow(self, seen: Callable[[Update], None]) -> None:
        seen(Update(self._standing("reading"), (), True, "over", 0))
        while await anyio.to_thread.run_sync(self._step):
            seen(Update(self._standing(f"reading, {len(self.board.order)} so far"), (), True, "over", 0))
        seen(Update(self._standing("no runner"), (), True, "over", 0))

    async def ask(self, command: Command) -> Reply:
        return Reply(False, "there is no runner: these are only the files of a run")

    def _step(self) -> bool:
        """Read some pairs more, in a thread; False when there were none."""
        some = list(islice(self._found, max(AT_ONCE, len(self.board.order) // 2)))
        folders = [one for one in some if isinstance(one, PairFolder)]
        self._foreign += len(some) - len(folders)
        opened = [read_pair(folder, self._tree.name, self._config) for folder in folders]
        board = self.board
        if opened:
            planned = ev.JobsPlanned(tuple(one.spec for one in opened))
            board = reduce(board, ev.Envelope(board.seq + 1, board.at, planned))
        for one in opened:
            board = fold(reduce, _told(one, board.seq), board)
            self._agent = self._agent or one.agent
            self._span = (min(self._span[0], one.began), max(self._span[1], one.ended))
        self.board = replace(board, plan=self._plan(board), ran_s=max(0.0, self._span[1] - self._span[0]))
        return bool(some) and len(board.order) < MOST_PAIRS

    def _plan(self, board: Board) -> Plan:
        specs = [board.jobs[job].spec for job in board.order]
        models = tuple(dict.fromkeys(spec.model for spec in specs if spec.model))
        settings = tuple(dict.fromkeys(spec.setting for spec in specs))
        where = str(self._tree.root.parent)
        return Plan(self._tree.name, (), where, settings, models, self._agent, slots=0, attempts=1)

    def _standing(self, says: str) -> Board:
        foreign = f"; {self._foreign} things here are no pairs" if self._foreign else ""
        return replace(self.board, runner=RunnerRow(0, "", "", self.board.at, self.board.at, says + foreign))


def _told(one: Opened, seq: int) -> Iterator[ev.Envelope]:
    """The events of a job that was tried once."""
    job, path = one.spec.id, str(one.folder.path)
    pair = one.folder.pair
    folder = f"{one.folder.mode}/{pair.repo}/{pair.task}/{one.folder.path.name}"
    told: tuple[tuple[float, ev.Event], ...] = (
        (one.began, ev.AttemptStarting(job, 1, "", folder)),
        (one.began, ev.AttemptStarted(job, 1, 0, 0)),
        (one.ended, ev.AttemptEnded(job, 1, one.outcome)),
        (one.ended, ev.ResultDelivered(job, 1, path)),
        (one.ended, ev.JobSettled(job, "done" if one.outcome.is_result else "failed")),
    )
    for number, (at, event) in enumerate(told, seq + 1):
        yield ev.Envelope(number, at, event)


def _lines(tree: RunTree, *, as_json: bool) -> int:
    config, failed, pairs, foreign = read_config(tree), 0, 0, 0
    for found in pair_folders(tree):
        if not isinstance(found, PairFolder):
            foreign += 1
            continue
        one = read_pair(found, tree.name, config)
        pairs += 1
        failed += not one.outcome.is_result
        print(json.dumps(_shape(one)) if as_json else plain(_line(one)))
    if foreign:
        print(f"coopdeck: {foreign} things in {plain(str(tree.root))} are no pairs", file=sys.stderr)
    if not pairs:
        print(f"coopdeck: there is no pair in {plain(str(tree.root))}", file=sys.stderr)
    return 1 if failed or not pairs else 0


def _shape(one: Opened) -> dict[str, object]:
    """One documented shape, a JSON object on a line."""
    spec, outcome = one.spec, one.outcome
    return {
        "type": "pair", "run": spec.run_name, "mode": one.folder.mode, "repo": spec.pair.repo, "task": spec.pair.task,
        "features": list(spec.pair.features), "model": spec.model, "agent": one.agent, "result": outcome.is_result,
        "status": outcome.status, "label": outcome.label, "failure": outcome.failure, "evidence": outcome.evidence,
        "evaluated": one.evaluated, "cost_usd": outcome.cost_usd, "steps": outcome.steps,
        "patch_lines": outcome.patch_lines, "messages": outcome.messages, "duration_s": outcome.duration_s,
        "path": str(one.folder.path),
    }  # fmt: skip


def _line(one: Opened) -> str:
    outcome = one.outcome
    cost = "$?" if outcome.cost_usd is None else f"${outcome.cost_usd:.3f}"
    took = "" if outcome.duration_s is None else f"  {span(outcome.duration_s)}"
    why = "" if outcome.is_result else f"  {outcome.evidence}"
    evaluated = f"  {one.evaluated}" if outcome.is_result and one.evaluated else ""
    name = f"{one.folder.mode} {one.folder.pair.short}"
    return f"{name}  {outcome.label}  {outcome.steps} steps  {cost}{took}{evaluated}{why}"
