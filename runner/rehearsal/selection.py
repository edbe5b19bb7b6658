"""Which pairs a command line means."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"


class Pair:
    """One repo, task and list of features, as named on the command line."""

    __slots__ = ("features", "repo", "task")

    def __init__(self, repo: str, task: int, features: tuple[int, ...]) -> None:
        self.repo = repo
        self.task = task
        self.features = features

    @property
    def folder(self) -> str:
        return "_".join(f"f{feature}" for feature in sorted(self.features))

    @property
    def commas(self) -> str:
        return ",".join(str(feature) for feature in self.features)


def select(subset: str | None, repo: str | None, task: int | None, features: tuple[int, ...] | None) -> list[Pair]:
    """As upstream's discovery, from the index instead of a dataset folder.

    A pair that is named in full but unknown to the index (a toy task) is accepted.
    """
    index = json.loads((DATA / "dataset_features.json").read_text(encoding="utf-8"))["features"]
    listed = _subset(subset) if subset else None
    if repo and task and features and not listed and str(task) not in index.get(repo, {}):
        return [Pair(repo, task, features)] if repo not in index else []
    pairs: list[Pair] = []
    for name in sorted(index):
        for number in sorted(index[name], key=int):
            known = index[name][number]
            if (repo and repo != name) or (task and task != int(number)) or len(known) < 2:
                continue
            if listed is not None and (name, int(number)) not in listed:
                continue
            if features:
                chosen = [features] if all(feature in known for feature in features) else []
            elif listed is not None:
                chosen = listed[name, int(number)]
            else:
                chosen = list(combinations(sorted(known), 2))
            pairs.extend(Pair(name, int(number), pair) for pair in chosen)
    return pairs


def _subset(name: str) -> dict[tuple[str, int], list[tuple[int, ...]]]:
    path = DATA / f"subset_{name}.json"
    if not path.exists():
        raise ValueError(f"Subset '{name}' not found at {path}")
    document = json.loads(path.read_text(encoding="utf-8"))
    return {(entry["repo"], entry["task_id"]): [tuple(pair) for pair in entry["pairs"]] for entry in document["tasks"]}
