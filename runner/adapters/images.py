"""Which images are here, and getting those that are not: one pull per image however many ask."""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from runner.adapters.docker_engine import Engine, EngineAway, why_away
from runner.adapters.image_pull import FOR_GOOD, Progress, Pull, PullFailed
from runner.adapters.places import socket_folder
from runner.engine.ports import Tell
from runner.model.sizes import size
from runner.model.supplies import Supply, SupplyState

AT_ONCE = 3
LOCK_LOOK_S = 0.5
UNPACKED = 3.0
"""Bytes on disk for one that comes over the network: what gzip makes of source trees and their environments."""
LEAST_ROOM = 1_000_000_000
DIGEST_TRIES = 3
LOGIN = "'docker login' may help"
WAITS = "waits for its turn"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds between tries, and how many tries one command makes; a sweep goes on for ever."""

    first_s: float = 2.0
    longest_s: float = 60.0
    rate_s: float = 60.0
    longest_rate_s: float = 900.0
    room_s: float = 15.0
    engine_s: float = 5.0
    tries: int | None = None
    """None: until cancelled."""
    every_s: float = 1.0
    """Between two words about progress."""


@dataclass(frozen=True, slots=True)
class Image:
    """One that is here."""

    name: str
    id: str
    bytes: int
    made_at: float
    """Seconds since the epoch."""


def look(engine: Engine, names: Iterable[str]) -> dict[str, Image]:
    """Those of the names that are here. Blocks; raises EngineAway."""
    wanted = set(names)
    return {image.name: image for image in _all(engine) if image.name in wanted}


def ours(engine: Engine) -> list[Image]:
    """All that have a name of cooperbench's, tasks and others. Blocks; raises EngineAway."""
    return [image for image in _all(engine) if image.name.startswith("akhatua/cooperbench-")]


def _all(engine: Engine) -> list[Image]:
    import docker
    import requests

    try:
        listed: list[Mapping[str, Any]] = engine.api.images()
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise EngineAway(why_away(error, engine.host)) from None
    return [
        Image(str(tag).removeprefix("docker.io/"), str(one["Id"]), int(one.get("Size") or 0), _time(one.get("Created")))
        for one in listed
        for tag in one.get("RepoTags") or ()
    ]


def _time(told: object) -> float:
    if isinstance(told, int | float):
        return float(told)
    try:
        return datetime.fromisoformat(str(told)).timestamp()
    except ValueError:
        return 0.0


async def in_thread(work: Callable[[], Result]) -> Result:
    """Small questions to the engine, which has a time limit for each: a cancelled caller leaves it behind."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


class Connection:
    """The engine, connected to when it is needed, and anew when it was away."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engine: Engine | None = None
        self._turn = anyio.Lock()

    async def engine(self) -> Engine:
        """Raises EngineAway."""
        async with self._turn:
            if self._engine is None:
                self._engine = await self._connected()
            return self._engine

    async def _connected(self) -> Engine:
        """A caller who is cancelled leaves the thread behind, and what it comes back with is closed."""
        turn, made, left = threading.Lock(), list[Engine](), False

        def make() -> Engine:
            engine = self._make()
            with turn:
                if left:
                    engine.close()
                made.append(engine)
            return engine

        try:
            return await in_thread(make)
        except anyio.get_cancelled_exc_class():
            with turn:
                left = True
                for engine in made:
                    engine.close()
            raise

    async def ask(self, question: Callable[[Engine], Result]) -> Result:
        """The answer. Raises EngineAway, and then connects anew the next time."""
        engine = await self.engine()
        try:
            return await in_thread(lambda: question(engine))
        except EngineAway:
            self.close()
            raise

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None


