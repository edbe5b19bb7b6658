"""Real jobs seen while they run: steps and cost, a message, retries that pile up, what was killed, own prices."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.adapters.ledger import read_board, read_envelopes
from runner.adapters.places import Places
from runner.model.board import Board
from runner.model.prices import Tokens
from runner.model.reduce import reduce
from runner.model.rows import JobRow
from runner.model.stall import stuck_jobs
from tests.e2e.dataset import REPO
from tests.e2e.endpoint import Fault, ScriptedEndpoint
from tests.e2e.script import COMPLETION_TOKENS, COST_PER_ANSWER, PROMPT_TOKENS
from tui.evidence import Evidence
from tui.job_files import JobFiles

pytestmark = pytest.mark.docker

CONFIG = "agent:\n  step_limit: 8\nmodel:\n  model_kwargs:\n    max_retries: 0\n"
SOLO = f"solo.{REPO}."
CALM, LIMITED, KILLED, REQUEUED = (SOLO + pair for pair in ("1.f1_f2", "1.f1_f3", "2.f1_f2", "2.f1_f3"))
COOP, UNPRICED = f"coop-comm.{REPO}.1.f1_f2", SOLO + "1.f1_f2"
PLAN = (
    # Slower than the runner looks, so that it sees every step; others wait as long for their retries.
    Fault("delay", marker="toy-task1-feature2", seconds=4),
    Fault("status", marker="toy-task1-feature3", after=1, status=429, times=4),
    Fault("hang", marker="toy-task2-feature2", after=2),
    Fault("hang", marker="toy-task2-feature3", after=1, times=1),
)
PRICES = '[prices."openai/mine"]\ninput = 2.5\noutput = 10\n'
MOST_S = 500.0


@dataclass
class Deck:
    """One sweep, its endpoint and what was seen of it."""

    folder: Path
    name: str
    endpoint: ScriptedEndpoint
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, pairs: str, *more: str, environ: dict[str, str]) -> None:
        named = ",".join(f"{REPO}/{pair}" for pair in pairs.split())
        with (self.folder / "deck.out").open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *COOPDECK,
                    "run",
                    self.name,
                    "--pairs",
                    named,
                    *more,
                    "--agent-config",
                    "few.yaml",
                    "--no-ping",
                    "--headless",
                ],
                cwd=self.folder,
                env={**os.environ, **self.endpoint.environment, **environ},
                stdout=output,
                stderr=output,
            )

    @property
    def board(self) -> Board:
        ledger = Places(self.folder).ledger(self.name)
        return read_board(ledger) if ledger.is_file() else Board()

    def row(self, job: str) -> JobRow | None:
        return next((row for row in self.board.jobs.values() if row.spec.id == job), None)

    def boards(self) -> Iterator[tuple[Board, float]]:
        """What everybody who watched was shown, from the first event to the last, and when."""
        board = Board()
        for envelope in read_envelopes(Places(self.folder).ledger(self.name)):
            board = reduce(board, envelope)
            yield board, envelope.at

    @property
    def over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def said(self) -> str:
        return (self.folder / "deck.out").read_text(errors="replace")

    def report(self) -> dict[str, Any]:
        ran = subprocess.run(
            [*COOPDECK, "report", "--json"], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return dict(json.loads(ran.stdout))

    def result(self, setting: str, pair: str) -> dict[str, Any]:
        (path,) = self.folder.glob(f"logs/{self.name}-{setting}/*/{REPO}/{pair}/result.json")
        return dict(json.loads(path.read_text()))


COOPDECK = (sys.executable, "-P", "-m", "runner.cli")


@dataclass
class Seen:
    live: Deck
    coop: Deck
    unpriced: Deck
    letters: dict[str, tuple[float, float]]
    """By sender: when the probe says that the message was sent, and when the talk pane's source last lacked it."""
    requeue: str


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory,
    cooperbench_program: Path,
    toy_images: tuple[str, ...],
    toy_dataset: Path,
    redis_url: str,
) -> Seen:
    """Three sweeps at once, watched until they are over, while one attempt is killed and one ended by the user."""
    how = ["--dataset-dir", str(toy_dataset), "--cooperbench", str(cooperbench_program)]
    with ExitStack() as stack:
        decks = []
        for name, plan in (("live", PLAN), ("coop", ()), ("unpriced", ())):
            folder = tmp_path_factory.mktemp(name)
            (folder / "few.yaml").write_text(CONFIG)
            decks.append(Deck(folder, name, stack.enter_context(ScriptedEndpoint(*plan))))
            stack.callback(_end, decks[-1])
        live, coop, unpriced = decks
        (unpriced.folder / "coopdeck.toml").write_text(PRICES)
        model = ["-m", "openai/gpt-4o"]
        tries = {"MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "10"}
        pairs = "1/f1_f2 1/f1_f3 2/f1_f2 2/f1_f3"
        live.start(pairs, "--settings", "solo", "--attempts", "1", "-c", "4", *model, *how, environ=tries)
        coop.start("1/f1_f2", "--settings", "coop-comm", "--redis", redis_url, *model, *how, environ={})
        unpriced.start("1/f1_f2", "--settings", "solo", "-m", "openai/mine", *how, environ={})
        letters: dict[str, tuple[float, float]] = {}
        talk = Evidence(JobFiles(attempt=Places(coop.folder).sweep_dir("coop") / "attempts" / COOP / "1"), talk=True)
        killed = False
        requeue: subprocess.Popen[str] | None = None
        deadline = time.monotonic() + MOST_S
        looked = before = 0.0
        while not all(deck.over for deck in decks):
            assert time.monotonic() < deadline, "\n".join(deck.said() for deck in decks)
            now = time.time()
            for _, record in talk.advance().records:
                if record.get("type") == "message_sent":
                    letters.setdefault(str(record["from"]), (float(record["at"]), before))
            before = now
            if time.monotonic() - looked > 0.4:
                looked = time.monotonic()
                # Two answers, and a third that never comes: everything that it spent is known.
                if not killed and (pid := _pid_at(live.row(KILLED), steps=2)) is not None:
                    os.kill(pid, signal.SIGKILL)
                    killed = True
                if requeue is None and _pid_at(live.row(REQUEUED), steps=1) is not None:
                    requeue = subprocess.Popen(
                        [*COOPDECK, "retry", "live", "--pair", f"{REPO}/2/f1_f3", "--running"],
                        cwd=live.folder,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
            time.sleep(0.02)
        assert killed
        assert requeue is not None
        said, _ = requeue.communicate(timeout=60)
        return Seen(live, coop, unpriced, letters, said)


def _pid_at(row: JobRow | None, *, steps: int) -> int | None:
    """The first attempt's process once it has come so far, and waits for the next answer."""
    if row is None or len(row.attempts) != 1 or row.running is None or row.steps < steps:
        return None
    return row.running.pid if all(agent.doing == "llm" for agent in row.agents) else None


def _end(deck: Deck) -> None:
    if deck.process is not None and deck.process.poll() is None:
        subprocess.run([*COOPDECK, "stop", deck.name, "--now"], cwd=deck.folder, capture_output=True, check=False)
        deck.process.kill()
        deck.process.wait()


def test_steps_and_cost_rise_while_a_job_runs_and_are_those_of_the_result(seen: Seen) -> None:
    rows = (row for board, _ in seen.live.boards() for row in board.jobs.values() if row.spec.id == CALM)
    told = list(dict.fromkeys((row.steps, row.attempts[-1].cost_usd) for row in rows if row.running is not None))
    result = seen.live.result("solo", "1/f1_f2")
    assert told == sorted(told, key=lambda one: (one[0], one[1] or 0.0))
    assert len({steps for steps, _ in told}) >= 3
    assert len({cost for _, cost in told}) >= 3
    row = seen.live.row(CALM)
    assert row is not None
    assert row.outcome is not None
    assert row.outcome.steps == result["total_steps"]
    assert row.cost_usd == pytest.approx(result["total_cost"], abs=1e-9)
    assert told[-1][1] is not None
    assert told[-1][1] <= result["total_cost"] + 1e-9
    answers = result["total_steps"]
    assert row.attempts[0].tokens == Tokens(answers * PROMPT_TOKENS, answers * COMPLETION_TOKENS)


def test_a_jobs_containers_are_known(seen: Seen) -> None:
    row = seen.coop.row(COOP)
    assert row is not None
    containers = row.attempts[0].containers
    assert {one.agent for one in containers} == {"agent1", "agent2"}
    output = (Places(seen.coop.folder).sweep_dir("coop") / row.attempts[0].folder / "output.log").read_text()
    for one in containers:
        assert one.name.startswith("minisweagent-")
        assert one.container in "".join(output.split())


def test_a_message_is_in_the_talk_within_a_second_of_being_sent(seen: Seen) -> None:
    assert set(seen.letters) == {"agent1", "agent2"}
    # A test that was itself kept waiting has not looked in that time.
    assert max(missing - sent for sent, missing in seen.letters.values()) < 1.0
    for sender, (sent, _) in seen.letters.items():
        assert sent >= seen.coop.endpoint.told_to_send[sender]


def test_retries_that_pile_up_are_called_so_and_end_well(seen: Seen) -> None:
    verdicts = {
        stall.says for board, at in seen.live.boards() for row, stall in stuck_jobs(board, at) if row.spec.id == LIMITED
    }
    assert "waiting for the API, 3rd retry of 10, RateLimitError" in verdicts
    assert seen.live.result("solo", "1/f1_f3")["agent"]["status"] == "Submitted"
    assert "STUCK: waiting for the API" in seen.live.said()


def test_what_a_killed_attempt_spent_is_in_the_ledger_as_wasted(seen: Seen) -> None:
    row = seen.live.row(KILLED)
    assert row is not None
    assert (row.state, len(row.attempts)) == ("failed", 1)
    assert row.cost_usd == pytest.approx(2 * COST_PER_ANSWER)
    assert row.wasted_usd == pytest.approx(2 * COST_PER_ANSWER)
    assert row.attempts[0].tokens == Tokens(2 * PROMPT_TOKENS, 2 * COMPLETION_TOKENS)
    assert row.unknown_costs == 0


def test_an_attempt_that_hangs_is_ended_and_tried_again(seen: Seen) -> None:
    assert "ending" in seen.requeue
    row = seen.live.row(REQUEUED)
    assert row is not None
    assert (row.state, len(row.attempts)) == ("done", 2)
    first, second = row.attempts
    assert first.outcome is not None
    assert first.outcome.evidence == "ended by the user to be tried again"
    assert first.cost_usd == pytest.approx(COST_PER_ANSWER)
    assert row.wasted_usd == pytest.approx(COST_PER_ANSWER)
    assert second.cost_usd == pytest.approx(seen.live.result("solo", "2/f1_f3")["total_cost"])


def test_all_that_was_answered_is_in_the_report(seen: Seen) -> None:
    report = seen.live.report()
    assert report["cost_usd"] == pytest.approx(seen.live.endpoint.spent, abs=1e-6)
    assert report["wasted_usd"] == pytest.approx(3 * COST_PER_ANSWER, abs=1e-6)
    assert report["cost_unknown_attempts"] == 0
    answers = sum(seen.live.endpoint.answers.values())
    tokens = {"input": answers * PROMPT_TOKENS, "output": answers * COMPLETION_TOKENS, "cached": 0}
    assert report["tokens"] == report["by_setting"]["solo"]["tokens"] == tokens


def test_a_model_that_litellm_cannot_price_costs_what_the_user_says(seen: Seen) -> None:
    deck = seen.unpriced
    assert deck.result("solo", "1/f1_f2")["total_cost"] == 0
    report = deck.report()
    answers = sum(deck.endpoint.answers.values())
    assert answers
    assert report["cost_usd"] == pytest.approx(answers * (PROMPT_TOKENS * 2.5 + COMPLETION_TOKENS * 10) / 1e6)
    assert (report["cost_unknown_attempts"], report["cost_own_price_attempts"]) == (0, 1)
    assert "by own prices" in deck.said()
