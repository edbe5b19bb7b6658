"""Any event, any history: what a ledger of any origin may hold."""

import typing

from hypothesis import strategies as st

from runner.model import events as ev
from runner.model.ids import JobId, PairId
from runner.model.outcome import FailureClass, Outcome
from runner.model.plan import JobSpec, Launch, Plan, Rehearsal
from runner.model.prices import Price, Tokens
from runner.model.supplies import Supply, SupplyKind, SupplyState

SETTINGS = ("solo", "coop-comm", "team")
JOBS = tuple(JobId(f"{setting}.toy_task.1.f1_f{number}") for setting in SETTINGS for number in (2, 3))

texts = st.text(st.characters(codec="utf-8"), max_size=12)
times = st.floats(0, 4e9, allow_nan=False)
seconds = st.floats(0, 1e5, allow_nan=False)
usd = st.floats(0, 100, allow_nan=False).map(lambda cost: round(cost, 6))
numbers = st.integers(1, 4)
jobs = st.sampled_from((*JOBS, JobId("unknown")))

counts = st.integers(0, 10**9)
tokens = st.builds(Tokens, counts, counts, counts)
prices = st.builds(Price, usd, usd, st.none() | usd)
retries = st.builds(ev.ApiRetry, st.integers(1, 12), st.none() | st.integers(1, 12), texts, seconds)

outcomes = st.builds(
    Outcome,
    failure=st.none() | st.sampled_from(typing.get_args(FailureClass)),
    status=st.sampled_from(["Submitted", "LimitsExceeded", "Error", ""]),
    evidence=texts,
    cost_usd=st.none() | usd,
    steps=st.integers(0, 100),
    patch_lines=st.integers(0, 3),
    messages=st.integers(0, 9),
    duration_s=st.none() | seconds,
    own_prices=st.booleans(),
)
plans = st.builds(
    Plan,
    sweep=texts,
    program=st.tuples(texts),
    logs_dir=texts,
    settings=st.just(SETTINGS),
    models=st.tuples(texts),
    agent=texts,
    slots=st.integers(1, 256),
    budget_usd=st.none() | usd,
    redis=st.none() | texts,
    stall_s=seconds,
    launcher=st.sampled_from(typing.get_args(Launch)),
    prices=st.dictionaries(texts, prices, max_size=2),
    extra=st.lists(texts, max_size=2).map(tuple),
    rehearsal=st.none() | st.builds(Rehearsal, speed=st.floats(0.1, 1000), seed=st.integers(-9, 9), faults=st.none()),
)


supplies = st.builds(
    Supply,
    kind=st.sampled_from(typing.get_args(SupplyKind)),
    name=st.sampled_from(["", "akhatua/cooperbench-toy:task1", "odd"]),
    state=st.sampled_from(typing.get_args(SupplyState)),
    says=texts,
    done_bytes=st.integers(0, 10**12),
    total_bytes=st.integers(0, 10**12),
)


def spec(job: JobId) -> JobSpec:
    setting, repo, task, folder = job.split(".")
    features = tuple(int(part[1:]) for part in folder.split("_"))
    return JobSpec(job, setting, f"s-{setting}", PairId(repo, int(task), features), "command-a")


planned = st.lists(st.sampled_from(JOBS), max_size=8).map(lambda names: ev.JobsPlanned(tuple(map(spec, names))))

events: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.SweepPlanned, plan=plans),
    planned,
    st.builds(ev.RunnerStarted, pid=st.integers(1, 99), host=texts, version=texts),
    st.builds(ev.RunnerStopped, reason=texts),
    st.builds(ev.JobSkipped, job=jobs, outcome=outcomes, path=texts),
    st.builds(ev.JobQueued, job=jobs, reason=texts),
    st.builds(ev.AttemptStarting, job=jobs, attempt=numbers, token=texts, folder=texts),
    st.builds(ev.AttemptStarted, job=jobs, attempt=numbers, pid=st.integers(1, 99), started_ticks=st.integers(0, 99)),
    st.builds(
        ev.AgentSeen,
        job=jobs,
        attempt=numbers,
        agent=st.sampled_from(["agent1", "agent2"]),
        doing=st.sampled_from(typing.get_args(ev.Doing)),
        steps=st.integers(0, 100),
        cost_usd=st.none() | usd,
        tokens=tokens,
        since=times,
        active_at=times,
        command=texts,
        peer=texts,
        retry=st.none() | retries,
        own_prices=st.booleans(),
    ),
    st.builds(
        ev.ContainerStarted,
        job=jobs,
        attempt=numbers,
        agent=st.sampled_from(["agent1", "agent2"]),
        name=texts,
        container=texts,
    ),
    st.builds(ev.AttemptEnded, job=jobs, attempt=numbers, outcome=outcomes),
    st.builds(ev.RetryScheduled, job=jobs, attempt=numbers, delay_s=seconds, reason=texts),
    st.builds(ev.ResultDelivered, job=jobs, attempt=numbers, path=texts),
    st.builds(
        ev.JobSettled,
        job=jobs,
        state=st.sampled_from(["done", "failed", "cancelled"]),
        outcome=st.none() | outcomes,
    ),
    st.builds(ev.SupplySeen, supply=supplies),
    st.builds(ev.CancelRequested, job=jobs, again=st.booleans()),
    st.builds(ev.SlotsSet, slots=st.integers(1, 256)),
    st.just(ev.QueuePaused()),
    st.just(ev.QueueResumed()),
    st.builds(ev.LauncherFellBack, reason=texts),
    st.builds(ev.QueueHeld, cause=st.sampled_from(["budget", "disk"]), reason=texts),
    st.builds(ev.QueueReleased, cause=st.sampled_from(["budget", "disk"])),
    st.builds(ev.StopRequested, mode=st.sampled_from(typing.get_args(ev.StopMode))),
    st.just(ev.SweepFinished()),
)


@st.composite
def histories(draw: st.DrawFn) -> list[ev.Envelope]:
    """A sweep whose jobs are known, and then anything in any order."""
    first: list[ev.Event] = [ev.JobsPlanned(tuple(map(spec, JOBS[:4])))]
    happened = first * draw(st.integers(0, 1)) + draw(st.lists(events, max_size=60))
    return [ev.Envelope(seq, draw(times), event) for seq, event in enumerate(happened, 1)]