@dataclass
class Puller:
    """Gets images, a few at once; what befalls each is told as a supply."""

    connection: Connection
    patience: Patience = field(default_factory=Patience)
    at_once: int = AT_ONCE
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes over the network, where the registry has told."""

    def __post_init__(self) -> None:
        self._slots = anyio.Semaphore(self.at_once)
        self._threads = anyio.CapacityLimiter(self.at_once)

    async def get(self, name: str, tell: Tell) -> Supply:
        """Until the image is there, or cannot be got; what was told last."""

        async def say(state: SupplyState, says: str = "", done: int = 0, total: int = 0) -> Supply:
            supply = Supply("image", name, state, says, done, total)
            await tell(supply)
            return supply

        await say("getting", WAITS)
        async with self._slots, self._alone(name, lambda: say("getting", "another coopdeck pulls it")):
            tries = 0
            while True:
                tries += 1
                last = self.patience.tries is not None and tries >= self.patience.tries
                try:
                    if await self.connection.ask(lambda engine: name in look(engine, [name])):
                        return await say("there")
                    await self._room(name)
                    await self._pull(name, say)
                    tries = 0 if self.patience.tries is None else tries
                except EngineAway as away:
                    supply = await say("failed" if last else "down", str(away))
                    wait = self.patience.engine_s
                except PullFailed as failed:
                    supply, wait = await self._told(failed, tries, last, say)
                else:
                    continue
                if supply.state == "failed":
                    return supply
                await anyio.sleep(wait)

    async def _pull(self, name: str, say: Callable[..., Awaitable[Supply]]) -> None:
        engine = await self.connection.engine()
        progress = Progress(self.sizes.get(name, 0))
        pull = Pull(engine, name, progress)

        async def tell() -> None:
            while True:
                await say("getting", progress.says, progress.done_bytes, progress.total_bytes)
                await anyio.sleep(self.patience.every_s)

        trouble: PullFailed | EngineAway | None = None
        async with anyio.create_task_group() as telling:
            telling.start_soon(tell)
            try:
                await anyio.to_thread.run_sync(pull.run, abandon_on_cancel=True, limiter=self._threads)
            except (PullFailed, EngineAway) as error:
                trouble = error  # raised below: a task group would wrap it
            finally:
                pull.drop()
                telling.cancel_scope.cancel()
        if isinstance(trouble, EngineAway):
            self.connection.close()
        if trouble is not None:
            raise trouble

    async def _told(
        self, failed: PullFailed, tries: int, last: bool, say: Callable[..., Awaitable[Supply]]
    ) -> tuple[Supply, float]:
        """What to say of a try that failed, and how long to wait before the next."""
        patience, trouble = self.patience, failed.trouble
        if trouble in FOR_GOOD or (trouble == "digest" and tries >= DIGEST_TRIES):
            return await say("failed", _FINAL[trouble].format(failed)), 0.0
        if trouble == "rate":
            wait = min(patience.longest_rate_s, patience.rate_s * 2.0 ** min(tries - 1, 10))
            said = f"the registry's rate limit is reached: next try in {wait:.0f} s ({LOGIN})"
            return await say("failed" if last else "getting", said if not last else f"{failed}; {LOGIN}"), wait
        if trouble == "room":
            remedy = "make some: coopdeck images prune, docker system df"
            return await say("failed" if last else "down", f"{failed}; {remedy}"), patience.room_s
        wait = min(patience.longest_s, patience.first_s * 2.0 ** min(tries - 1, 10))
        if last:
            return await say("failed", f"it did not come in {tries} tries: {failed}"), 0.0
        # The first cuts are nothing to wave a flag for: the next try goes on with the layers that have come.
        return await say("getting" if tries < 3 else "down", f"try {tries + 1} in {wait:.0f} s: {failed}"), wait

    async def _room(self, name: str) -> None:
        """Raises PullFailed where the image would fill the disk."""
        engine = await self.connection.engine()
        room = free_bytes(engine)
        need = max(LEAST_ROOM, int(self.sizes.get(name, 0) * UNPACKED))
        if room is not None and room < need:
            says = f"no room for it: about {size(need)}, and {engine.root_dir} has {size(room)} free"
            raise PullFailed("room", says)

    @asynccontextmanager
    async def _alone(self, name: str, wait: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Of all coopdecks of this user, one pulls an image; the kernel lets go of it when its holder dies."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        descriptor = os.open(socket_folder() / f"image-{digest}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            told = False
            while not _taken(descriptor):
                if not told:
                    told = True
                    await wait()
                await anyio.sleep(LOCK_LOOK_S)
            yield
        finally:
            os.close(descriptor)


_FINAL = {
    "missing": "it is not in the registry, or not for you: {} (" + LOGIN + ")",
    "denied": "the registry does not let you have it: {} (" + LOGIN + ")",
    "digest": "what comes is not what the registry promises (wrong digest), again and again: {}",
}


def free_bytes(engine: Engine) -> int | None:
    """On the file system where images live; None where it is not this machine's."""
    if engine.root_dir is None:
        return None
    try:
        return shutil.disk_usage(engine.root_dir).free
    except OSError:
        return None


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def verdicts_path(state: Path) -> Path:
    return state / "images.json"
