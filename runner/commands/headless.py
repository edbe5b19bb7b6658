"""Watching a sweep without a dashboard: a line per change, or every event as JSON."""

import json
import signal
import sys
import time

import anyio
from anyio.abc import TaskGroup

from runner.adapters.ledger import read_envelopes
from runner.adapters.places import Places
from runner.client import Refused, RunningSweep, Update
from runner.commands.dashboard import exit_status
from runner.commands.lines import json_line, narrate
from runner.commands.stuck_lines import StuckLines
from runner.model.board import Board
from runner.model.commands import Stop
from runner.model.events import Envelope, StopMode
from runner.model.reduce import reduce
from runner.model.refusal import UsageRefused
from runner.model.summary import summarise, table

LET_GO_S = 15.0
"""A runner whose sweep is over needs this long at the most to close its ledger."""
STUCK_LOOK_S = 2.0
INTERRUPTED = 130


def watch(places: Places, sweep: str, last_seq: int, *, as_json: bool) -> int:
    """Print what happens behind event `last_seq` until the sweep is over; then the summary."""
    watcher = _Watcher(places, sweep, last_seq, as_json=as_json)
    anyio.run(watcher.run)
    return watcher.status()


class _Watcher:
    def __init__(self, places: Places, sweep: str, last_seq: int, *, as_json: bool) -> None:
        self._places = places
        self._sweep = sweep
        self._as_json = as_json
        self._ledger = places.ledger(sweep)
        self._source = RunningSweep(places.socket(sweep))
        self._over = anyio.Event()
        self._interrupts = 0
        self._held: set[str] = set()
        self._hears = False
        self._attached = 1
        self._stuck = StuckLines(as_json=as_json)
        self._gone = False
        self._unread = False
        self.board = Board()
        for envelope in read_envelopes(self._ledger):
            if envelope.seq > last_seq:
                break
            self.board = reduce(self.board, envelope)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._follow)
            tasks.start_soon(self._interrupted, tasks)
            tasks.start_soon(self._tell_stuck)
            await self._over.wait()
            tasks.cancel_scope.cancel()
        # The next command must not find the sweep owned by a runner that is about to end.
        with anyio.move_on_after(0 if self._interrupts >= 3 or self._unread else LET_GO_S):
            while self._places.runner_pid(self._sweep) is not None and not self._detached:  # noqa: ASYNC110 - a lock tells nobody that it is let go
                await anyio.sleep(0.02)
        self._catch_up()

    def status(self) -> int:
        """Print the summary and judge the sweep by it."""
        summary = summarise(self.board, self.board.at)
        if self._as_json:
            print(json.dumps(summary.to_json()), flush=True)
        else:
            print(f"\n{table(summary)}", flush=True)
        if self._gone:
            raise UsageRefused(f"the runner is gone and the sweep is not over; go on with: coopdeck run {self._sweep}")
        if self._interrupts:
            return INTERRUPTED
        return exit_status(self.board)

    @property
    def _detached(self) -> bool:
        """Somebody else watches too, and a runner stays for as long as anybody does."""
        return self._nothing_more and self._attached > 1

    @property
    def _nothing_more(self) -> bool:
        """Finished, or held by the budget, which is said only when nothing runs any more: the runner waits for us."""
        return self.board.finished_at is not None or any(hold.cause == "budget" for hold in self.board.holds)

    async def _follow(self) -> None:
        try:
            await self._source.follow(self._seen)
        except (OSError, Refused) as error:
            if isinstance(error, Refused):
                raise UsageRefused(str(error)) from None
            self._gone = self._places.runner_pid(self._sweep) is None
            # Nobody reads the lines any more; the runner goes on.
            self._unread = isinstance(error, BrokenPipeError)
        self._over.set()

    async def _tell_stuck(self) -> None:
        """No event tells that nothing happens."""
        while True:
            await anyio.sleep(STUCK_LOOK_S)
            # A runner that is not heard of tells nothing of anybody.
            if self._hears:
                for line in self._stuck.news(self.board, time.time()):
                    print(line, flush=True)

    def _seen(self, update: Update) -> None:
        self._attached, self._hears = update.attached, update.link == "attached"
        self._tell_holds(update.board)
        if update.whole or not self._fits(update.envelopes):
            # The board alone does not tell what led to it; the ledger does, without a gap.
            self._catch_up()
        else:
            self._tell(update.envelopes)
        runner = self.board.runner
        if self._nothing_more or (runner is not None and runner.stopped_at is not None):
            self._over.set()
        elif update.link == "reconnecting" and self._places.runner_pid(self._sweep) is None:
            self._catch_up()
            self._gone = self.board.runner is None or self.board.runner.stopped_at is None
            self._over.set()

    def _tell_holds(self, board: Board) -> None:
        """What no event can tell, because the ledger takes none."""
        reasons = {hold.reason for hold in board.holds if hold.cause == "ledger"}
        for reason in sorted(reasons - self._held):
            self._say(f"held: {reason}")
        if self._held and not reasons:
            self._say("going on: the ledger can be written again")
        self._held = reasons

    def _fits(self, envelopes: tuple[Envelope, ...]) -> bool:
        return not envelopes or envelopes[0].seq == self.board.seq + 1

    def _catch_up(self) -> None:
        self._tell(tuple(read_envelopes(self._ledger, self.board.seq)))

    def _tell(self, envelopes: tuple[Envelope, ...]) -> None:
        lines = map(json_line, envelopes) if self._as_json else narrate(self.board, envelopes)
        for line in lines:
            print(line)
        sys.stdout.flush()
        for envelope in envelopes:
            self.board = reduce(self.board, envelope)

    async def _stop(self, mode: StopMode) -> None:
        reply = await self._source.ask(Stop(mode))
        if not reply.ok:
            self._say(reply.says)

    async def _interrupted(self, tasks: TaskGroup) -> None:
        """Ctrl-C: first drains, second stops now, third leaves at once, whether the runner answers or not."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self._interrupts += 1
                if self._interrupts == 1:
                    self._say("draining: what runs may finish; interrupt again to end it now")
                    tasks.start_soon(self._stop, "drain")
                elif self._interrupts == 2:
                    self._say("stopping now: what runs is ended and stays resumable; interrupt again to leave at once")
                    tasks.start_soon(self._stop, "now")
                else:
                    self._say("leaving; the runner goes on stopping by itself")
                    self._over.set()
                    return

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
