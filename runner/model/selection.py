"""Which pairs a sweep is about, out of those the dataset has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

from runner.model.ids import PairId, parse_pair
from runner.model.refusal import UsageRefused

ALL = "all"
USUAL = "lite"
"""Where a smoke test takes its pairs from when nothing else is asked for."""

_SEPARATORS = ("_f?", r"\+f?", ",f?", " f")
_FEATURES = "|".join(rf"f?\d+(?:{separator}\d+)+" for separator in _SEPARATORS)
_BARE = re.compile(rf"(?:{_FEATURES})")
_NAMED = re.compile(rf"(?P<where>[^\s,/]+/(?:task)?\d+)[/ :](?P<features>{_FEATURES})(?![\w/])")
_SHORT = re.compile(r"(?P<features>f?\d+(?:_f?\d+|\+f?\d+)+)(?![\w/])")
_GAP = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class SubsetTask:
    """One task of a subset; without `pairs`, all pairs of its features."""

    repo: str
    task: int
    pairs: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True, slots=True)
class Subset:
    """A named choice of tasks, in the order in which they are run."""

    name: str
    tasks: tuple[SubsetTask, ...]


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    """What can be selected from: the features of every task, and the subsets, in the dataset's order."""

    features: Mapping[str, Mapping[int, tuple[int, ...]]]
    subsets: Mapping[str, Subset]


def select_pairs(
    index: DatasetIndex,
    *,
    subset: str | None = None,
    repos: Sequence[str] = (),
    task: int | None = None,
    pairs: Sequence[str] = (),
    smoke: int | None = None,
) -> tuple[PairId, ...]:
    """The pairs in the order in which they are run: the subset's own, as they are named, or the index's.

    Raises:
        UsageRefused: nothing is selected, or something is named that the dataset has not.
    """
    if subset is None and not repos and task is None and not pairs:
        if smoke is None:
            raise UsageRefused("nothing says which pairs to run: pass --subset lite, or --subset all for all "
                               f"{len(_all(index))} pairs")  # fmt: skip
        subset = usual_subset(index)
    wanted = tuple(dict.fromkeys(_repo(index, repo) for repo in repos))
    if task is not None:
        _check_task(index, wanted, task)
    selected = _listed(index, subset) if subset is not None else _all(index)
    if pairs:
        named = _named(index, pairs, wanted, task)
        if subset is not None:
            listed = set(selected)
            for pair in named:
                if pair not in listed:
                    raise UsageRefused(
                        f"the pair '{pair}' is not in the subset '{subset}'; leave --subset out to run it"
                    )
        selected = named
    chosen = [pair for pair in selected if (not wanted or pair.repo in wanted) and task in (None, pair.task)]
    if not chosen:
        raise UsageRefused(f"no pair is left to run: {_restrictions(subset, wanted, task, pairs)} have none in common")
    return tuple(chosen if smoke is None else chosen[:smoke])


def usual_subset(index: DatasetIndex) -> str:
    """What is meant where nobody names one."""
    return USUAL if USUAL in index.subsets else ALL


