"""Whose turn it is: jobs in their order, those to be tried again later, and those that wait for a supply."""

import heapq
from collections.abc import Callable, Collection
from itertools import count

import anyio

from runner.model.ids import JobId
from runner.model.supplies import SupplyKey

_Turn = tuple[int, int, JobId]
"""Rank, then the number it came with: who waits aside for a supply comes back to the same place."""
_DUE, _NEW = 0, 1


class Turns:
    """A queue in which a job that cannot start lets others go first; each move costs O(log n)."""

    def __init__(self) -> None:
        self._queue: list[_Turn] = []
        self._later: list[tuple[float, JobId]] = []
        self._aside: dict[SupplyKey, list[_Turn]] = {}
        self._numbers = count()

    def add(self, job: JobId) -> None:
        heapq.heappush(self._queue, (_NEW, next(self._numbers), job))

    def add_later(self, job: JobId, delay_s: float) -> None:
        """Due in so many seconds of monotonic time, and then before what never ran."""
        heapq.heappush(self._later, (anyio.current_time() + delay_s, job))

    def due_in(self) -> float | None:
        """Seconds until the next of those that come later; None where there is none."""
        return max(0.0, self._later[0][0] - anyio.current_time()) if self._later else None

    def take(self, may_run: Callable[[JobId], bool], lacks: Callable[[JobId], SupplyKey | None]) -> JobId | None:
        """The next job that may run and lacks nothing; those before it that lack something are put aside."""
        while self._later and self._later[0][0] <= anyio.current_time():
            heapq.heappush(self._queue, (_DUE, next(self._numbers), heapq.heappop(self._later)[1]))
        while self._queue:
            turn = heapq.heappop(self._queue)
            job = turn[2]
            if not may_run(job):
                continue
            key = lacks(job)
            if key is None:
                return job
            self._aside.setdefault(key, []).append(turn)
        return None

    @property
    def waited_for(self) -> Collection[SupplyKey]:
        """What jobs are put aside for."""
        return self._aside.keys()

    def bring_back(self, key: SupplyKey) -> None:
        """The jobs that were put aside for this, to their places: what they lack may be there now."""
        for turn in self._aside.pop(key, ()):
            heapq.heappush(self._queue, turn)

    def drop(self, key: SupplyKey) -> list[JobId]:
        """The jobs that were put aside for this, out of the queue."""
        return [job for _, _, job in self._aside.pop(key, ())]
