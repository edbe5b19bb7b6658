"""What an attempt ended in, read from the files that upstream wrote; nothing in them is trusted."""

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from runner.adapters.result_shape import AgentShape, NotAResult, ResultShape, shaped
from runner.engine.patience import SHORT
from runner.model.failure import Evidence, classify, one_line, quoted
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec
from runner.model.secrets import Mask, masked_text

RESULT_LIMIT = 1024 * 1024
"""Upstream's result.json has some 2 KB; one of more than this many bytes is not one."""
TRAJECTORY_LIMIT = 256 * 1024 * 1024
LOG_TAIL = 32 * 1024

_LAST_LINE = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$", re.DOTALL)
_DAEMON_SAYS = b"Error response from daemon: "
_NO_TASKS = "no tasks found"
_NO_REDIS = ("error: Failed to start Redis", "error: Docker not found. Install Docker or Redis.")


@dataclass(frozen=True, slots=True)
class AgentResult:
    name: str
    feature: int | None
    status: str
    steps: int
    patch_lines: int
    error: str


def load_result(path: Path, limit: int = RESULT_LIMIT) -> dict[str, Any]:
    """The JSON object in one of upstream's files, of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is none.
        NotAResult: it is too large, cut off, not JSON, or not an object.
        OSError: the host is short of something; the file may be sound.
    """
    try:
        with _opened(path) as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        _only_unreadable(error)
        raise NotAResult(f"{path.name} cannot be read: {error.strerror}") from None
    if len(raw) > limit:
        raise NotAResult(f"{path.name} is larger than {limit} bytes")
    try:
        values = json.loads(raw, parse_constant=_no_constant)
    except RecursionError:
        raise NotAResult(f"{path.name} is nested too deeply") from None
    except ValueError as error:
        raise NotAResult(f"{path.name} is not valid JSON: {one_line(str(error))}") from None
    if not isinstance(values, dict):
        raise NotAResult(f"{path.name} holds no object")
    return values


def result_outcome(
    values: dict[str, Any],
    spec: JobSpec,
    folder: Path,
    *,
    trajectory_limit: int = TRAJECTORY_LIMIT,
    mask: Mask = masked_text,
) -> Outcome:
    """The outcome that a result of this job tells of; `folder` holds the trajectories beside it.

    `mask` is what takes secrets out of the evidence.

    Raises:
        NotAResult: a value is missing, of a wrong type or out of range, or belongs to another job.
    """
    result = shaped(values)
    _check_identity(result, spec)
    agents = _agents(result)
    cost = result.total_cost
    steps = sum(agent.steps for agent in agents)
    failed = [agent for agent in agents if agent.status == "Error"]
    statuses = [agent.status for agent in agents]
    status = next((one for one in statuses if one != "Submitted"), "Submitted")
    answered = steps - len(failed)
    outcome = Outcome(
        failure=None,
        status=status,
        evidence="result.json",
        # A model that litellm cannot price costs 0 throughout: after an answered call that means unknown.
        cost_usd=None if cost == 0 and answered > 0 else cost,
        steps=steps,
        patch_lines=sum(agent.patch_lines for agent in agents),
        messages=int(result.messages_sent),
        duration_s=result.duration_seconds,
    )
    if not failed:
        vanished = _vanished(folder)
        if vanished is None:
            return outcome
        return replace(outcome, failure="container", evidence=vanished)
    first = failed[0]
    trajectory = "solo_traj.json" if first.name == "solo" else f"agent{first.feature}_traj.json"
    failure, line = classify(Evidence(_exit_status(folder / trajectory, trajectory_limit), first.error), mask)
    return replace(outcome, failure=failure, status="Error", evidence=line)


