"""Whether agents that talk to each other have a Redis to talk through."""

import socket
from urllib.parse import urlsplit

from runner.checks.wanted import Wanted
from runner.model.check import Finding

CHECK = "redis"
ANSWER_S = 5.0
PORT = 6379


def check_redis(wanted: Wanted) -> list[Finding]:
    if not wanted.needs_redis:
        return [Finding(CHECK, "skipped", "no setting that was asked for needs one")]
    if wanted.redis is None:
        return [Finding(CHECK, "ok", "none is named: one is looked for when the sweep starts")]
    trouble = _trouble(wanted.redis)
    if trouble:
        return [Finding(CHECK, "fail", f"the Redis at {wanted.redis} {trouble}",
                        "start it, correct --redis, or leave --redis out")]  # fmt: skip
    return [Finding(CHECK, "ok", f"the Redis at {wanted.redis} answers")]


def _trouble(url: str) -> str:
    """The rest of a sentence about why it cannot be used; empty when it can."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or PORT
    except ValueError:
        return "has no address that can be read"
    if parts.scheme not in {"redis", "rediss"}:
        return "is no redis:// address"
    try:
        with socket.create_connection((host, port), timeout=ANSWER_S) as link:
            if parts.scheme == "rediss":
                return ""  # who speaks TLS there is upstream's business
            link.sendall(b"PING\r\n")
            answer = link.recv(64)
    except TimeoutError:
        return f"does not answer within {ANSWER_S:g} s"
    except OSError as error:
        return f"cannot be reached: {error.strerror or error}"
    if answer.startswith((b"+PONG", b"-NOAUTH")):
        return ""
    return "answers, but not as a Redis does"
