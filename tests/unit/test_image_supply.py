"""The supplier of images: what is here, what has to come, what nobody may get, and an engine that goes away."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from runner.adapters import image_supply, images
from runner.adapters.docker_engine import Engine, EngineAway
from runner.adapters.image_check import Verdict, Verdicts, abandoned
from runner.adapters.image_pull import Progress
from runner.adapters.image_supply import ImageSupplier
from runner.adapters.images import Connection, Image, Patience, verdicts_path
from runner.model.supplies import Supply, image_name
from tests.unit.fakes import jobs, the_plan

pytestmark = pytest.mark.anyio
ONE, TWO = (image_name(spec.pair.repo, spec.pair.task) for spec in jobs(2))
QUICK = Patience(first_s=0.01, engine_s=0.01, every_s=0.01)


class World:
    """Images that are here, pulls that bring others, an engine that may be away."""

    def __init__(self, folder: Path) -> None:
        self.here = {ONE}
        self.pulled: list[str] = []
        self.away = False
        self.told: list[Supply] = []
        self.supplier = ImageSupplier(folder, Connection(self.engine), QUICK)

    def engine(self) -> Engine:
        if self.away:
            raise EngineAway("no Docker Engine answers")
        return Engine(SimpleNamespace(close=lambda: None), "unix:///x", None, "1", (), "x86_64")  # type: ignore[arg-type]

    def look(self, engine: Engine, names: Sequence[str]) -> dict[str, Image]:
        if self.away:
            raise EngineAway("no Docker Engine answers")
        return {name: Image(name, f"sha256:{name}", 1, 0.0) for name in names if name in self.here}

    def state(self, name: str) -> str:
        return next((supply.state for supply in reversed(self.told) if supply.name == name), "")

    async def run(self, *steps: Callable[[], object], until: Sequence[Callable[[], bool]], pull: bool = True) -> None:
        """The supplier, until each condition holds; a step follows each but the last."""

        async def tell(supply: Supply) -> None:
            self.told.append(supply)

        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.supplier.supply, the_plan(rehearsal=None, pull=pull), jobs(2), tell)
                for place, condition in enumerate(until):
                    while not condition():
                        await anyio.sleep(0.005)
                    if place < len(steps):
                        steps[place]()
                tasks.cancel_scope.cancel()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)

    class FakePull:
        def __init__(self, engine: Engine, name: str, progress: Progress) -> None:
            self._name = name

        def run(self) -> None:
            made.pulled.append(self._name)
            made.here.add(self._name)

        def drop(self) -> None: ...

    monkeypatch.setattr(images, "Pull", FakePull)
    monkeypatch.setattr(images, "look", made.look)
    monkeypatch.setattr(image_supply, "look", made.look)
    monkeypatch.setattr(image_supply, "LOOK_S", 0.02)
    monkeypatch.setattr(image_supply, "registry_sizes", lambda *_, **__: {})
    monkeypatch.setattr(images, "socket_folder", lambda: tmp_path)
    return made


async def test_what_is_here_is_told_and_what_is_missing_is_pulled(world: World) -> None:
    await world.run(until=[lambda: world.state(TWO) == "there"])
    assert world.state(ONE) == "there"
    assert world.pulled == [TWO]


async def test_what_may_not_be_got_fails_and_an_image_that_came_meanwhile_is_found_when_asked_for(world: World) -> None:
    def came() -> None:
        world.here.add(TWO)
        world.supplier.want(TWO)

    await world.run(came, until=[lambda: world.state(TWO) == "failed", lambda: world.state(TWO) == "there"], pull=False)
    assert world.pulled == []


async def test_an_engine_that_goes_away_holds_all_until_it_is_back(world: World) -> None:
    def away() -> None:
        world.away = True

    def back() -> None:
        world.away = False

    await world.run(
        away,
        back,
        until=[
            lambda: world.state(TWO) == "there",
            lambda: {world.state(ONE), world.state(TWO)} == {"down"},
            lambda: {world.state(ONE), world.state(TWO)} == {"there"},
        ],
    )


async def test_an_image_that_was_removed_is_pulled_again(world: World) -> None:
    await world.run(
        lambda: world.here.discard(ONE),
        until=[lambda: world.state(TWO) == "there", lambda: world.pulled == [TWO, ONE]],
    )


async def test_an_image_known_to_be_bad_starts_no_job(world: World, tmp_path: Path) -> None:
    Verdicts(verdicts_path(tmp_path)).remember(f"sha256:{ONE}", Verdict(ONE, False, "it has no git", 1.0))
    await world.run(until=[lambda: world.state(ONE) == "failed"])
    assert any("it has no git (look again: coopdeck images verify)" in supply.says for supply in world.told)


def test_verdicts_are_kept_by_image_and_a_torn_file_is_no_file(tmp_path: Path) -> None:
    verdicts = Verdicts(tmp_path / "state" / "images.json")
    assert verdicts.all() == {}
    good = Verdict("a", True, "", 1.0)
    verdicts.remember("sha256:1", good)
    verdicts.remember("sha256:2", Verdict("b", False, "it has no git", 2.0))
    assert verdicts.all()["sha256:1"] == good
    for text in ("{", "[]", '{"verified": {"x": 1}}', '{"verified": []}'):
        (tmp_path / "state" / "images.json").write_text(text)
        assert verdicts.all() == {}


def test_only_a_check_of_a_process_that_is_gone_is_abandoned() -> None:
    import os
    import socket

    from runner.adapters.processes import started_ticks

    host = socket.gethostname()
    assert not abandoned(f"check.{os.getpid()}.{started_ticks(os.getpid())}.{host}")
    assert abandoned(f"check.{os.getpid()}.1.{host}")
    assert not abandoned(f"check.{os.getpid()}.1.elsewhere-{host}")
    assert not abandoned("0123456789abcdef")
