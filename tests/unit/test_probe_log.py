"""What the runner makes of the probe's lines."""

import json
from pathlib import Path

import pytest

from runner.adapters.probe_log import COMMAND_LIMIT, ProbeLog
from runner.engine.ports import AgentProgress, StartedContainer
from runner.engine.sightings import events_of
from runner.model.events import AgentSeen, ApiRetry, ContainerStarted
from runner.model.ids import JobId
from runner.model.prices import Price, Tokens

pytestmark = pytest.mark.anyio
OK = {"status": "ok", "input_tokens": 1000, "output_tokens": 100, "cached_tokens": 400}


class Lines:
    """A probe's file, and what is read from it."""

    def __init__(self, folder: Path, prices: dict[str, Price] | None = None) -> None:
        self.path = folder / "probe.jsonl"
        self.log = ProbeLog(folder, "my/model", prices)
        self.at = 1000.0

    def tell(self, kind: str, **fields: object) -> None:
        self.at += 1
        with self.path.open("a") as file:
            file.write(json.dumps({"v": 1, "at": self.at, "type": kind, "agent": "agent1", **fields}) + "\n")

    async def agent(self) -> AgentProgress:
        (progress,) = [one for one in await self.log.news() if isinstance(one, AgentProgress)]
        return progress


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return Lines(tmp_path)


async def test_a_step_is_counted_priced_and_says_its_command(lines: Lines) -> None:
    lines.tell("agent_begin", framework="mini_swe_agent_v2")
    lines.tell("llm_begin", model="m")
    assert (await lines.agent()).doing == "llm"
    lines.tell("llm_end", **OK, cost_usd=0.25)
    lines.tell("step", step=1, command="cd /tmp &&\n  pytest -q " + "x" * 200)
    seen = await lines.agent()
    assert (seen.doing, seen.steps, seen.cost_usd, seen.tokens) == ("exec", 1, 0.25, Tokens(1000, 100, 400))
    assert seen.command.startswith("cd /tmp && pytest -q xxx")
    assert len(seen.command) == COMMAND_LIMIT
    assert (seen.since, seen.active_at) == (lines.at, lines.at)
    lines.tell("exec_end", returncode=0, seconds=1.0, output="")
    seen = await lines.agent()
    assert (seen.doing, seen.command) == ("llm", "")


async def test_who_does_nothing_new_is_not_told_of_again(lines: Lines) -> None:
    lines.tell("llm_begin", model="m")
    assert len(await lines.log.news()) == 1
    assert await lines.log.news() == ()


async def test_a_retry_has_number_class_and_wait_and_lasts_until_an_answer(lines: Lines) -> None:
    lines.tell("llm_begin", model="m")
    lines.tell("llm_end", status="RateLimitError", cost_usd=0.0)
    lines.tell("llm_retry", **{"class": "RateLimitError", "attempt": 6, "of": 10, "wait_s": 8.0})
    seen = await lines.agent()
    assert (seen.doing, seen.retry) == ("retrying", ApiRetry(6, 10, "RateLimitError", 8.0))
    lines.tell("llm_begin", model="m")
    seen = await lines.agent()
    assert (seen.doing, seen.retry is None) == ("llm", False)
    lines.tell("llm_end", **OK, cost_usd=0.25)
    seen = await lines.agent()
    assert (seen.retry, seen.cost_usd) == (None, 0.25)


async def test_waiting_for_a_colleague_lasts_until_the_message_or_the_command_ends(lines: Lines) -> None:
    letter = {"from": "agent1", "to": "agent2", "text": "?"}
    for end in ("message_received", "exec_end"):
        lines.tell("step", step=1, command="send_message --wait agent2 '?'")
        lines.tell("message_sent", **letter, wait=True)
        seen = await lines.agent()
        assert (seen.doing, seen.peer, seen.since) == ("waiting", "agent2", lines.at)
        lines.tell(end, **{"from": "agent2", "to": "agent1", "text": "!"})
        seen = await lines.agent()
        assert (seen.doing != "waiting", seen.peer) == (True, "")
    lines.tell("message_sent", **letter, wait=False)
    assert (await lines.agent()).doing != "waiting"


async def test_a_container_is_told_once(lines: Lines) -> None:
    for _ in range(2):
        lines.tell("container", name="minisweagent-1a", id="0123456789abcdef", image="x")
    news = await lines.log.news()
    assert [one for one in news if isinstance(one, StartedContainer)] == [
        StartedContainer("agent1", "minisweagent-1a", "0123456789ab")
    ]


