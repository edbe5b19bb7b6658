"""Fan-out to clients: bounded, and never waiting for any of them."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from runner.model.events import Envelope

if TYPE_CHECKING:
    from collections.abc import Iterator

BUFFER = 4096
"""Envelopes kept for a client that does not take them; then it is sent the board again instead."""


class Subscription:
    """One client's share of what happens."""

    def __init__(self) -> None:
        self._waiting: deque[Envelope] = deque()
        self._overflowed = True  # the first thing a client needs is the board
        self._news = anyio.Event()
        self.caught_up = anyio.Event()
        """Set while the client has been handed everything."""

    def push(self, envelopes: tuple[Envelope, ...]) -> None:
        if self.caught_up.is_set():
            self.caught_up = anyio.Event()
        if self._overflowed:
            return  # the board it will be sent holds these too
        if len(self._waiting) + len(envelopes) > BUFFER:
            self._waiting.clear()
            self._overflowed = True
        else:
            self._waiting.extend(envelopes)
        self._news.set()

    def resend(self) -> None:
        """Let the client be sent the board anew."""
        self._waiting.clear()
        self._overflowed = True
        self.touch()

    def touch(self) -> None:
        """Wake the client although nothing has happened to the board."""
        self._news.set()

    async def take(self) -> AsyncIterator[tuple[Envelope, ...] | None]:
        """Envelopes in order, or None: send the board as it is now, and go on from there."""
        while True:
            if self._overflowed:
                self._overflowed = False
                yield None
            elif self._waiting:
                batch = tuple(self._waiting)
                self._waiting.clear()
                yield batch
            else:
                self.caught_up.set()
                await self._news.wait()
                self._news = anyio.Event()
                if not self._waiting and not self._overflowed:
                    yield ()


class Hub:
    """All clients of one runner."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self.joined = anyio.Event()
        """Set once a first client has come."""
        self.when_left: Callable[[], None] = lambda: None
        """Called when a client has gone."""

    @property
    def attached(self) -> int:
        return len(self._subscriptions)

    def publish(self, envelopes: tuple[Envelope, ...]) -> None:
        for subscription in self._subscriptions:
            subscription.push(envelopes)

    def resend(self) -> None:
        """Something has changed that is no event: every client is sent the board anew."""
        for subscription in self._subscriptions:
            subscription.resend()

    @contextmanager
    def subscribe(self) -> "Iterator[Subscription]":
        """A subscription for as long as the context lasts; the others are told how many now watch."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        self.joined.set()
        self._touch()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            subscription.caught_up.set()
            self._touch()
            self.when_left()

    def _touch(self) -> None:
        for subscription in self._subscriptions:
            subscription.touch()

    async def drained(self, within_s: float) -> None:
        """Until every client has gone or was handed everything, or this many seconds are over."""
        with anyio.move_on_after(within_s):
            for subscription in tuple(self._subscriptions):
                await subscription.caught_up.wait()