def closest(name: str, choices: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: what was perhaps meant, or what there is."""
    close = get_close_matches(name, choices, 1, 0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there is {', '.join(choices)}" if choices else "there is none"


def _all(index: DatasetIndex) -> tuple[PairId, ...]:
    return tuple(
        PairId(repo, task, pair)
        for repo, tasks in index.features.items()
        for task, features in tasks.items()
        for pair in combinations(features, 2)
    )


def _listed(index: DatasetIndex, name: str) -> tuple[PairId, ...]:
    if name == ALL and ALL not in index.subsets:
        return _all(index)
    if name not in index.subsets:
        raise UsageRefused(f"the dataset has no subset '{name}'; {closest(name, [*index.subsets, ALL])}")
    found: list[PairId] = []
    for entry in index.subsets[name].tasks:
        # As upstream: a task the dataset has not, or with one feature alone, is passed over.
        known = index.features.get(entry.repo, {}).get(entry.task, ())
        pairs = combinations(known, 2) if entry.pairs is None else entry.pairs
        found += [PairId(entry.repo, entry.task, tuple(sorted(pair))) for pair in pairs if set(pair) <= set(known)]
    return tuple(dict.fromkeys(found))


def _repo(index: DatasetIndex, name: str) -> str:
    """A repo by its name, or by the part of it that tells it from the others: `jinja`."""
    for exact in (name, f"{name}_task"):
        if exact in index.features:
            return exact
    ends = [repo for repo in index.features if name and repo.removesuffix("_task").endswith(f"_{name}")]
    if len(ends) == 1:
        return ends[0]
    asked = name.removesuffix("_task")
    short = [repo.removesuffix("_task") for repo in index.features]
    tails = [repo.rpartition("_")[2] for repo in short]
    hint = closest(asked, short)
    if get_close_matches(asked, tails, 1, 0.6) and not get_close_matches(asked, short, 1, 0.6):
        hint = closest(asked, tails)
    raise UsageRefused(f"the dataset has no repo '{name}'; {hint}")


def _check_task(index: DatasetIndex, repos: Sequence[str], task: int) -> None:
    tasks = sorted({known for repo in repos or index.features for known in index.features[repo]})
    if task not in tasks:
        where = " or ".join(repos) if repos else "the dataset"
        raise UsageRefused(f"{where} has no task {task}; there is {', '.join(map(str, tasks))}")


def _named(index: DatasetIndex, texts: Sequence[str], repos: Sequence[str], task: int | None) -> tuple[PairId, ...]:
    found: dict[PairId, None] = {}
    for text in texts:
        for pair in _read(text, repos, task):
            repo = _repo(index, pair.repo)
            known = index.features[repo].get(pair.task)
            if known is None:
                _check_task(index, (repo,), pair.task)
            missing = set(pair.features) - set(known or ())
            if missing:
                raise UsageRefused(
                    f"task {pair.task} of {repo} has no feature {min(missing)}; it has "
                    + ", ".join(map(str, known or ()))
                )
            found[PairId(repo, pair.task, tuple(sorted(pair.features)))] = None
    return tuple(found)


def _read(text: str, repos: Sequence[str], task: int | None) -> list[PairId]:
    """All pairs in a text, between commas or spaces; features alone belong to the one repo and task."""
    if _BARE.fullmatch(text.strip()):
        return [_alone(text.strip(), repos, task)]
    pairs: list[PairId] = []
    at = 0
    while rest := text[at:].strip(" ,\t\n"):
        if match := _NAMED.match(rest):
            pairs.append(_parsed(match[0]))
        elif match := _SHORT.match(rest):
            pairs.append(_alone(match[0], repos, task))
        else:
            raise _refused(_GAP.split(rest)[0])
        if (end := match.end()) < len(rest) and not _GAP.match(rest, end):
            raise _refused(_GAP.split(rest)[0])
        at = len(text) - len(text[at:].lstrip(" ,\t\n")) + end
    if not pairs:
        raise UsageRefused("--pairs names no pair; write one as repo/task/f1_f2, like pallets_jinja_task/1621/f3_f7")
    return pairs


def _alone(features: str, repos: Sequence[str], task: int | None) -> PairId:
    if len(repos) != 1 or task is None:
        raise UsageRefused(f"the pair '{features}' needs one --repo and --task, or write it as repo/task/f1_f2")
    return _parsed(f"{repos[0]}/{task}/{features.replace(' ', '_')}")


def _parsed(text: str) -> PairId:
    try:
        return parse_pair(text)
    except ValueError as error:
        raise UsageRefused(str(error)) from None


def _refused(text: str) -> UsageRefused:
    return UsageRefused(f"'{text}' is not a pair; write it as repo/task/f1_f2, like pallets_jinja_task/1621/f3_f7")


def _restrictions(subset: str | None, repos: Sequence[str], task: int | None, pairs: Sequence[str]) -> str:
    named = [
        f"--subset {subset}" if subset is not None else "",
        *(f"--repo {repo}" for repo in repos),
        f"--task {task}" if task is not None else "",
        "--pairs" if pairs else "",
    ]
    return " and ".join(part for part in named if part)
