"""A small real dataset tree: what `cooperbench run` and `cooperbench eval` read, for the toy images."""

import json
from dataclasses import dataclass
from difflib import unified_diff
from itertools import combinations
from pathlib import Path

REPO = "toy_task"
TASKS = (1, 2)
IMAGES = tuple(f"akhatua/cooperbench-toy:task{task}" for task in TASKS)
CALC = Path(__file__).parent / "image" / "calc.py"


@dataclass(frozen=True)
class Feature:
    """One function the agents have to add to calc.py."""

    number: int
    name: str
    expression: str
    check: str

    @property
    def slot(self) -> str:
        return f"# slot of feature {self.number}"

    @property
    def code(self) -> str:
        return f"\n\ndef {self.name}(a: int, b: int) -> int:\n    return {self.expression}\n"


FEATURES = {
    1: Feature(1, "sub", "a - b", "sub(5, 3) == 2"),
    2: Feature(2, "mul", "a * b", "mul(5, 3) == 15"),
    3: Feature(3, "power", "a**b", "power(5, 3) == 125"),
}


def marker(task: int, feature: int) -> str:
    """The words in a feature's text by which the endpoint, and a plan, recognise it."""
    return f"toy-task{task}-feature{feature}"


def feature_text(task: int, feature: Feature) -> str:
    return (
        f"**Title**: add {feature.name}() to calc.py ({marker(task, feature.number)})\n\n"
        f"**Description**\nAdd `{feature.name}(a, b)`, which returns `{feature.expression}`, "
        f"below the line `{feature.slot}`.\n"
    )


def write_dataset(root: Path) -> Path:
    """Write tasks 1 and 2 with features 1 to 3 each, and the subset `toy`; returns `root`."""
    for task in TASKS:
        for feature in FEATURES.values():
            folder = root / REPO / f"task{task}" / f"feature{feature.number}"
            folder.mkdir(parents=True)
            (folder / "feature.md").write_text(feature_text(task, feature))
            (folder / "feature.patch").write_text(_feature_patch(feature))
            (folder / "tests.patch").write_text(_tests_patch(feature))
    pairs = [list(pair) for pair in combinations(FEATURES, 2)]
    subset = {"name": "toy", "tasks": [{"repo": REPO, "task_id": task, "pairs": pairs} for task in TASKS]}
    (root / "subsets").mkdir()
    (root / "subsets" / "toy.json").write_text(json.dumps(subset))
    return root


def _feature_patch(feature: Feature) -> str:
    before = CALC.read_text()
    after = before.replace(f"{feature.slot}\n", f"{feature.slot}\n{feature.code}")
    diff = unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), "a/calc.py", "b/calc.py")
    return "diff --git a/calc.py b/calc.py\n" + "".join(diff)


def _tests_patch(feature: Feature) -> str:
    path = f"test_{feature.name}.py"
    lines = [f"from calc import {feature.name}", "", f"def test_{feature.name}():", f"    assert {feature.check}"]
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{body}"
    )
