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
        self._absent: set[tuple[int, str]] = set()
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
            absent = own.peer is None and (own.caller.task, own.caller.peer) in self._absent
            seconds = SHORT_MEETING_SECONDS if absent else MEETING_SECONDS
            came = self._changed.wait_for(lambda: self._closed or self._peer_at(own, step), seconds)
            # Whoever waited in vain once does not wait at every later step as well.
            own.given_up = own.given_up or not came

    def expect_nobody(self, caller: Caller) -> None:
        """This caller will never get an answer."""
        with self._changed:
            self._absent.add((caller.task, caller.agent))

    def expect_everybody(self) -> None:
        with self._changed:
            self._absent.clear()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _peer_at(self, own: _Talk, step: int) -> bool:
        return own.given_up or (own.peer is not None and self._talks[own.peer].step >= step)

    def _find_peer(self, talk: int, own: _Talk) -> None:
        # An agent does not know its pair, only its own feature and its peer's name; but both are of one process.
        for other, candidate in self._talks.items():
            one_job = None in (own.job, candidate.job) or own.job == candidate.job
            strangers = candidate.peer is None and not candidate.given_up and one_job
            same_task = candidate.caller.task == own.caller.task
            if strangers and same_task and candidate.caller.agent == own.caller.peer:
                own.peer, candidate.peer = other, talk
                return
