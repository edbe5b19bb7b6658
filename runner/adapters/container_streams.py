"""Following what an agent writes inside its container: looked at through `docker exec`, told in the probe's file.

Nothing is written in the container, no process stays in it, and one look reads a bounded part of one file. A look that
fails is tried again later and less often; the job does not notice.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import anyio.to_thread

from runner.adapters.agent_streams import AgentStream, ClaudeStream, CodexStream, Record
from runner.adapters.containers import docker_program
from runner.adapters.probe_log import PROBE_NAME, ProbeLog
from runner.engine.ports import Sighting
from runner.model.plan import JobSpec, Plan
from runner.model.secrets import MASK, SHORTEST, secrets_of

LOOK_S, LATER_S, WAIT_S = 2.0, 30.0, 5.0
AT_ONCE = 512 * 1024
LINE_LIMIT = 4 * 1024 * 1024
PLACES: dict[str, tuple[str, Callable[[Record], AgentStream]]] = {
    "claude_code": ("/tmp/claude-stream.jsonl", ClaudeStream),  # noqa: S108 - in the container
    "codex": ("/tmp/codex-stream.jsonl", CodexStream),  # noqa: S108 - as above
}
"""By upstream's agent: where its adapter has the stream written (CONTAINER_STREAM_LOG), and who understands it."""
_READ = 'wc -c < "$1" && tail -c "+$2" "$1" | head -c "$3"'


@dataclass(slots=True)
class _Followed:
    """One agent's stream, and how far it is told."""

    container: str
    stream: AgentStream
    offset: int = 0
    rest: bytes = b""


class FollowedProbe:
    """The port `Progress`: the probe's lines, to which those from the containers are added first."""

    def __init__(self, plan: Plan, spec: JobSpec, folder: Path, environment: Mapping[str, str]) -> None:
        self._probe = ProbeLog(folder, spec.model, plan.prices)
        self._path = folder / PROBE_NAME
        self._program, self._environment = docker_program(environment), environment
        self._file, self._reader = PLACES[plan.agent]
        # As they stand in JSON. These agents have their keys in their containers, and may print them.
        known = (json.dumps(secret)[1:-1] for secret in secrets_of(environment) if len(secret) >= SHORTEST)
        self._secrets = [secret.encode() for secret in sorted(known, key=len, reverse=True)]
        labels = {"sweep": plan.sweep, "job": spec.id, "attempt": folder.name}
        self._ours = [word for name, value in labels.items() for word in ("--filter", f"label=coopdeck.{name}={value}")]
        self._agents: dict[str, _Followed] = {}
        self._next = 0.0

    async def news(self, *, last: bool = False) -> tuple[Sighting, ...]:
        # Nothing is told before the look, which may be cancelled; then what it has added is told as well.
        await self._probe.read()
        if self._probe.started and (last or time.monotonic() >= self._next):
            self._next = time.monotonic() + (LOOK_S if await self._look() else LATER_S)
        return await self._probe.news()

    async def _look(self) -> bool:
        """True when Docker did what it was asked."""
        up = await self._run("ps", "--no-trunc", "--format", "{{.ID}}", *self._ours)
        if up is None:
            return False
        for started in self._probe.started:
            # Only what carries our labels is entered, whatever the file says.
            if any(one.startswith(started.container) for one in up.decode(errors="replace").split()):
                followed = self._agents.get(started.agent)
                if followed is None or followed.container != started.container:
                    followed = await anyio.to_thread.run_sync(self._resumed, started.agent, started.container)
                    self._agents[started.agent] = followed
                await self._follow(started.agent, followed)
        return True

    async def _follow(self, agent: str, followed: _Followed) -> None:
        start = followed.offset + len(followed.rest)
        told = await self._run(
            "exec", followed.container, "sh", "-c", _READ, "sh", self._file, str(start + 1), str(AT_ONCE)
        )
        size, _, data = (told or b"").partition(b"\n")
        if not size.strip().isdigit():
            return  # it has not begun to write
        if int(size) < start:
            # Upstream began anew, with another model.
            followed.offset, followed.rest, data = 0, b"", b""
        records, at = [], time.time()
        *lines, rest = (followed.rest + data).split(b"\n")
        for line in lines:
            followed.offset += len(line) + 1
            if (event := _event(self._masked(line))) is not None:
                records += followed.stream.take(event, at)
        if len(rest) > LINE_LIMIT:
            followed.offset, rest = followed.offset + len(rest), b""
        followed.rest = rest
        if lines:
            mark = {"type": "stream", "container": followed.container, "offset": followed.offset}
            self._tell(agent, [*records, {**mark, **followed.stream.mark}])

    def _tell(self, agent: str, records: list[Record]) -> None:
        told = "".join(json.dumps({**record, "agent": agent}) + "\n" for record in records)
        try:
            # As the probe does: one write to the end, so that nobody's lines are torn.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, told.encode())
            finally:
                os.close(descriptor)
        except OSError:
            return

    def _masked(self, line: bytes) -> bytes:
        for secret in self._secrets:
            line = line.replace(secret, MASK.encode())
        return line

    def _resumed(self, agent: str, container: str) -> _Followed:
        """Where an earlier runner of this sweep has left off."""
        fresh = _Followed(container, self._reader({}))
        try:
            lines = self._path.read_bytes().split(b"\n") if self._path.stat().st_size < LINE_LIMIT * 16 else []
        except OSError:
            return fresh
        for line in reversed(lines):
            mark = _event(line) if b'"stream"' in line else None
            if mark and (mark.get("type"), mark.get("agent"), mark.get("container")) == ("stream", agent, container):
                offset = mark.get("offset")
                if isinstance(offset, int):
                    return _Followed(container, self._reader(mark), offset)
        return fresh

    async def _run(self, *arguments: str) -> bytes | None:
        """What it says; None when it fails or takes too long."""
        try:
            with anyio.fail_after(WAIT_S):
                done = await anyio.run_process(
                    [self._program, *arguments],
                    check=False,
                    stdin=DEVNULL,
                    stdout=PIPE,
                    stderr=DEVNULL,
                    env=self._environment,
                )
        except (OSError, TimeoutError):
            return None
        return done.stdout if done.returncode == 0 or arguments[0] == "exec" else None


def _event(line: bytes) -> Record | None:
    if not line.startswith(b"{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
