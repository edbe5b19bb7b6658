"""What the engine says of a pull, as progress or as the reason it failed; and the rules of trying again."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.adapters import images as images_module
from runner.adapters.docker_engine import Engine, EngineAway, endpoint, why_away
from runner.adapters.image_pull import Progress, PullFailed, Trouble, failed
from runner.adapters.images import Connection, Image, Patience, Puller
from runner.model.supplies import Supply

A, B = "0123456789ab", "ba9876543210"


def test_layers_add_up_to_bytes_and_words() -> None:
    progress = Progress()
    for item in (
        {"status": "Pulling from akhatua/cooperbench-x", "id": "task1"},
        {"status": "odd", "id": "WARNING"},
        {"status": "Pulling fs layer", "id": A, "progressDetail": {}},
        {"status": "Already exists", "id": B},
        {"status": "Downloading", "id": A, "progressDetail": {"current": 40, "total": 100}},
    ):
        progress.fold(item)
    assert (progress.done_bytes, progress.total_bytes, progress.says) == (40, 100, "pulling, 1 of 2 layers")
    progress.fold({"status": "Retrying in 5 seconds", "id": A})
    assert "the connection was cut" in progress.says
    progress.fold({"status": "Pull complete", "id": A})
    assert (progress.done_bytes, progress.says) == (100, "pulling, 2 of 2 layers")


def test_the_registrys_total_holds_until_the_engine_knows_more() -> None:
    progress = Progress(expected_bytes=1000)
    progress.fold({"status": "Downloading", "id": A, "progressDetail": {"current": 40, "total": 100}})
    assert (progress.done_bytes, progress.total_bytes) == (40, 1000)


@pytest.mark.parametrize(
    ("says", "trouble"),
    [
        ("manifest for a/b:c not found: manifest unknown: manifest unknown", "missing"),
        ("pull access denied for a/b, repository does not exist or may require 'docker login': denied", "missing"),
        ("toomanyrequests: You have reached your pull rate limit.", "rate"),
        ("filesystem layer verification failed for digest sha256:7a94", "digest"),
        ("write /var/lib/docker/tmp/x: no space left on device", "room"),
        ("unauthorized: authentication required", "denied"),
        ("unexpected EOF", "network"),
        ('Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host', "network"),
    ],
)
def test_the_engines_words_are_a_kind_of_trouble(says: str, trouble: Trouble) -> None:
    assert failed(says).trouble == trouble
    with pytest.raises(PullFailed):
        Progress().fold({"errorDetail": {"message": says}, "error": says})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=5,
)


@given(st.lists(st.fixed_dictionaries({}, optional={
    "id": st.just(A) | anything, "status": st.sampled_from(["Downloading", "Pull complete"]) | anything,
    "progressDetail": st.fixed_dictionaries({"current": anything, "total": anything}) | anything, "error": anything,
})))  # fmt: skip
def test_whatever_an_engine_says_is_progress_or_a_failure(items: list[dict[str, Any]]) -> None:
    progress = Progress()
    with suppress(PullFailed):
        for item in items:
            progress.fold(item)
    assert isinstance(progress.says, str)
    assert progress.total_bytes >= 0


# -- which engine -------------------------------------------------------------------------------------------------


def test_docker_host_comes_before_the_context(tmp_path: Path) -> None:
    here = {"DOCKER_CONFIG": str(tmp_path)}
    (tmp_path / "config.json").write_text('{"currentContext": "there"}')
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"there").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        '{"Name": "there", "Metadata": {}, "Endpoints": {"docker": {"Host": "ssh://me@there", "SkipTLSVerify": false}}}'
    )
    assert endpoint(here)[0] == "ssh://me@there"
    assert endpoint({**here, "DOCKER_HOST": "tcp://x:2375"})[0] == "tcp://x:2375"
    assert endpoint({**here, "DOCKER_CONTEXT": "default"})[0] == "unix:///var/run/docker.sock"
    with pytest.raises(EngineAway, match="there is none"):
        endpoint({**here, "DOCKER_CONTEXT": "elsewhere"})


def test_what_keeps_us_from_the_engine_comes_with_a_remedy() -> None:
    host = "unix:///var/run/docker.sock"
    wrapped = RuntimeError(("Connection aborted.", PermissionError(13, "Permission denied")))
    assert "usermod -aG docker" in why_away(wrapped, host)
    assert "systemctl start docker" in why_away(FileNotFoundError(2, "x"), host)
    assert "too old" in why_away(ValueError("API versions below 1.24 are no longer supported"), host)
    assert "has not answered" in why_away(TimeoutError("timed out"), host)
    assert "without a password" in why_away(ConnectionResetError(104, "reset"), "ssh://me@there")


# -- trying again -------------------------------------------------------------------------------------------------

NAME = "akhatua/cooperbench-x:task1"
QUICK = Patience(first_s=0.01, longest_s=0.02, rate_s=0.01, room_s=0.01, engine_s=0.01, every_s=0.01)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """An engine whose pulls end as `ends` says, one after the other, and then well."""
    world = SimpleNamespace(ends=iter(()), here=set(), pulls=0, told=[], free=None)

    class FakePull:
        def __init__(self, engine: object, name: str, progress: Progress) -> None:
            self._name = name

        def run(self) -> None:
            world.pulls += 1
            for end in world.ends:
                if end is not None:
                    raise end
                break
            world.here.add(self._name)

        def drop(self) -> None: ...

    def look(engine: object, names: list[str]) -> dict[str, Image]:
        return {name: Image(name, "sha256:1", 1, 0.0) for name in names if name in world.here}

    monkeypatch.setattr(images_module, "Pull", FakePull)
    monkeypatch.setattr(images_module, "look", look)
    monkeypatch.setattr(images_module, "free_bytes", lambda engine: world.free)
    monkeypatch.setattr(images_module, "socket_folder", lambda: tmp_path)
    return world


async def get(world: SimpleNamespace, patience: Patience = QUICK, **changes: Any) -> Supply:
    engine = Engine(SimpleNamespace(close=lambda: None), "unix:///x", Path("/x"), "1", (), "x86_64")  # type: ignore[arg-type]

    async def tell(supply: Supply) -> None:
        world.told.append(supply)

    with anyio.fail_after(40):
        return await Puller(Connection(lambda: engine), patience, **changes).get(NAME, tell)


def states(world: SimpleNamespace) -> list[str]:
    kept: list[str] = []
    for supply in world.told:
        if not kept or kept[-1] != supply.state:
            kept.append(supply.state)
    return kept


@pytest.mark.anyio
@pytest.mark.parametrize("says", ["manifest unknown: x", "unauthorized: x"])
async def test_what_no_patience_mends_fails_at_once(world: SimpleNamespace, says: str) -> None:
    world.ends = iter([failed(says)])
    supply = await get(world)
    assert (supply.state, world.pulls) == ("failed", 1)
    assert says in supply.says
    assert "docker login" in supply.says


@pytest.mark.anyio
async def test_a_connection_that_is_cut_is_tried_again_and_then_said_to_be_down(
    world: SimpleNamespace,
) -> None:
    world.ends = iter([failed("unexpected EOF")] * 4)
    assert (await get(world)).state == "there"
    assert world.pulls == 5
    assert states(world) == ["getting", "down", "getting", "down", "getting", "there"]


@pytest.mark.anyio
async def test_a_command_gives_up_after_its_tries(world: SimpleNamespace) -> None:
    world.ends = iter([failed("unexpected EOF")] * 9)
    supply = await get(world, Patience(first_s=0.01, longest_s=0.01, tries=3, every_s=0.01))
    assert (supply.state, world.pulls) == ("failed", 3)
    assert supply.says == "it did not come in 3 tries: unexpected EOF"


@pytest.mark.anyio
async def test_a_rate_limit_is_waited_out_and_said(world: SimpleNamespace) -> None:
    world.ends = iter([failed("toomanyrequests: limit")] * 2)
    assert (await get(world)).state == "there"
    said = [supply.says for supply in world.told if "rate limit" in supply.says]
    assert len(said) == 2
    assert "next try in" in said[0]
    assert states(world) == ["getting", "there"]


@pytest.mark.anyio
async def test_a_wrong_digest_is_tried_three_times(world: SimpleNamespace) -> None:
    world.ends = iter([failed("filesystem layer verification failed for digest sha256:1")] * 9)
    supply = await get(world)
    assert (supply.state, world.pulls) == ("failed", 3)
    assert "wrong digest" in supply.says


@pytest.mark.anyio
async def test_without_room_nothing_is_pulled_until_there_is_some(world: SimpleNamespace) -> None:
    world.free = 2_000_000_000
    rooms: Iterator[int] = iter([2_000_000_000, 2_000_000_000, 9_000_000_000])
    images_module.free_bytes = lambda engine: next(rooms)
    assert (await get(world, sizes={NAME: 1_000_000_000})).state == "there"
    assert world.pulls == 1
    down = [supply.says for supply in world.told if supply.state == "down"]
    assert "about 3.0 GB, and /x has 2.0 GB free" in down[0]


@pytest.mark.anyio
async def test_one_pull_per_image_however_many_ask(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "LOCK_LOOK_S", 0.01)
    ends: list[Supply] = []

    async def one() -> None:
        ends.append(await get(world))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(one)
    assert [supply.state for supply in ends] == ["there"] * 4
    assert world.pulls == 1
