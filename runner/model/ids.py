"""Names of things: pairs and jobs."""

import re
from dataclasses import dataclass
from typing import NewType

JobId = NewType("JobId", str)
"""A job's name, unique in its sweep and safe as a folder name: `coop-comm.pallets_jinja_task.1621.f3_f7`."""

OWNERS = ("pallets_", "dottxt_ai_", "huggingface_", "openai_", "samuelcolvin_")
"""What repos of the dataset begin with and people leave out."""
_PAIR = re.compile(
    r"(?P<repo>[A-Za-z0-9][A-Za-z0-9._-]*)/(?:task)?(?P<task>\d{1,9})[/ :]"
    r"f?(?P<features>\d{1,9}(?:(?:_f?|,f?|\+f?| f)\d{1,9})+)"
)


@dataclass(frozen=True, slots=True, order=True)
class PairId:
    """CooperBench's unit of work: a task of a repo and the features to build, usually two."""

    repo: str
    task: int
    features: tuple[int, ...]

    @property
    def folder(self) -> str:
        """The features as upstream names their folder, sorted: `f3_f7`."""
        return "_".join(f"f{feature}" for feature in sorted(self.features))

    @property
    def short(self) -> str:
        """For a table cell: `jinja/1621 f3 f7`."""
        repo = self.repo.removesuffix("_task")
        for owner in OWNERS:
            repo = repo.removeprefix(owner)
        return f"{repo}/{self.task} " + " ".join(f"f{feature}" for feature in sorted(self.features))

    def __str__(self) -> str:
        return f"{self.repo}/{self.task} {self.folder}"


def parse_pair(text: str) -> PairId:
    """Read `repo/task/f3_f7`, `repo/task f3_f7` or `repo/task:3,7`.

    Raises:
        ValueError: the text is none of these; the message is a sentence for the user.
    """
    match = _PAIR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a pair; write it as repo/task/f1_f2, like pallets_jinja_task/1621/f3_f7")
    features = tuple(int(number) for number in re.findall(r"\d+", match["features"]))
    if len(set(features)) != len(features):
        raise ValueError(f"the pair '{text}' names a feature twice")
    return PairId(match["repo"], int(match["task"]), features)


def job_id(setting: str, pair: PairId, *, model_slug: str = "", repeat: int = 1) -> JobId:
    """The job's name; model and repeat stand in it only where a sweep has several."""
    parts = [setting, pair.repo, str(pair.task), pair.folder]
    if model_slug:
        parts.append(model_slug)
    if repeat > 1:
        parts.append(f"r{repeat}")
    return JobId(".".join(parts))


def slug(text: str) -> str:
    """A model's name as part of a file name: `openai/gpt-4o` becomes `openai-gpt-4o`."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()
