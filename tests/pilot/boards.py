"""Boards for the screens' tests, folded from events: a sweep of the 300 recorded jobs, caught in the middle."""

import csv
from collections.abc import Callable
from pathlib import Path

import runner
from runner.client import Link, Update
from runner.model import events as ev
from runner.model.board import Board
from runner.model.commands import Command, Reply
from runner.model.ids import JobId, PairId
from runner.model.outcome import Outcome
from runner.model.plan import JobSpec, Plan, Rehearsal
from runner.model.prices import NO_TOKENS, Tokens
from runner.model.reduce import reduce
from tui.text import Line

RUNS = Path(runner.__file__).parent / "data" / "lite_runs.csv"
START = 1_771_390_000.0
NOW = START + 72.74
SETTINGS = ("solo", "coop-comm", "coop-nocomm")
SPEED = 60.0


class Maker:
    """Folds events into a board, one by one, and keeps them."""

    def __init__(self, at: float = START) -> None:
        self.board = Board()
        self.envelopes: list[ev.Envelope] = []
        self.at = at

    def happen(self, *events: ev.Event, at: float | None = None) -> None:
        self.at = at if at is not None else self.at
        for event in events:
            envelope = ev.Envelope(self.board.seq + 1, self.at, event)
            self.board = reduce(self.board, envelope)
            self.envelopes.append(envelope)

    def start(self, job: JobId, attempt: int = 1, at: float | None = None) -> None:
        folder = f"attempts/{job}/{attempt}"
        self.happen(
            ev.AttemptStarting(job, attempt, f"token-{attempt}", folder),
            ev.AttemptStarted(job, attempt, 4711, 1),
            at=at,
        )

    def end(
        self, job: JobId, outcome: Outcome, attempt: int = 1, *, settle: bool = True, at: float | None = None
    ) -> None:
        self.happen(ev.AttemptEnded(job, attempt, outcome), at=at)
        if outcome.is_result:
            self.happen(ev.ResultDelivered(job, attempt, f"logs/{job}/result.json"))
        if settle:
            self.happen(ev.JobSettled(job, "done" if outcome.is_result else "failed"))


def recorded() -> dict[JobId, tuple[JobSpec, Outcome]]:
    """Every recorded run as a job and what it ended in, in the plan's order."""
    jobs: dict[JobId, tuple[JobSpec, Outcome]] = {}
    with RUNS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for setting in SETTINGS:
        for index, row in enumerate(row for row in rows if row["setting"] == setting):
            features = (int(row["feature_a"]), int(row["feature_b"]))
            pair = PairId(row["repo"], int(row["task_id"]), features)
            job = JobId(f"{setting}.{pair.repo}.{pair.task}.{pair.folder}")
            outcome = Outcome(
                failure=None,
                status=row["agent_status"],
                evidence="result.json",
                cost_usd=float(row["cost_usd"]),
                steps=int(row["steps"]),
                patch_lines=0 if index % 6 == 5 else 40,
                messages=int(row["messages"] or 0),
                duration_s=float(row["duration_s"]),
            )
            jobs[job] = (JobSpec(job, setting, f"command-a-{setting}", pair, "command-a-03-2025"), outcome)
    return jobs


def plan(*, rehearsal: bool = True, slots: int = 4) -> Plan:
    return Plan(
        sweep="command-a",
        program=("cooperbench",),
        logs_dir="/srv/logs",
        settings=SETTINGS,
        models=("command-a-03-2025",),
        agent="mini_swe_agent_v2",
        slots=slots,
        budget_usd=150.0,
        rehearsal=Rehearsal(speed=SPEED) if rehearsal else None,
    )


def begun(*, rehearsal: bool = True) -> Maker:
    """Planned and started, nothing run yet."""
    maker = Maker()
    specs = tuple(spec for spec, _ in recorded().values())
    maker.happen(ev.SweepPlanned(plan(rehearsal=rehearsal)), ev.JobsPlanned(specs))
    maker.happen(ev.RunnerStarted(4242, "gpu-host-3", "0.1.0"))
    return maker


def failure(kind: str, evidence: str, cost_usd: float | None = 0.0, duration_s: float = 4.0) -> Outcome:
    return Outcome(kind, "Error", evidence, cost_usd, duration_s=duration_s)  # type: ignore[arg-type]


def middle(*, rehearsal: bool = True) -> Maker:
    """Solo done, coop-comm half way, coop-nocomm begun; one job failed, one retries, four run."""
    maker = begun(rehearsal=rehearsal)
    jobs = recorded()
    by_setting = {name: [job for job, (spec, _) in jobs.items() if spec.setting == name] for name in SETTINGS}
    solo, comm, nocomm = (by_setting[name] for name in SETTINGS)
    settled = [*solo, *comm[:44], *nocomm[:14]]
    for number, job in enumerate(settled):
        at = START + 1 + number * 0.4
        maker.start(job, at=at)
        maker.end(job, jobs[job][1], at=at + 1)
    broken = nocomm[14]
    evidence = "docker: Error response from daemon: driver failed programming external connectivity (exit 125)"
    for attempt in (1, 2, 3):
        maker.start(broken, attempt, at=START + 66 + attempt)
        last = attempt == 3
        maker.end(broken, failure("docker", evidence), attempt, settle=last, at=START + 66.1 + attempt)
        if not last:
            maker.happen(ev.RetryScheduled(broken, attempt + 1, 0.5, evidence))
    waiting = comm[47]
    maker.start(waiting, at=NOW - 2)
    maker.end(waiting, failure("rate", "litellm.RateLimitError: 429 Too Many Requests", None), settle=False, at=NOW - 1)
    maker.happen(ev.RetryScheduled(waiting, 2, 2.4, "litellm.RateLimitError: 429 Too Many Requests"))
    for job, ago, one, two in (
        (comm[44], 6.2, ("exec", 21, 0.31), ("llm", 13, 0.102)),
        (comm[45], 3.4, ("llm", 9, 0.12), ("llm", 7, 0.08)),
        (comm[46], 0.9, ("llm", 2, 0.02), ("waiting", 1, 0.01)),
        (nocomm[15], 2.1, ("exec", 6, 0.066), ("exec", 5, 0.041)),
    ):
        maker.start(job, at=NOW - ago)
        for name, (doing, steps, cost) in (("agent1", one), ("agent2", two)):
            maker.happen(ev.AgentSeen(job, 1, name, doing, steps, cost), at=NOW - 0.05)  # type: ignore[arg-type]
    return maker


