"""How many attempts may run at once."""

import anyio


class Slots:
    """A semaphore whose size can change while it is in use.

    Taking fewer slots than are in use ends nothing: attempts that run finish, and none starts before the
    number in use has fallen below the new size.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._changed = anyio.Event()
        self.version = 0
        """Counts the wakes, so that none is missed between a look and a wait."""

    @property
    def used(self) -> int:
        return self._used

    @property
    def free(self) -> bool:
        return self._used < self._size

    def resize(self, size: int) -> None:
        self._size = size
        self.wake()

    def take(self) -> None:
        """Take a free slot; the caller has looked at `free`."""
        self._used += 1

    def give_back(self) -> None:
        self._used -= 1
        self.wake()

    def wake(self) -> None:
        """Let whoever waits in `changed` look again."""
        self.version += 1
        self._changed.set()
        self._changed = anyio.Event()

    async def changed(self, seen: int, at_most_s: float | None = None) -> None:
        """Until something has changed since version `seen`, or this many seconds are over."""
        if self.version == seen:
            with anyio.move_on_after(at_most_s):
                await self._changed.wait()
