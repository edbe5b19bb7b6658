import json
from pathlib import Path

import pytest

from runner.adapters.dataset import read_dataset
from runner.model.refusal import UsageRefused
from runner.model.selection import select_pairs


def _tree(root: Path, *features: str) -> Path:
    for feature in features:
        (root / feature).mkdir(parents=True)
    return root


def _subset(root: Path, name: str, text: str) -> None:
    (root / "subsets").mkdir(exist_ok=True)
    (root / "subsets" / f"{name}.json").write_text(text)


def test_the_packaged_dataset_has_upstreams_pairs() -> None:
    index = read_dataset()
    assert len(select_pairs(index, subset="all")) == 652
    assert len(select_pairs(index, subset="lite")) == 100
    assert len(select_pairs(index, subset="flash")) == 50
    assert set(select_pairs(index, subset="flash")) <= set(select_pairs(index, subset="lite"))


def test_a_tree_is_read_as_upstream_reads_it(tmp_path: Path) -> None:
    _tree(
        tmp_path,
        "toy_task/task10/feature2",
        "toy_task/task10/feature10",
        "toy_task/task10/feature1",
        "toy_task/task9/feature1",  # one feature alone: no pair, so no task
        "toy_task/notes/feature1",
        "a_task/task1/feature1",
        "a_task/task1/feature2",
        "a_task/task1/featurex",
        ".git/task1/feature1",
    )
    (tmp_path / "README.md").write_text("not a repo")
    index = read_dataset(tmp_path)
    assert {repo: dict(tasks) for repo, tasks in index.features.items()} == {
        "a_task": {1: (1, 2)},
        "toy_task": {10: (1, 2, 10)},
    }
    assert [pair.folder for pair in select_pairs(index, repos=["toy"])] == ["f1_f2", "f1_f10", "f2_f10"]


def test_a_subset_without_pairs_means_all_of_its_tasks_pairs(tmp_path: Path) -> None:
    _tree(tmp_path, *(f"toy_task/task{task}/feature{one}" for task in (1, 2) for one in (1, 2, 3)))
    entries = [{"repo": "toy_task", "task_id": 2, "pairs": [[3, 1], [1, 9]]}, {"repo": "toy_task", "task_id": 1}]
    _subset(tmp_path, "mine", json.dumps({"tasks": entries}))
    pairs = select_pairs(read_dataset(tmp_path), subset="mine")
    assert [(pair.task, pair.folder) for pair in pairs] == [(2, "f1_f3"), (1, "f1_f2"), (1, "f1_f3"), (1, "f2_f3")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "malformed"),
        ("{}", "it has no 'tasks'"),
        ('{"tasks": [{"repo": "toy_task"}]}', "it has no 'task_id'"),
        ('{"tasks": [{"repo": "toy_task", "task_id": "1"}]}', "whole task_id"),
        ('{"tasks": [{"repo": "toy_task", "task_id": 1, "pairs": [[1]]}]}', "lists of feature numbers"),
        ('{"tasks": [{"repo": "toy_task", "task_id": 1, "pairs": [["1", "2"]]}]}', "lists of feature numbers"),
    ],
)
def test_a_malformed_subset_is_named(tmp_path: Path, text: str, says: str) -> None:
    _tree(tmp_path, "toy_task/task1/feature1", "toy_task/task1/feature2")
    _subset(tmp_path, "mine", text)
    with pytest.raises(UsageRefused, match=says) as refused:
        read_dataset(tmp_path)
    assert str(tmp_path / "subsets" / "mine.json") in str(refused.value)


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageRefused, match="there is no dataset folder at"):
        read_dataset(tmp_path / "missing")
    with pytest.raises(UsageRefused, match="no task with two features"):
        read_dataset(tmp_path)
