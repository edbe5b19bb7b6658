"""An agent's stream, followed through a `docker` that runs what it is asked to on this machine."""

import json
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.adapters import container_streams as streams
from runner.adapters.agent_streams import ClaudeStream
from runner.adapters.container_streams import FollowedProbe
from runner.engine.ports import AgentProgress
from runner.model.prices import Tokens
from tests.e2e.streams import CLAUDE
from tests.unit.fakes import jobs, the_plan

ID = "0123456789abcdef" * 4
DOCKER = """#!/bin/sh
echo "$*" >> "{calls}"
case "$1" in
ps) cat "{up}" ;;
exec) shift 2; exec "$@" ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an attempt whose probe has told of a container, and a stream that is empty so far."""
    docker = tmp_path / "docker"
    docker.write_text(DOCKER.format(calls=tmp_path / "calls", up=tmp_path / "up"))
    docker.chmod(0o755)
    (tmp_path / "up").write_text(f"{ID}\n")
    (tmp_path / "1").mkdir()
    begun = [{"type": "agent_begin", "framework": "claude_code"}, {"type": "container", "name": "m", "id": ID[:12]}]
    (tmp_path / "1" / "probe.jsonl").write_text(
        "".join(json.dumps({**one, "agent": "solo", "at": 1.0}) + "\n" for one in begun)
    )
    monkeypatch.setattr(streams, "PLACES", {"claude_code": (str(tmp_path / "stream"), ClaudeStream)})
    monkeypatch.setattr(streams, "LOOK_S", 0.0)
    return tmp_path


def follower(place: Path) -> FollowedProbe:
    plan = replace(the_plan(), agent="claude_code")
    return FollowedProbe(
        plan, jobs(1)[0], place / "1", {**os.environ, "MSWEA_DOCKER_EXECUTABLE": str(place / "docker")}
    )


def look(probe: FollowedProbe) -> AgentProgress | None:
    """What is known of the agent after one look, which is told with what it has added."""
    return next((one for one in anyio.run(probe.news) if isinstance(one, AgentProgress)), None)


def write(place: Path, text: str) -> None:
    with (place / "stream").open("a") as out:
        out.write(text)


def steps(place: Path) -> list[int]:
    told: list[dict[str, Any]] = [json.loads(line) for line in (place / "1" / "probe.jsonl").read_text().splitlines()]
    return [line["step"] for line in told if line["type"] == "step"]


def test_it_is_told_as_it_grows_and_never_twice(place: Path) -> None:
    probe = follower(place)
    first = look(probe)
    assert first is not None
    assert (first.doing, first.cost_usd) == ("unseen", None)
    text = "npm warn: not JSON\n" + "".join(json.dumps(event) + "\n" for event in CLAUDE)
    half = text.index('"m2"') + 20
    write(place, text[:half])
    seen = look(probe)
    assert seen is not None
    assert (seen.steps, seen.cost_usd, seen.tokens.input) == (1, None, 1500)
    write(place, text[half:])
    seen = look(probe)
    assert seen is not None
    assert (seen.steps, seen.tokens.output, seen.cost_usd) == (3, 300, None)
    assert steps(place) == [1, 2, 3]
    assert seen.tokens == Tokens(5000, 300, 4200)
    # Another runner of the same sweep goes on where this one stopped.
    again = follower(place)
    look(again)
    write(
        place,
        json.dumps({**CLAUDE[1], "message": {**CLAUDE[1]["message"], "id": "m4"}})
        + "\n"
        + json.dumps(CLAUDE[3])
        + "\n",
    )
    seen = look(again)
    assert seen is not None
    assert seen.steps == 4
    assert steps(place) == [1, 2, 3, 4]


@pytest.mark.parametrize("after", range(1, len(CLAUDE)))
def test_whoever_takes_it_over_counts_every_token_once(place: Path, after: int) -> None:
    lines = [json.dumps(event) + "\n" for event in CLAUDE]
    write(place, "".join(lines[:after]))
    look(follower(place))
    write(place, "".join(lines[after:]))
    seen = look(follower(place))
    assert seen is not None
    assert (seen.steps, seen.tokens) == (3, Tokens(5000, 300, 4200))
    assert steps(place) == [1, 2, 3]


def test_the_last_look_does_not_wait_for_its_turn(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_S", 3600.0)
    probe = follower(place)
    look(probe)
    write(place, "".join(json.dumps(event) + "\n" for event in CLAUDE))
    assert look(probe) is None
    (seen,) = anyio.run(partial(probe.news, last=True))
    assert isinstance(seen, AgentProgress)
    assert (seen.steps, seen.tokens) == (3, Tokens(5000, 300, 4200))


def test_a_key_that_an_agent_prints_is_not_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = 'correct "horse" staple'
    monkeypatch.setenv("TOY_API_KEY", key)
    printed = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "." * 290 + key}}
    write(place, json.dumps({"type": "assistant", "message": {"id": "m9", "content": [printed]}}) + "\n")
    look(follower(place))
    assert steps(place) == [1]
    assert "correct" not in (place / "1" / "probe.jsonl").read_text()


def test_a_stream_that_begins_anew_is_read_anew(place: Path) -> None:
    probe = follower(place)
    write(place, "".join(json.dumps(event) + "\n" for event in CLAUDE))
    look(probe)
    (place / "stream").write_text("".join(json.dumps(event) + "\n" for event in CLAUDE[:4]))
    look(probe)
    look(probe)
    assert steps(place) == [1, 2, 3, 4]


def test_only_our_own_container_is_entered(place: Path) -> None:
    (place / "up").write_text("f" * 64 + "\n")
    write(place, "".join(json.dumps(event) + "\n" for event in CLAUDE))
    look(follower(place))
    calls = (place / "calls").read_text()
    spec = jobs(1)[0]
    assert f"--filter label=coopdeck.job={spec.id} --filter label=coopdeck.attempt=1" in calls
    assert "exec" not in calls
    assert steps(place) == []


def test_a_docker_that_fails_or_hangs_costs_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "WAIT_S", 0.3)
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nexec sleep 60\n", "#!/bin/sh\necho x; kill $$\n"):
        (place / "docker").write_text(text)
        probe = follower(place)
        seen = look(probe)
        assert seen is not None
        assert seen.doing == "unseen"
        # And it is not asked again at once.
        assert probe._next > time.monotonic() + 20
    (place / "docker").unlink()
    assert look(follower(place)) is not None


def test_a_line_without_end_is_not_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINE_LIMIT", 1000)
    probe = follower(place)
    write(place, "{" + "x" * 5000)
    look(probe)
    write(place, "y" * 100 + "\n" + "".join(json.dumps(event) + "\n" for event in CLAUDE[1:3]))
    look(probe)
    assert steps(place) == [1]
