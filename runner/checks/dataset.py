"""Whether the features' texts are there, which upstream reads from a dataset tree."""

from pathlib import Path

from runner.adapters.program import default_cooperbench
from runner.checks.wanted import Wanted
from runner.model.check import Finding

CHECK = "dataset"


def check_dataset(wanted: Wanted) -> list[Finding]:
    """Upstream looks below `./dataset` unless told otherwise."""
    root = wanted.root / (wanted.dataset_dir or "dataset")
    tasks = dict.fromkeys((pair.repo, pair.task) for pair in wanted.pairs)
    gone = [f"{repo}/task{task}" for repo, task in tasks if not (root / repo / f"task{task}").is_dir()]
    # An interrupted download leaves out texts that agents read.
    features = dict.fromkeys((pair.repo, pair.task, feature) for pair in wanted.pairs for feature in pair.features)
    texts = [Path(repo, f"task{task}", f"feature{feature}", "feature.md") for repo, task, feature in features]
    gone = gone or [str(text) for text in texts if not (root / text).is_file()]
    if not gone:
        return [Finding(CHECK, "ok", f"all {len(tasks)} tasks are in {root}")]
    ours = wanted.program in {None, str(default_cooperbench(wanted.root))}
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    download = "coopdeck setup" if ours else f"{wanted.program} prepare"
    remedy = f"download it with '{download}', or name another with --dataset-dir"
    return [Finding(CHECK, "fail", f"the dataset at {root} has no {gone[0]}{more}", remedy)]