def hanging() -> Maker:
    """A real sweep in which four jobs hang, each at something else, one tells nothing, and one comes on."""
    maker = begun(rehearsal=False)
    jobs = recorded()
    by_setting = {name: [job for job, (spec, _) in jobs.items() if spec.setting == name] for name in SETTINGS}
    solo, comm, nocomm = (by_setting[name] for name in SETTINGS)
    at = NOW - 1800
    for job in solo[:20]:
        maker.start(job, at=at)
        maker.end(job, jobs[job][1], at=at)
    read, some = Tokens(1_204_000, 31_400, 880_000), Tokens(96_000, 4_100)
    ended = ev.AgentSeen(comm[3], 1, "agent2", "ended", 12, 0.2, some, NOW - 700, NOW - 700)
    seen = (
        ev.AgentSeen(comm[0], 1, "agent1", "exec", 21, 0.31, read, NOW - 3, NOW - 3, "pytest -q tests/test_core.py"),
        ev.AgentSeen(comm[0], 1, "agent2", "llm", 13, 0.102, some, NOW - 7, NOW - 7),
        ev.AgentSeen(
            comm[1], 1, "agent1", "retrying", 9, 0.12, some, NOW - 21, NOW - 21,
            retry=ev.ApiRetry(6, 10, "RateLimitError", 32.0),
        ),
        ev.AgentSeen(comm[1], 1, "agent2", "llm", 11, 0.14, some, NOW - 2, NOW - 2),
        ev.AgentSeen(comm[2], 1, "agent1", "exec", 17, 0.2, some, NOW - 850, NOW - 850, "pytest -q tests/test_big.py"),
        ev.AgentSeen(comm[2], 1, "agent2", "llm", 19, 0.22, some, NOW - 4, NOW - 4),
        ev.AgentSeen(comm[3], 1, "agent1", "waiting", 14, 0.18, some, NOW - 640, NOW - 640, peer="agent2"),
        ended,
        ev.AgentSeen(nocomm[0], 1, "agent1", "starting", 0, 0.0, NO_TOKENS, NOW - 700, NOW - 700),
        ev.AgentSeen(nocomm[1], 1, "agent1", "unseen", 0, None, NO_TOKENS, NOW - 900, NOW - 900),
        ev.AgentSeen(nocomm[1], 1, "agent2", "unseen", 0, None, NO_TOKENS, NOW - 900, NOW - 900),
    )  # fmt: skip
    for job in dict.fromkeys(event.job for event in seen):
        maker.start(job, at=NOW - 1000)
    maker.happen(ev.ContainerStarted(comm[0], 1, "agent1", "minisweagent-1a2b3c4d", "0123456789ab"))
    maker.happen(ev.ContainerStarted(comm[0], 1, "agent2", "minisweagent-5e6f7a8b", "ba9876543210"))
    maker.happen(*seen, at=NOW)
    return maker


def many(count: int) -> Maker:
    """A board of many jobs, all queued but the first hundred, which run."""
    maker = Maker()
    specs = tuple(
        JobSpec(JobId(f"solo.big_task.{n}.f1_f2"), "solo", "big-solo", PairId("big_task", n, (1, 2)), "m")
        for n in range(count)
    )
    maker.happen(ev.SweepPlanned(plan()), ev.JobsPlanned(specs), ev.RunnerStarted(1, "host", "0.1.0"))
    for spec in specs[:100]:
        maker.start(spec.id)
    return maker


class FakeSource:
    """A source whose updates a test makes."""

    def __init__(self, maker: Maker, folder: Path | None = None, *, link: Link = "attached", attached: int = 2) -> None:
        self.maker = maker
        self.asked: list[Command] = []
        self.reply = Reply(True, "done")
        self.fails: Exception | None = None
        self._folder = folder
        self._link: Link = link
        self._attached = attached
        self._seen: Callable[[Update], None] | None = None

    @property
    def sweep_dir(self) -> Path | None:
        return self._folder

    async def follow(self, seen: Callable[[Update], None]) -> None:
        import asyncio

        if self.fails is not None:
            raise self.fails
        self._seen = seen
        seen(Update(self.maker.board, (), True, self._link, self._attached))
        if self._link != "over":
            await asyncio.Event().wait()

    async def ask(self, command: Command) -> Reply:
        self.asked.append(command)
        return self.reply

    def happen(self, *events: ev.Event, at: float | None = None) -> None:
        """Let events happen, and tell the client of them."""
        before = len(self.maker.envelopes)
        self.maker.happen(*events, at=at)
        self.tell(tuple(self.maker.envelopes[before:]))

    def tell(self, envelopes: tuple[ev.Envelope, ...] = (), *, whole: bool = False, link: Link = "attached") -> None:
        assert self._seen is not None
        self._seen(Update(self.maker.board, envelopes, whole, link, self._attached))


def said(line: Line) -> str:
    """What a line says, without its tones."""
    return "".join(span.text for span in line)
