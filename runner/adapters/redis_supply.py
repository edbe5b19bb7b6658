"""The Redis through which agents talk: got when the first job needs it, watched for as long as the sweep runs."""

from collections.abc import Mapping, Sequence

import anyio

from runner.adapters.redis_ping import address_of, ping
from runner.adapters.redis_servers import Own, RedisFailed, RedisServers
from runner.adapters.redis_ways import NO_WAY, Way, beyond_loopback, ways
from runner.engine.ports import Tell
from runner.model.plan import OWN_REDIS, JobSpec, Plan
from runner.model.settings import SETTINGS
from runner.model.supplies import Supply, SupplyKind, needed

PING_EVERY_S = 3.0
HUNG_S = 10.0
"""A server of our own that runs and does not answer for so long is started anew."""
AGAIN_S = 2.0
SAME_PORT_TRIES = 3
"""Running attempts come back to the port they know; after so many tries in vain, those to come get another."""
HOST_SIDE_AGENTS = frozenset({"mini_swe_agent_v2"})
"""Agents that send and receive in upstream's own process, and not in their containers."""


class RedisSupply:
    """The port `Supplier`.

    Args:
        before: how this sweep's Redis stood when its last runner stopped, or died; None where it had none.
    """

    kind: SupplyKind = "redis"

    def __init__(self, servers: RedisServers, environment: Mapping[str, str], before: Supply | None) -> None:
        self._servers = servers
        self._environment = environment
        self._before = before
        self._contained = before is not None
        self._wanted = anyio.Event()

    def want(self, name: str) -> None:
        self._wanted.set()

    async def supply(self, plan: Plan, jobs: Sequence[JobSpec], tell: Tell) -> None:
        if not any((self.kind, "") in needed(plan, spec) for spec in jobs):
            await self._wanted.wait()
        if _asked_from_containers(plan):
            self._servers.beyond = await beyond_loopback(self._environment)
        while True:
            await tell(Supply("redis", state="getting"))
            try:
                way, own = await self._get(plan, tell)
            except RedisFailed as failed:
                await tell(Supply("redis", state="failed", says=str(failed)))
                self._wanted = anyio.Event()
                await self._wanted.wait()
            else:
                await self._watch(way, own, tell)

    async def end(self) -> None:
        await self._servers.end(contained=self._contained)

    async def _get(self, plan: Plan, tell: Tell) -> tuple[Way, Own | None]:
        """One that is there, or one of our own. Raises RedisFailed."""
        port = _port_of(self._before)
        if port and plan.redis in {None, OWN_REDIS}:
            left = await self._servers.left(port)
            if left is not None:
                return Way("a Redis of the sweep's own, which an earlier runner started"), left
            await self._servers.end(contained=self._contained)
        found = await ways(plan.redis, self._environment, beyond=self._servers.beyond)
        if found and found[0].own is None:
            return found[0], None
        if port:
            try:
                return await self._start(found, port, tell)
            except RedisFailed:
                pass  # somebody has the port
        return await self._start(found, None, tell)

    async def _start(self, found: Sequence[Way], port: int | None, tell: Tell) -> tuple[Way, Own]:
        troubles = []
        for way in found:
            if way.own is None:
                continue
            await tell(Supply("redis", state="getting", says=f"starting {way.says}"))
            self._contained |= way.own == "container"
            try:
                return way, await self._servers.start(way.own, port)
            except RedisFailed as failed:
                troubles.append(str(failed))
        raise RedisFailed(f"none could be started: {'; '.join(troubles)}" if troubles else NO_WAY)

    async def _watch(self, way: Way, own: Own | None, tell: Tell) -> None:
        """For ever: tell when it is gone and when it is back; bring one of our own back."""
        says, tries, down_since = _says(way, own), 0, 0.0
        while True:
            url = own.url if own else way.url
            why = await ping(url)
            if not why:
                tries, down_since = 0, 0.0
                self._before = Supply("redis", state="there", says=says, address=url)
                await tell(self._before)
            else:
                down_since = down_since or anyio.current_time()
                await tell(Supply("redis", state="down", says=why, address=url))
                hung = anyio.current_time() - down_since > HUNG_S
                if own is not None and (hung or not await self._servers.alive(own)):
                    tries += 1
                    try:
                        way, own = await self._again(own, tries, tell)
                        says = f"{_says(way, own)}, started again: what agents had not read yet is lost"
                        continue
                    except RedisFailed as failed:
                        await tell(Supply("redis", state="down", says=str(failed), address=url))
            with anyio.move_on_after(AGAIN_S if why else PING_EVERY_S):
                if own is not None and own.runs:
                    await self._servers.until_gone(own)
                else:
                    await anyio.sleep_forever()

    async def _again(self, own: Own, tries: int, tell: Tell) -> tuple[Way, Own]:
        await self._servers.end(contained=own.running is None)
        found = await ways(OWN_REDIS, self._environment)
        return await self._start(found, own.port if tries <= SAME_PORT_TRIES else None, tell)


def _says(way: Way, own: Own | None) -> str:
    return way.says if own is None else f"{way.says}, port {own.port}"


def _port_of(before: Supply | None) -> int | None:
    return address_of(before.address).port if before is not None and before.address else None


def _asked_from_containers(plan: Plan) -> bool:
    """Whether agents reach for Redis out of their containers, through `host.docker.internal`."""
    teams = any(SETTINGS[setting].mode == "team" for setting in plan.settings)
    return plan.backend == "docker" and (teams or plan.agent not in HOST_SIDE_AGENTS)
