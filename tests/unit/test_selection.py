from typing import Any

import pytest

from runner.adapters.dataset import read_dataset
from runner.model.ids import PairId
from runner.model.queue import (
    check_models,
    check_settings,
    check_sweep_name,
    default_sweep_name,
    make_jobs,
)
from runner.model.refusal import UsageRefused
from runner.model.selection import DatasetIndex, select_pairs

INDEX = read_dataset()
JINJA = "pallets_jinja_task"


def test_smoke_takes_the_first_pairs_in_the_subsets_own_order() -> None:
    pairs = select_pairs(INDEX, subset="lite", smoke=5)
    assert [(pair.repo, pair.task, pair.folder) for pair in pairs] == [
        ("dottxt_ai_outlines_task", 1655, "f6_f7"),
        ("dottxt_ai_outlines_task", 1655, "f7_f10"),
        ("dottxt_ai_outlines_task", 1706, "f4_f6"),
        ("dottxt_ai_outlines_task", 1706, "f5_f6"),
        ("dottxt_ai_outlines_task", 1706, "f5_f8"),
    ]
    assert select_pairs(INDEX, smoke=5) == pairs
    assert len(select_pairs(INDEX, subset="lite", smoke=1000)) == 100


def test_filters_narrow_what_is_selected() -> None:
    assert {pair.repo for pair in select_pairs(INDEX, subset="lite", repos=["dspy", JINJA])} == {"dspy_task", JINJA}
    assert {pair.task for pair in select_pairs(INDEX, repos=["dspy_task"], task=8394)} == {8394}
    assert len(select_pairs(INDEX, repos=[JINJA], task=1621)) == 45


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("pallets_jinja_task/1621/f3_f7", ["f3_f7"]),
        ("pallets_jinja/1621 f3_f7", ["f3_f7"]),
        ("jinja/1621:3,7", ["f3_f7"]),
        ("jinja/task1621/f7_f3", ["f3_f7"]),
        ("jinja/1621 f3 f7", ["f3_f7"]),
        ("jinja/1621/f1_f2_f3", ["f1_f2_f3"]),
        ("jinja/1621/f3_f7,jinja/1621/f1_f2", ["f3_f7", "f1_f2"]),
        ("jinja/1621:3,7, jinja/1621:1,2", ["f3_f7", "f1_f2"]),
        ("jinja/1621/f3_f7 jinja/1621/f1_f2\njinja/1621/f3_f7", ["f3_f7", "f1_f2"]),
    ],
)
def test_pairs_are_named_in_every_form_and_kept_in_order(text: str, folders: list[str]) -> None:
    pairs = select_pairs(INDEX, pairs=[text])
    assert [pair.folder for pair in pairs] == folders
    assert {(pair.repo, pair.task) for pair in pairs} == {(JINJA, 1621)}


@pytest.mark.parametrize("text", ["f3_f7", "3_7", "3,7", "f3+f7", "f3 f7"])
def test_features_alone_belong_to_the_one_repo_and_task(text: str) -> None:
    assert select_pairs(INDEX, repos=["jinja"], task=1621, pairs=[text]) == (PairId(JINJA, 1621, (3, 7)),)
    assert len(select_pairs(INDEX, repos=["jinja"], task=1621, pairs=["f3_f7, f1_f2 f1_f2_f3"])) == 3


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "pass --subset lite, or --subset all for all 652 pairs"),
        ({"subset": "lit"}, "no subset 'lit'; did you mean 'lite'"),
        ({"subset": "xyzzy"}, "there is lite, flash, all"),
        ({"repos": ["jinga"]}, "no repo 'jinga'; did you mean 'jinja'"),
        ({"repos": [""]}, "no repo ''"),
        ({"repos": [JINJA], "task": 4}, "pallets_jinja_task has no task 4; there is 1465, 1559, 1621"),
        ({"pairs": ["f3_f7"]}, "needs one --repo and --task"),
        ({"pairs": ["jinja/1621/f3"]}, "is not a pair"),
        ({"pairs": ["jinja/1621/f3_f7x"]}, "is not a pair"),
        ({"pairs": ["jinja/1621/f3_f3"]}, "names a feature twice"),
        ({"pairs": ["jinja/1621/f3_f99"]}, "task 1621 of pallets_jinja_task has no feature 99"),
        ({"pairs": ["jinja/5/f3_f7"]}, "has no task 5"),
        ({"pairs": [" , "]}, "names no pair"),
        ({"subset": "lite", "pairs": ["jinja/1621/f1_f2_f3"]}, "is not in the subset 'lite'"),
        ({"repos": ["dspy"], "pairs": ["jinja/1621/f1_f2"]}, "--repo dspy_task and --pairs have none in common"),
    ],
)
def test_what_the_dataset_has_not_is_refused_with_what_it_has(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageRefused) as refused:
        select_pairs(INDEX, **asked)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_empty_intersection_is_refused() -> None:
    index = DatasetIndex({"a_task": {1: (1, 2)}, "b_task": {2: (1, 2)}}, {})
    with pytest.raises(UsageRefused, match="a_task has no task 2"):
        select_pairs(index, repos=["a"], task=2)


