"""`cooperbench eval`, and the evaluation after a run: recorded verdicts instead of tests."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from runner.rehearsal.config import Config
from runner.rehearsal.console import say
from runner.rehearsal.faults import Case, Plan
from runner.rehearsal.output import write_json
from runner.rehearsal.profile import Profile, profile_for
from runner.rehearsal.selection import Pair


class Delivered:
    """One job folder that has a `result.json`."""

    __slots__ = ("folder", "pair", "setting")

    def __init__(self, setting: str, pair: Pair, folder: Path) -> None:
        self.setting = setting
        self.pair = pair
        self.folder = folder


def find_delivered(root: Path) -> list[Delivered]:
    found = []
    for setting in ("solo", "coop", "team"):
        for result in sorted((root / setting).glob("*_task/*/*/result.json")):
            folder = result.parent
            parts = [part[1:] for part in folder.name.split("_") if part.startswith("f")]
            if folder.parent.name.isdigit() and len(parts) > 1 and all(part.isdigit() for part in parts):
                features = tuple(int(part) for part in parts)
                pair = Pair(folder.parent.parent.name, int(folder.parent.name), features)
                found.append(Delivered(setting, pair, folder))
    return found


def evaluate(delivered: Delivered, config: Config, plan: Plan) -> dict[str, object]:
    """Write `eval.json` and return what it says."""
    pair = delivered.pair
    key = _setting_key(delivered)
    profile = profile_for(key, pair.repo, pair.task, pair.features, seed=config.seed, repeat=config.repeat)
    case = Case(key, pair.repo, pair.task, pair.features, config.seed, config.attempt, config.repeat)
    fault = plan.fault_for(case, evaluating=True)
    error = fault.word("text", "Failed to get base commit SHA") if fault else None
    document = _solo(delivered, profile, error) if key == "solo" else _merged(delivered, profile, error)
    write_json(delivered.folder / "eval.json", document)
    return document


def _setting_key(delivered: Delivered) -> str:
    if delivered.setting != "coop":
        return delivered.setting
    try:
        result = json.loads((delivered.folder / "result.json").read_text(encoding="utf-8"))
        sent = result.get("messages_sent", 0)
    except (ValueError, AttributeError):
        sent = 0
    return "coop-comm" if sent else "coop-nocomm"


def _has_patch(delivered: Delivered, feature: int | None) -> bool:
    path = delivered.folder / ("solo.patch" if feature is None else f"agent{feature}.patch")
    return path.exists() and path.stat().st_size > 0


def _solo(delivered: Delivered, profile: Profile, error: str | None) -> dict[str, object]:
    pair = delivered.pair
    works = error is None and _has_patch(delivered, None)
    passed = [works and verdict for verdict in profile.passed]

    def part(number: int) -> dict[str, object]:
        feature = pair.features[number]
        return {"passed": passed[number], "test_output": "" if error else _tests(feature, passed[number])}

    return {
        **_head(delivered, "solo"),
        "merge": None,
        "feature1": part(0),
        "feature2": part(1),
        **_tail(all(passed), error),
    }


def _merged(delivered: Delivered, profile: Profile, error: str | None) -> dict[str, object]:
    pair = delivered.pair
    if error is not None:
        unknown: dict[str, object] = {"agent1": "unknown", "agent2": "unknown"}
        nothing: dict[str, object] = {
            "feature_id": None,
            "passed": False,
            "exit_code": None,
            "tests_passed": 0,
            "tests_failed": 0,
            "test_output": "",
        }
        return {
            **_head(delivered, "coop"),
            "apply_status": unknown,
            "merge": {"status": "error", "strategy": None, "diff": ""},
            "feature1": nothing,
            "feature2": dict(nothing),
            **_tail(False, error),
        }
    has = [_has_patch(delivered, feature) for feature in pair.features[:2]]
    clean = profile.merge != "merge_failed"
    passed = [all(has) and verdict for verdict in profile.passed]

    def part(number: int) -> dict[str, object]:
        return {
            "feature_id": pair.features[number],
            "passed": passed[number],
            "exit_code": (0 if passed[number] else 1) if clean else None,
            "tests_passed": 3 if passed[number] else 0,
            "tests_failed": 0 if passed[number] or not clean else 1,
            "test_output": _tests(pair.features[number], passed[number]) if clean else "",
        }

    return {
        **_head(delivered, "coop"),
        "apply_status": {f"agent{n + 1}": "applied" if has[n] else "skipped" for n in range(len(has))},
        "merge": {"status": "clean" if clean else "conflicts", "strategy": "naive", "diff": ""},
        "feature1": part(0),
        "feature2": part(1),
        **_tail(all(passed), None),
    }


def _head(delivered: Delivered, setting: str) -> dict[str, object]:
    pair = delivered.pair
    return {"repo": pair.repo, "task_id": pair.task, "features": list(pair.features), "setting": setting}


def _tail(both: bool, error: str | None) -> dict[str, object]:
    return {"both_passed": both, "error": error, "evaluated_at": datetime.now().isoformat()}


def _tests(feature: int, passed: bool) -> str:
    if passed:
        return f"tests/test_feature_{feature}.py ...                    [100%]\n3 passed in 0.12s\n"
    return f"FAILED tests/test_feature_{feature}.py::test_feature - AssertionError\n1 failed in 0.14s\n"


def eval_command(
    *,
    name: str,
    root: Path,
    wanted: list[Pair] | None,
    force: bool,
    backend: str,
    config: Config,
    plan: Plan,
) -> int:
    names = {(pair.repo, pair.task, pair.folder) for pair in wanted} if wanted is not None else None
    runs = [
        run for run in find_delivered(root) if names is None or (run.pair.repo, run.pair.task, run.pair.folder) in names
    ]
    if not runs:
        say("no runs found to evaluate")
        return 0
    left = runs if force else [run for run in runs if not (run.folder / "eval.json").exists()]
    if len(left) < len(runs):
        say(f"skipping {len(runs) - len(left)} already evaluated")
    if not left:
        say("all runs already evaluated")
        return 0
    say()
    say(f"cooperbench eval {name}")
    say(f"runs: {len(left)}")
    say(f"backend: {backend}")
    say()
    counts = {"pass": 0, "fail": 0, "error": 0}
    results = []
    for run in left:
        label = f"{run.pair.repo}/{run.pair.task}"
        if len(left) == 1:
            say(f"  evaluating {label} [{run.pair.commas}]")
        verdict = verdict_of(evaluate(run, config, plan))
        counts[verdict] += 1
        results.append({"run": f"{label}/{run.pair.commas}", "status": verdict})
        say(f"{'✓' if verdict == 'pass' else '✗'} {verdict} {label} [{run.pair.commas}]")
    rate = counts["pass"] / max(counts["pass"] + counts["fail"], 1)
    write_json(
        root / "eval_summary.json",
        {
            "run_name": name,
            "evaluated_at": datetime.now().isoformat(),
            "total_runs": len(left),
            "passed": counts["pass"],
            "failed": counts["fail"],
            "errors": counts["error"],
            "skipped": 0,
            "pass_rate": rate,
            "results": results if len(left) > 1 else [],
        },
    )
    say()
    say(f"  passed       {counts['pass']}")
    say(f"  failed       {counts['fail']}")
    if counts["error"]:
        say(f"  errors       {counts['error']}")
    say(f"  pass rate    {rate:.1%}")
    say()
    return 0


def verdict_of(document: dict[str, object]) -> str:
    if document["error"]:
        return "error"
    return "pass" if document["both_passed"] else "fail"
