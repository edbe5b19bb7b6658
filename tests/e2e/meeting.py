"""Lets the two agents of a pair meet, so that a message always finds its receiver.

Upstream empties an agent's inbox while that agent starts, and refuses to send to one that has
ended: without a meeting it would be luck whether a message arrives.
"""

import threading
from dataclasses import dataclass

from tests.e2e.script import Caller

MEETING_SECONDS = 90.0
# With a peer that is known to get errors alone.
SHORT_MEETING_SECONDS = 3.0


@dataclass
class _Talk:
    caller: Caller
    step: int
    job: int | None = None
    peer: int | None = None
    given_up: bool = False


class Meeting:
    """Pairs up conversations and holds one back until the other has come as far."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._talks: dict[int, _Talk] = {}
        self._absent: set[tuple[int, str, int | None]] = set()
        self._closed = False

    def arrive(self, talk: int, caller: Caller, step: int, job: int | None = None) -> None:
        """`job` is the process that asks, where that is known."""
        with self._changed:
            own = self._talks.setdefault(talk, _Talk(caller, step, job))
            own.step = step
            if own.peer is None:
                self._find_peer(talk, own)
            self._changed.notify_all()

    def wait_for_peer(self, talk: int, step: int) -> None:
        """Return when the peer has come to `step`, or when it is clear that it will not."""
        with self._changed:
            own = self._talks[talk]
            # That the peer will not come may become known while we wait.
            self._changed.wait_for(lambda: self._met(own, step) or self._alone(own), MEETING_SECONDS)
            came = self._changed.wait_for(lambda: self._met(own, step), SHORT_MEETING_SECONDS)
            # Whoever waited in vain once does not wait at every later step as well.
            own.given_up = own.given_up or not came

    def expect_nobody(self, caller: Caller, job: int | None = None) -> None:
        """This caller will never get an answer; `job` as in `arrive`."""
        with self._changed:
            self._absent.add((caller.task, caller.agent, job))
            self._changed.notify_all()

    def expect_everybody(self) -> None:
        with self._changed:
            self._absent.clear()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _met(self, own: _Talk, step: int) -> bool:
        there = own.peer is not None and self._talks[own.peer].step >= step
        return self._closed or own.given_up or there

    def _alone(self, own: _Talk) -> bool:
        peer = own.caller.task, own.caller.peer
        absent = (one for *caller, one in self._absent if tuple(caller) == peer)
        return own.peer is None and any(_one_job(own.job, one) for one in absent)

    def _find_peer(self, talk: int, own: _Talk) -> None:
        # An agent does not know its pair, only its own feature and its peer's name; but both are of one process.
        for other, candidate in self._talks.items():
            strangers = candidate.peer is None and not candidate.given_up and _one_job(own.job, candidate.job)
            same_task = candidate.caller.task == own.caller.task
            if strangers and same_task and candidate.caller.agent == own.caller.peer:
                own.peer, candidate.peer = other, talk
                return


def _one_job(one: int | None, other: int | None) -> bool:
    return None in (one, other) or one == other