def no_result_outcome(log: Path, exit_status: int | None, mask: Mask = masked_text) -> Outcome:
    """The outcome of a process that left no result: from its last words, its exit status or its signal.

    Only upstream's own last words count: the last line of a traceback, or one of its few fixed lines.
    """
    lines = tail(log)
    last = lines[-1].strip() if lines else ""
    if exit_status == 0 and any(line.strip() == _NO_TASKS for line in lines):
        return Outcome("empty", "", "cooperbench found no such pair in the dataset (no tasks found)", 0.0)
    if last in _NO_REDIS:
        return Outcome("redis", "", last, 0.0)
    if exit_status == 1 and any(line.startswith("Traceback (most recent call last):") for line in lines):
        match = _LAST_LINE.match(last)
        if match is not None:
            failure, line = classify(Evidence(match["name"], match["text"] or ""), mask)
            # An exception that no table knows ended cooperbench itself, not an agent: worth another try.
            return Outcome("crash" if failure == "unknown" else failure, "", line, None)
    if exit_status is not None and exit_status < 0:
        failure, line = classify(Evidence(exit_status=exit_status))
        return Outcome(failure, "", line, None)
    how = "ended" if exit_status is None else f"ended with exit status {exit_status}"
    said = f"; it said last: {last}" if last else ""
    return Outcome("crash", "", quoted(f"the process {how} and left no result.json{said}", mask), None)


def _check_identity(result: ResultShape, spec: JobSpec) -> None:
    wanted = {"repo": spec.pair.repo, "task_id": spec.pair.task, "model": spec.model}
    found = {"repo": result.repo, "task_id": result.task_id, "model": result.model}
    for key, value in wanted.items():
        if found[key] != value:
            raise NotAResult(f"result.json has {key} {one_line(repr(found[key]))}, and not {value!r}")
    if {str(one) for one in result.features} != {str(one) for one in spec.pair.features}:
        raise NotAResult(f"result.json is of the features {one_line(repr(result.features))}, not {spec.pair.folder}")


def _agents(result: ResultShape) -> list[AgentResult]:
    named = {"solo": result.agent} if result.agent is not None else result.agents
    if not named:
        raise NotAResult("result.json has neither an agent nor agents")
    return [_agent(name, named[name]) for name in sorted(named)]


def _agent(name: str, agent: AgentShape) -> AgentResult:
    return AgentResult(
        name=name,
        feature=agent.feature_id if isinstance(agent.feature_id, int) else None,
        status=one_line(agent.status),
        steps=int(agent.steps),
        patch_lines=int(agent.patch_lines),
        error=agent.error if isinstance(agent.error, str) else "",
    )


def _only_unreadable(error: OSError) -> None:
    """A host that is short of something says nothing about the file: what was paid for must not pass for broken."""
    if error.errno in SHORT:
        raise error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _exit_status(trajectory: Path, limit: int) -> str:
    """The exception class in the trajectory's last message, with its module where that is told; empty without one."""
    try:
        if trajectory.stat().st_size > limit:
            return ""
        with _opened(trajectory) as file:
            messages = json.loads(file.read(limit))["messages"]
        extra = messages[-1]["extra"]
        status = extra["exit_status"]
    except OSError as error:
        _only_unreadable(error)
        return ""
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    if not isinstance(status, str) or not status.isidentifier():
        return ""
    return _qualified(status, extra.get("traceback"), extra.get("exception_str"))


def _qualified(name: str, traceback: object, says: object) -> str:
    """The name with its module, from the traceback's end: `redis.exceptions.ConnectionError: ` and then `says`."""
    if not isinstance(traceback, str) or not isinstance(says, str):
        return name
    head = traceback.rstrip().removesuffix(says.rstrip()).rpartition("\n")[2].rstrip(": ")
    return head if head.endswith(f".{name}") and head.replace(".", "").isidentifier() else name


def _vanished(folder: Path) -> str | None:
    """Docker's word that the container is gone, where a patch should be.

    Upstream notices nothing of it (measured with 0.0.29): every command "fails", the agent pays on to its
    limit, and the status is that of a good result. The first bytes of the patch are Docker's, not an agent's.
    """
    for patch in sorted(folder.glob("*.patch")):
        try:
            with _opened(patch) as file:
                first = file.read(200)
        except OSError as error:
            _only_unreadable(error)
            continue
        if first.startswith(_DAEMON_SAYS):
            return one_line(first.decode(errors="replace"))
    return None


def _opened(path: Path) -> BinaryIO:
    # A pipe in the file's place would block.
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def tail(log: Path) -> list[str]:
    """The lines at the log's end that hold anything; none where it cannot be read."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_TAIL))
            text = file.read(LOG_TAIL).decode(errors="replace")
    except OSError as error:
        _only_unreadable(error)
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()]