def test_one_queue_goes_setting_by_setting() -> None:
    pairs = select_pairs(INDEX, subset="lite", smoke=2)
    jobs = make_jobs("s", ("solo", "coop-comm"), pairs, ("openai/gpt-4o",), 2)
    assert [job.run_name for job in jobs] == ["s-solo", "s-solo-r2"] * 2 + ["s-coop-comm", "s-coop-comm-r2"] * 2
    assert [job.pair for job in jobs[:4]] == [pairs[0], pairs[0], pairs[1], pairs[1]]
    assert len({job.id for job in jobs}) == len(jobs)


def test_several_models_have_run_names_of_their_own() -> None:
    pairs = select_pairs(INDEX, subset="lite", smoke=1)
    jobs = make_jobs("s", ("solo",), pairs, ("openai/gpt-4o", "command-a"))
    assert [job.run_name for job in jobs] == ["s-openai-gpt-4o-solo", "s-command-a-solo"]
    assert len({job.id for job in jobs}) == 2


@pytest.mark.parametrize("name", ["a", "gpt-4o-lite", "A.b_c-1", "x" * 80, "_x"])
def test_a_safe_sweep_name_stands(name: str) -> None:
    assert check_sweep_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "a..b", "-a", ".a", "a b", "a\nb", "a\x1b[31m", "x" * 81, "é", "a\n", "a\\b"]
)
def test_an_unsafe_sweep_name_is_refused(name: str) -> None:
    with pytest.raises(UsageRefused) as refused:
        check_sweep_name(name)
    assert str(refused.value).isprintable()


def test_the_default_name_tells_what_is_swept() -> None:
    assert default_sweep_name(["openai/gpt-4o"], subset="lite") == "gpt-4o-lite"
    assert default_sweep_name(["gpt-4o"], subset="lite", smoke=5) == "gpt-4o-lite-smoke5"
    assert default_sweep_name(["gpt-4o"], repos=[JINJA], task=1621) == "gpt-4o-pallets-jinja-1621"
    assert default_sweep_name(["gpt-4o"], pairs=[PairId(JINJA, 1621, (3, 7))]) == "gpt-4o-pallets-jinja-1621-f3_f7"
    assert default_sweep_name(["command-a"], subset="lite", rehearsal=True) == "command-a-lite-rehearsal"
    assert len(default_sweep_name(["m" * 200, "n" * 200], subset="lite")) <= 80


def test_settings_and_models_are_checked() -> None:
    assert check_settings(["solo", "team", "solo"]) == ("solo", "team")
    with pytest.raises(UsageRefused, match="did you mean 'coop-comm'"):
        check_settings(["coop-com"])
    assert check_models(["a", "b", "a"]) == ("a", "b")
    with pytest.raises(UsageRefused, match="share the folder name 'a-b'"):
        check_models(["a/b", "a-b"])
    for model in ("", "-x", "a b", "a\x1b"):
        with pytest.raises(UsageRefused, match="not a model's name"):
            check_models([model])
