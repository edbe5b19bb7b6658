"""The supplier of images: those that a sweep's jobs need and that are not here are pulled while others run."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio

from runner.adapters.docker_engine import EngineAway
from runner.adapters.image_check import Verdict, Verdicts
from runner.adapters.images import Connection, Image, Patience, Puller, in_thread, look, verdicts_path
from runner.adapters.registry import registry_sizes
from runner.engine.ports import Tell
from runner.model.plan import JobSpec, Plan
from runner.model.supplies import Supply, SupplyKind, needed

LOOK_S = 20.0
"""Between two looks at whether the engine answers and the images are still there."""
SIZES_S = 4.0
"""Sizes are for the bars: no pull waits longer for them."""


class ImageSupplier:
    """The port `Supplier`; of images that are all here it costs a question to the engine every LOOK_S."""

    kind: SupplyKind = "image"

    def __init__(self, state: Path, connection: Connection, patience: Patience | None = None) -> None:
        self._verdicts = Verdicts(verdicts_path(state))
        self._connection = connection
        self._patience = patience or Patience()
        self._wanted: dict[str, None] = {}
        self._over: set[str] = set()
        """Failed for good: nobody looks at them until somebody asks."""
        self._pulling: set[str] = set()
        self._news = anyio.Event()

    async def supply(self, plan: Plan, jobs: Sequence[JobSpec], tell: Tell) -> None:
        self._wanted |= dict.fromkeys(name for spec in jobs for kind, name in needed(plan, spec) if kind == self.kind)
        self._over.clear()
        self._pulling.clear()
        puller = Puller(self._connection, self._patience)
        async with anyio.create_task_group() as pulls:
            while True:
                names = [name for name in self._wanted if name not in self._over | self._pulling]
                wait_s = self._patience.engine_s
                try:
                    missing = await self._look(names, tell) if names else []
                except EngineAway as away:
                    for name in names:
                        await tell(Supply("image", name, "down", str(away)))
                else:
                    wait_s = LOOK_S
                    if missing and plan.pull:
                        await self._measure(puller, missing)
                    for name in missing:
                        await self._begin(name, plan, puller, tell, pulls)
                with anyio.move_on_after(wait_s if self._wanted else None):
                    await self._news.wait()
                self._news = anyio.Event()

    def want(self, name: str) -> None:
        self._wanted[name] = None
        self._over.discard(name)
        self._news.set()

    async def end(self) -> None:
        self._connection.close()

    async def _look(self, names: Sequence[str], tell: Tell) -> list[str]:
        """Tell how those stand that are here; the rest. Raises EngineAway."""
        here = await self._connection.ask(lambda engine: look(engine, names))
        verdicts = await in_thread(self._verdicts.all)
        for image in here.values():
            await tell(self._judged(image, verdicts.get(image.id)))
        return [name for name in names if name not in here]

    def _judged(self, image: Image, verdict: Verdict | None) -> Supply:
        if verdict is None or verdict.good:
            return Supply("image", image.name, "there", "", image.bytes, image.bytes)
        return Supply("image", image.name, "failed", f"{verdict.says} (look again: coopdeck images verify)")

    async def _begin(self, name: str, plan: Plan, puller: Puller, tell: Tell, pulls: anyio.abc.TaskGroup) -> None:
        if plan.pull:
            self._pulling.add(name)
            pulls.start_soon(self._get, name, puller, tell)
        else:
            self._over.add(name)
            await tell(Supply("image", name, "failed", "it is not here, and --no-pull forbids getting it"))

    async def _get(self, name: str, puller: Puller, tell: Tell) -> None:
        supply = await puller.get(name, tell)
        if supply.state == "failed":
            self._over.add(name)
        self._pulling.discard(name)

    async def _measure(self, puller: Puller, names: Sequence[str]) -> None:
        with anyio.move_on_after(SIZES_S), suppress(EngineAway):
            engine = await self._connection.engine()
            known = await in_thread(lambda: registry_sizes(engine, names, within_s=SIZES_S))
            puller.sizes = {**puller.sizes, **known}
