"""Whether the features' texts are there, which upstream reads from a dataset tree."""

from runner.adapters.program import default_cooperbench
from runner.checks.wanted import Wanted
from runner.model.check import Finding

CHECK = "dataset"


def check_dataset(wanted: Wanted) -> list[Finding]:
    """Upstream looks below `./dataset` unless told otherwise."""
    root = wanted.root / (wanted.dataset_dir or "dataset")
    tasks = dict.fromkeys((pair.repo, pair.task) for pair in wanted.pairs)
    gone = [f"{repo}/task{task}" for repo, task in tasks if not (root / repo / f"task{task}").is_dir()]
    if not gone:
        return [Finding(CHECK, "ok", f"all {len(tasks)} tasks are in {root}")]
    ours = wanted.program in {None, str(default_cooperbench(wanted.root))}
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    download = "coopdeck setup" if ours else f"{wanted.program} prepare"
    remedy = f"download it with '{download}', or name another with --dataset-dir"
    return [Finding(CHECK, "fail", f"the dataset at {root} has no {gone[0]}{more}", remedy)]
