"""What the dataset has: from the list that comes with coopdeck, or from a dataset folder."""

import json
import os
from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from runner.model.refusal import UsageRefused
from runner.model.selection import DatasetIndex, Subset, SubsetTask

PACKAGED_SUBSETS = ("lite", "flash")
MOST_BYTES = 16 * 1024 * 1024
TEXTS = ("feature.md", "tests.patch")
"""What agents and their evaluation read of every feature."""


def read_dataset(dataset_dir: Path | None = None) -> DatasetIndex:
    """The index of the folder, or the packaged one of upstream's 652 pairs.

    Raises:
        UsageRefused: the folder or something in it cannot be read.
    """
    return _packaged() if dataset_dir is None else _folder(dataset_dir)


def missing_texts(root: Path, index: DatasetIndex) -> list[Path]:
    """The files of the index's features that the dataset folder does not have, or has empty.

    An interrupted `cooperbench prepare` leaves some out, and one without a network then calls what is there complete.
    """
    wanted = (
        root / repo / f"task{task}" / f"feature{feature}" / text
        for repo, tasks in index.features.items()
        for task, features in tasks.items()
        for feature in features
        for text in TEXTS
    )
    return [path for path in wanted if not _holds_something(path)]


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _packaged() -> DatasetIndex:
    data = files("runner") / "data"
    listed = _json(data / "dataset_features.json", "the packaged dataset index")["features"]
    subsets = {
        name: _subset(name, _json(data / f"subset_{name}.json", f"the packaged subset '{name}'"), "the package")
        for name in PACKAGED_SUBSETS
    }
    return _index(
        {(repo, int(task)): tuple(ids) for repo, tasks in listed.items() for task, ids in tasks.items()}, subsets
    )


def _folder(root: Path) -> DatasetIndex:
    if not os.path.isdir(root):  # noqa: PTH112 - a name too long for the file system is that of no folder
        raise UsageRefused(f"there is no dataset folder at {root}; pass --dataset-dir with one, or leave it out")
    features: dict[tuple[str, int], tuple[int, ...]] = {}
    try:
        for repo in _folders(root):
            for task in _folders(repo):
                number = _number(task, "task")
                if number is not None:
                    ids = (_number(feature, "feature") for feature in _folders(task))
                    features[repo.name, number] = tuple(one for one in ids if one is not None)
        found = sorted((root / "subsets").glob("*.json")) if (root / "subsets").is_dir() else []
    except OSError as error:
        raise UsageRefused(f"the dataset folder {root} cannot be read: {error.strerror or error}") from None
    subsets = {path.stem: _subset(path.stem, _json(path, f"the subset {path}"), str(path)) for path in found}
    index = _index(features, subsets)
    if not index.features:
        raise UsageRefused(
            f"no task with two features is in the dataset folder {root}; it should hold REPO/task1/feature1, "
            "as `cooperbench prepare` lays it out"
        )
    return index


def _index(features: dict[tuple[str, int], tuple[int, ...]], subsets: dict[str, Subset]) -> DatasetIndex:
    """Sorted by repo and number; a task with fewer than two features is no task, as upstream has it."""
    ordered: dict[str, dict[int, tuple[int, ...]]] = {}
    for (repo, task), ids in sorted(features.items()):
        if len(set(ids)) >= 2:
            ordered.setdefault(repo, {})[task] = tuple(sorted(set(ids)))
    return DatasetIndex(ordered, subsets)


def _folders(parent: Path) -> Iterable[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def _number(path: Path, kind: str) -> int | None:
    digits = path.name.removeprefix(kind)
    return int(digits) if digits != path.name and digits.isascii() and digits.isdecimal() and len(digits) < 10 else None


def _json(path: Path | Traversable, what: str) -> Any:
    try:
        with path.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise UsageRefused(f"{what} is larger than {MOST_BYTES // 2**20} MiB, which no such file is")
        return json.loads(body)
    except OSError as error:
        raise UsageRefused(f"{what} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise UsageRefused(f"{what} is not valid JSON; mend it or take it away") from None


def _subset(name: str, document: Any, where: str) -> Subset:
    """Raises UsageRefused for a document of another shape than upstream's."""
    try:
        return Subset(name, tuple(_subset_task(entry) for entry in document["tasks"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UsageRefused(
            f"the subset '{name}' in {where} is malformed: {detail}; it should be "
            '{"tasks": [{"repo": ..., "task_id": ..., "pairs": [[1, 2]]}]}'
        ) from None


def _subset_task(entry: Any) -> SubsetTask:
    repo, task, pairs = entry["repo"], entry["task_id"], entry.get("pairs")
    if not isinstance(repo, str) or not _whole(task):
        raise ValueError("a task needs a repo and a whole task_id")
    if pairs is None:
        return SubsetTask(repo, task)
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) >= 2 and all(map(_whole, pair)) for pair in pairs
    ):
        raise ValueError(f"the pairs of {repo}/{task} must be lists of feature numbers")
    return SubsetTask(repo, task, tuple(tuple(pair) for pair in pairs))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
