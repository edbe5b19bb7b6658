"""The supplier of kind redis, with real servers: what it tells, and what is left when it ends."""

import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from runner.adapters import redis_supply
from runner.adapters.processes import ProcessLauncher
from runner.adapters.redis_ping import ping
from runner.adapters.redis_servers import RedisServers, redis_token
from runner.adapters.redis_supply import RedisSupply
from runner.adapters.redis_ways import NO_WAY, OwnKind
from runner.adapters.strays import carriers
from runner.model.plan import OWN_REDIS, JobSpec, Plan
from runner.model.queue import make_jobs
from runner.model.supplies import Supply
from tests.unit.fakes import jobs, the_plan

pytestmark = pytest.mark.anyio

WAIT_S = 40.0
SOLO = jobs(2)
COOP = make_jobs("s", ("coop-comm",), (SOLO[0].pair,), ("m",))
Told = list[Supply]


@pytest.fixture
def sweep_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine without Docker, and with redis-server if this one has it; else the embedded server is used."""
    monkeypatch.setattr(redis_supply, "PING_EVERY_S", 0.1)
    monkeypatch.setattr(redis_supply, "AGAIN_S", 0.1)
    (tmp_path / "bin").mkdir()
    if server := shutil.which("redis-server"):
        (tmp_path / "bin" / "redis-server").symlink_to(server)
    return {"PATH": str(tmp_path / "bin")}


def plan(redis: str | None = OWN_REDIS) -> Plan:
    return replace(the_plan(), rehearsal=None, settings=("solo", "coop-comm"), redis=redis, backend="docker")


def a_supply(sweep_dir: Path, environment: dict[str, str], before: Supply | None = None) -> RedisSupply:
    return RedisSupply(RedisServers(sweep_dir, ProcessLauncher(), environment), environment, before)


@asynccontextmanager
async def supplying(
    supply: RedisSupply, plan: Plan, jobs: tuple[JobSpec, ...] = COOP, *, killed: bool = False
) -> AsyncIterator[Told]:
    told: Told = []

    async def tell(one: Supply) -> None:
        if not told or told[-1] != one:
            told.append(one)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supply.supply, plan, jobs, tell)
        try:
            yield told
        finally:
            tasks.cancel_scope.cancel()
            if not killed:
                with anyio.CancelScope(shield=True):
                    await supply.end()


async def until(true: Callable[[], object]) -> None:
    with anyio.fail_after(WAIT_S):
        while not true():
            await anyio.sleep(0.01)


def stands(told: Told, state: str) -> Callable[[], bool]:
    return lambda: bool(told) and told[-1].state == state


def left(sweep_dir: Path) -> list[int]:
    return [stray.pid for stray in carriers({redis_token(sweep_dir)})]


async def test_one_of_our_own_answers_and_goes_with_the_sweep(sweep_dir: Path, environment: dict[str, str]) -> None:
    async with supplying(a_supply(sweep_dir, environment), plan()) as told:
        await until(stands(told, "there"))
        assert await ping(told[-1].address) == ""
        assert len(left(sweep_dir)) == 1
    assert [one.state for one in told] == ["getting", "getting", "there"]
    assert left(sweep_dir) == []


async def test_killed_it_comes_back_where_running_attempts_look_for_it(
    sweep_dir: Path, environment: dict[str, str]
) -> None:
    async with supplying(a_supply(sweep_dir, environment), plan()) as told:
        await until(stands(told, "there"))
        address = told[-1].address
        (pid,) = left(sweep_dir)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: len([one for one in told if one.state == "there"]) == 2)
        assert "down" in [one.state for one in told]
        assert told[-1].address == address
        assert "what agents had not read yet is lost" in told[-1].says
        assert await ping(address) == ""
    assert left(sweep_dir) == []


async def test_one_that_hangs_is_started_anew(
    sweep_dir: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_supply, "HUNG_S", 0.2)
    async with supplying(a_supply(sweep_dir, environment), plan()) as told:
        await until(stands(told, "there"))
        (pid,) = left(sweep_dir)
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: len([one for one in told if one.state == "there"]) == 2)
        assert left(sweep_dir) != [pid]
    assert left(sweep_dir) == []


async def test_the_next_runner_goes_on_with_what_a_killed_one_left(
    sweep_dir: Path, environment: dict[str, str]
) -> None:
    first, second = a_supply(sweep_dir, environment), None
    async with supplying(first, plan(), killed=True) as told:
        await until(stands(told, "there"))
    (pid,) = left(sweep_dir)
    second = a_supply(sweep_dir, environment, told[-1])
    async with supplying(second, plan()) as again:
        await until(stands(again, "there"))
        assert again[-1].address == told[-1].address
        assert left(sweep_dir) == [pid]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: len([one for one in again if one.state == "there"]) == 2)
        assert again[-1].address == told[-1].address
    await first.end()
    assert left(sweep_dir) == []


async def test_what_was_left_is_ended_even_by_a_runner_that_needs_none(
    sweep_dir: Path, environment: dict[str, str]
) -> None:
    first = a_supply(sweep_dir, environment)
    async with supplying(first, plan(), killed=True) as told:
        await until(stands(told, "there"))
    async with supplying(a_supply(sweep_dir, environment, told[-1]), plan(), SOLO):
        await anyio.wait_all_tasks_blocked()
    assert left(sweep_dir) == []
    await first.end()


async def test_without_a_job_that_talks_none_is_started_until_one_is_wanted(
    sweep_dir: Path, environment: dict[str, str]
) -> None:
    supply = a_supply(sweep_dir, environment)
    async with supplying(supply, plan(), SOLO) as told:
        await anyio.wait_all_tasks_blocked()
        assert (told, left(sweep_dir)) == ([], [])
        supply.want("")
        await until(stands(told, "there"))
    assert left(sweep_dir) == []


async def test_a_given_one_is_waited_for_and_never_ended(
    sweep_dir: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    other = tmp_path / "others"
    other.mkdir()
    given = RedisServers(other, ProcessLauncher(), environment)
    kind: OwnKind = "redis-server" if (tmp_path / "bin" / "redis-server").exists() else "embedded"
    own = await given.start(kind)
    try:
        async with supplying(a_supply(sweep_dir, environment), plan(own.url)) as told:
            await until(stands(told, "there"))
            assert told[-1].address == own.url
            await given.end(contained=False)
            await until(stands(told, "down"))
            assert "Connection refused" in told[-1].says
            await given.start(kind, own.port)
            await until(stands(told, "there"))
        assert await ping(own.url) == ""
        assert left(sweep_dir) == []
    finally:
        await given.end(contained=False)


async def test_without_any_way_it_says_how_to_get_one_and_tries_again_when_asked(
    sweep_dir: Path, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lacking:
        lacking.setattr("importlib.util.find_spec", lambda name: None)
        (tmp_path / "bin" / "redis-server").unlink(missing_ok=True)
        supply = a_supply(sweep_dir, environment)
        async with supplying(supply, plan()) as told:
            await until(stands(told, "failed"))
            assert told[-1].says == NO_WAY
            assert "pip install 'coopdeck[redis]'" in NO_WAY
            lacking.undo()
            monkeypatch.setattr(redis_supply, "AGAIN_S", 0.1)
            supply.want("")
            await until(stands(told, "there"))
            assert "embedded" in told[-1].says
    assert left(sweep_dir) == []
