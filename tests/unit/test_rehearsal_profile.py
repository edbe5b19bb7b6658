"""The rehearsal's recorded runs and its seeded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.rehearsal.cast import make_agents
from runner.rehearsal.config import ConfigError
from runner.rehearsal.faults import FAULTS, Case, check_plan
from runner.rehearsal.profile import LIMITS, MICRO, Profile, profile_for, read_runs, split

SUMS = {"solo": 45_770_691, "coop-comm": 47_316_364, "coop-nocomm": 45_498_817}
RECORDED = [(setting, run) for setting in SUMS for run in read_runs(setting)]


def fields(profile: Profile) -> tuple[object, ...]:
    return tuple(getattr(profile, name) for name in Profile.__slots__)


@pytest.mark.parametrize(("setting", "micro"), SUMS.items())
def test_the_recorded_costs_add_up(setting: str, micro: int) -> None:
    runs = read_runs(setting)
    assert len(runs) == 100
    assert sum(run.micro for run in runs) == micro
    assert sum(run.cost for run in runs) == pytest.approx(micro / MICRO, abs=1e-6)


def test_all_settings_add_up() -> None:
    assert sum(run.cost for _, run in RECORDED) == pytest.approx(138.585872, abs=1e-6)


def test_a_recorded_pair_is_played_as_recorded() -> None:
    for setting, run in RECORDED[::13]:
        assert fields(profile_for(setting, run.repo, run.task, run.features, seed=7)) == fields(run)
        backwards = run.features[::-1]
        assert fields(profile_for(setting, run.repo, run.task, backwards)) == fields(run)


def test_agents_share_the_recorded_totals_exactly() -> None:
    for setting, run in RECORDED:
        agents = make_agents(setting.split("-")[0], run, run.features, run.messages)
        assert sum(agent.micro for agent in agents) == run.micro
        assert sum(agent.steps for agent in agents) == run.steps
        assert all(agent.steps >= 1 for agent in agents)
        assert sum(len(sends) for agent in agents for sends in agent.sends.values()) == run.messages
        assert sum(agent.status == LIMITS for agent in agents) == (run.status == LIMITS)


def test_three_agents_share_too() -> None:
    profile = profile_for("coop-comm", "toy_task", 1, (1, 2, 3))
    agents = make_agents("coop", profile, (3, 1, 2), profile.messages)
    assert [agent.features for agent in agents] == [(1,), (2,), (3,)]
    assert sum(agent.micro for agent in agents) == profile.micro
    assert sum(agent.steps for agent in agents) == profile.steps


def test_the_model_is_seeded() -> None:
    def draw(repo: str = "toy_task", seed: int = 0, repeat: int = 1) -> tuple[object, ...]:
        return fields(profile_for("solo", repo, 1, (1, 2), seed=seed, repeat=repeat))

    assert draw() == draw()
    assert len({draw(), draw(seed=1), draw(repeat=2), draw(repo="other_task")}) == 4


def test_a_repeat_stays_near_its_recording() -> None:
    run = read_runs("solo")[0]
    again = profile_for("solo", run.repo, run.task, run.features, repeat=2)
    assert fields(again) != fields(run)
    assert 0.2 < again.duration / run.duration < 5
    assert 0.2 < again.cost / run.cost < 5


def test_another_pair_of_a_known_repo_draws_from_that_repo() -> None:
    steps = {run.steps for run in read_runs("solo") if run.repo == "dspy_task"}
    drawn = {profile_for("solo", "dspy_task", 9999, (1, feature)).steps for feature in range(2, 30)}
    assert drawn <= steps


@pytest.mark.parametrize("total", [0, 1, 7, 1_000_003])
def test_split_gives_all_of_it(total: int) -> None:
    parts = split(total, [0.3, 1.7, 0.9])
    assert sum(parts) == total
    assert min(parts) >= 0


def case(attempt: int = 1, task: int = 1, setting: str = "solo") -> Case:
    return Case(setting, "toy_task", task, (2, 1), seed=0, attempt=attempt, repeat=1)


def test_the_first_match_wins() -> None:
    plan = check_plan(
        {
            "faults": [
                {"match": {"setting": "coop-comm"}, "fault": "auth"},
                {"match": {"repo": "toy_task", "features": [1, 2], "attempt": [1, 3]}, "fault": "rate"},
                {"match": {"task": 1, "attempt": "all"}, "fault": "hang", "after": 0.5},
            ]
        }
    )
    names = [fault.name if (fault := plan.fault_for(case(attempt))) else "" for attempt in (1, 2, 3)]
    assert names == ["rate", "hang", "rate"]
    assert plan.fault_for(case(task=2, attempt=2)) is None


def test_rates_are_drawn_for_each_attempt() -> None:
    plan = check_plan({"rate": {"rate": 0.25, "server": 0.25}})
    drawn = [plan.fault_for(case(attempt, task)) for attempt in (1, 2, 3) for task in range(200)]
    names = [fault.name for fault in drawn if fault]
    assert 200 < len(names) < 400
    assert set(names) == {"rate", "server"}
    again = [plan.fault_for(case(attempt, task)) for attempt in (1, 2, 3) for task in range(200)]
    assert [fault.name for fault in again if fault] == names


def test_an_evaluation_fault_leaves_the_run_alone() -> None:
    plan = check_plan({"faults": [{"fault": "eval-error"}, {"fault": "nan"}]})
    run_fault, eval_fault = plan.fault_for(case()), plan.fault_for(case(), evaluating=True)
    assert run_fault is not None
    assert run_fault.name == "nan"
    assert eval_fault is not None
    assert eval_fault.name == "eval-error"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([], "must be a JSON object"),
        ({"fault": []}, "unknown key: 'fault'"),
        ({"faults": {}}, "faults must be a list"),
        ({"faults": ["auth"]}, "Every fault"),
        ({"faults": [{"match": {}}]}, "Unknown fault None"),
        ({"faults": [{"fault": "gremlins"}]}, "Unknown fault 'gremlins'"),
        ({"faults": [{"fault": "auth", "mb": 3}]}, "unknown key: 'mb'"),
        ({"faults": [{"fault": "auth", "after": 2}]}, "cannot have after 2"),
        ({"faults": [{"fault": "auth", "agents": "some"}]}, "cannot have agents 'some'"),
        ({"faults": [{"fault": "auth", "match": {"pair": 1}}]}, "unknown key: 'pair'"),
        ({"faults": [{"fault": "auth", "match": {"attempt": "first"}}]}, "attempt cannot be 'first'"),
        ({"rate": {"gremlins": 0.1}}, "Unknown fault 'gremlins'"),
        ({"rate": {"auth": 1.5}}, "between 0 and 1"),
        ({"rate": {"auth": 0.6, "rate": 0.6}}, "add up to more than 1"),
    ],
)
def test_a_bad_plan_is_refused_in_one_sentence(plan: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        check_plan(plan)
    assert "\n" not in str(caught.value)


def test_every_fault_is_known_by_name_alone() -> None:
    plan = check_plan({"faults": [{"fault": name} for name in FAULTS]})
    assert len(plan.rules) == len(FAULTS)


def test_nothing_but_the_standard_library_is_imported() -> None:
    package = Path(__file__).parents[2] / "runner" / "rehearsal"
    text = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
    lines = [line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))]
    own = {name for name in lines if name.startswith("runner")}
    assert all(name.startswith("runner.rehearsal") for name in own)
