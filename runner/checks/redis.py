"""Whether agents that talk to each other would have a Redis to talk through."""

import anyio

from runner.adapters.redis_ping import ping
from runner.adapters.redis_ways import NO_WAY, ways
from runner.checks.wanted import Wanted
from runner.model.check import Finding
from runner.model.secrets import masked_text

CHECK = "redis"


def check_redis(wanted: Wanted) -> list[Finding]:
    """The one that is named, if it answers; else what the sweep would use or start. Starts nothing."""
    if not wanted.needs_redis:
        return [Finding(CHECK, "skipped", "no setting that was asked for needs one")]
    return [anyio.run(_look, wanted)]


async def _look(wanted: Wanted) -> Finding:
    found = await ways(wanted.redis, wanted.environment())
    if not found:
        says, _, remedy = NO_WAY.partition(": ")
        return Finding(CHECK, "fail", says, remedy)
    first = found[0]
    if first.own is not None:
        return Finding(CHECK, "ok", f"the sweep would start {first.says}")
    trouble = await ping(first.url)
    if trouble:
        return Finding(CHECK, "fail", f"no Redis answers: {masked_text(trouble)}",
                       "start it, correct --redis, or leave --redis out")  # fmt: skip
    return Finding(CHECK, "ok", f"the sweep would use {masked_text(first.says)}")