@pytest.mark.parametrize("name", ["my/model", "the-calls-own"])
async def test_a_call_without_a_cost_is_priced_by_the_users_own_prices(tmp_path: Path, name: str) -> None:
    lines = Lines(tmp_path, {name: Price(2.0, 10.0, 0.5)})
    lines.tell("llm_end", **OK, cost_usd=None, model="the-calls-own")
    seen = await lines.agent()
    assert seen.cost_usd == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 10) / 1e6)
    assert seen.own_prices
    lines.tell("llm_end", **OK, cost_usd=1.0, model="the-calls-own")
    assert (await lines.agent()).cost_usd == pytest.approx(1.0024)


async def test_without_a_price_or_tokens_the_cost_is_unknown_and_the_tokens_are_counted(tmp_path: Path) -> None:
    lines = Lines(tmp_path)
    lines.tell("llm_end", **OK, cost_usd=None)
    seen = await lines.agent()
    assert (seen.cost_usd, seen.tokens) == (None, Tokens(1000, 100, 400))
    priced = Lines(tmp_path / "other", {"my/model": Price(1.0, 1.0)})
    priced.path.parent.mkdir()
    priced.tell("llm_end", status="ok", cost_usd=None)
    assert (await priced.agent()).cost_usd is None


async def test_who_works_in_its_container_is_unseen_and_told_of_at_its_end(lines: Lines) -> None:
    lines.tell("agent_begin", framework="claude_code")
    lines.tell("container", name="c", id="1")
    seen = await lines.agent()
    assert (seen.doing, seen.cost_usd) == ("unseen", None)
    lines.tell("agent_end", status="Submitted", cost_usd=0.5, steps=7, input_tokens=10, output_tokens=2)
    seen = await lines.agent()
    assert (seen.doing, seen.cost_usd, seen.steps, seen.tokens) == ("ended", 0.5, 7, Tokens(10, 2))


async def test_an_agent_of_ones_own_is_seen_from_its_first_call_on(lines: Lines) -> None:
    lines.tell("agent_begin", framework="mine")
    lines.tell("llm_begin", model="m")
    lines.tell("llm_end", **OK, cost_usd=0.1)
    assert (await lines.agent()).cost_usd == pytest.approx(0.1)


async def test_whatever_stands_in_a_line_is_read_or_passed_over(lines: Lines) -> None:
    odd: list[object] = [None, True, "x", -1, 10**300, 1.5e308, [], {}, 10**20]
    kinds = "agent_begin llm_begin llm_end llm_retry step exec_end container message_sent message_received agent_end"
    for kind in kinds.split():
        for value in odd:
            keys = [
                "at",
                "step",
                "cost_usd",
                "input_tokens",
                "attempt",
                "of",
                "wait_s",
                "class",
                "name",
                "id",
                "to",
                "command",
                "framework",
                "model",
            ]
            lines.tell(kind, **{**dict.fromkeys(keys, value), "status": "ok", "wait": True})
    with lines.path.open("ab") as file:
        file.write(b"\xff{}\n[1]\n" + b"[" * 9000 + b'\n{"type":3,"agent":"a"}\n')
    seen = {type(event) for event in events_of(JobId("j"), 1, await lines.log.news())}
    assert seen == {AgentSeen, ContainerStarted}


async def test_what_was_not_seen_to_the_last_is_taken_from_the_end(lines: Lines) -> None:
    lines.tell("agent_begin", framework="claude_code")
    lines.tell("llm_begin", model="m")
    lines.tell("llm_end", status="ok", input_tokens=1000, output_tokens=1, cached_tokens=400)
    assert (await lines.agent()).tokens == Tokens(1000, 1, 400)
    lines.tell("agent_end", status="Submitted", cost_usd=0.2, steps=1, input_tokens=5000, output_tokens=900)
    assert (await lines.agent()).tokens == Tokens(5000, 900, 400)


async def test_a_file_of_any_length_is_read_to_its_end(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it has lower sums than those that an earlier runner may have told."""
    monkeypatch.setattr("runner.adapters.probe_log.AT_ONCE", 1000)
    for _ in range(50):
        lines.tell("llm_begin", model="m")
        lines.tell("llm_end", **OK, cost_usd=0.25)
    seen = await lines.agent()
    assert (seen.cost_usd, seen.tokens.input) == (12.5, 50_000)
