"""A run's folder of any origin: found from any folder of it, read in bounded steps, and never trusted."""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner import cli
from runner.adapters import run_tree as tree
from runner.adapters.run_tree import PairFolder, RunTree, pair_folders, read_pair, run_tree
from runner.client import Update
from runner.commands import open as opening
from runner.commands.open import OpenedRun
from runner.model.commands import Pause
from runner.model.refusal import UsageRefused

SAMPLES = Path(__file__).parents[1] / "data" / "sample_logs"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return shutil.copytree(SAMPLES, tmp_path / "logs")


def put(folder: Path, **changes: Any) -> Path:
    """A pair's folder with a sound result, but for some changes."""
    folder.mkdir(parents=True)
    values = json.loads((SAMPLES / "sample/solo/toy_task/1/f1_f2/result.json").read_text())
    task, features = int(folder.parent.name), [int(part[1:]) for part in folder.name.split("_")]
    values |= {"repo": folder.parent.parent.name, "task_id": task, "features": features, **changes}
    (folder / "result.json").write_text(json.dumps(values))
    return folder


def opened(root: Path) -> dict[str, tree.Opened]:
    found = [one for one in pair_folders(run_tree(root)) if isinstance(one, PairFolder)]
    return {f"{one.mode}/{one.pair.task}/{one.path.name}": read_pair(one, "n", {}) for one in found}


def out(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = cli.main(argv)
    return (status, *capsys.readouterr())


@pytest.mark.parametrize("below", ["", "coop", "coop/toy_task", "coop/toy_task/1", "coop/toy_task/1/f1_f2"])
def test_any_folder_of_a_run_opens_it_or_its_part(logs: Path, below: str) -> None:
    found = run_tree(logs / "sample" / below)
    assert (found.name, found.root) == ("sample", logs / "sample")
    modes = [one.mode for one in pair_folders(found) if isinstance(one, PairFolder)]
    assert modes == (["coop"] if below else ["coop", "solo"])


def test_what_is_no_run_is_refused_in_a_sentence(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (logs / "empty").mkdir()
    (logs / "a file").write_text("")
    for where, says in {
        str(logs): "holds 2 runs; open one of them: coopdeck open",
        str(logs / "empty"): "is no run of cooperbench",
        str(logs / "nowhere"): "there is no folder",
        str(logs / "a file"): "there is no folder",
    }.items():
        status, shown, error = out(capsys, "open", where)
        assert (status, shown) == (2, "")
        assert says in error
        assert error.count("\n") == 1
    assert out(capsys, "open")[0] == 2


def test_a_line_for_each_pair(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown, error = out(capsys, "open", str(logs / "sample"))
    assert (status, error) == (0, "")
    assert shown.splitlines()[0] == (
        "coop toy/1 f1 f2  Submitted  12 steps  $0.044  00:05  "
        "evaluated: feature1 passed, feature2 failed, merge identical"
    )
    status, shown, _ = out(capsys, "open", str(logs / "sample-error"), "--json")
    (line,) = map(json.loads, shown.splitlines())
    assert status == 1
    assert (line["type"], line["failure"], line["result"]) == ("pair", "provider", False)
    assert line["path"] == str(logs / "sample-error/solo/toy_task/1/f1_f2")


def test_corrupt_foreign_and_huge_files_are_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tree, "EVAL_LIMIT", 1000)
    at = tmp_path / "run" / "solo" / "x_task"
    put(at / "1" / "f1_f2")
    put(at / "2" / "f1_f2", total_cost=float("1e9"))
    put(at / "3" / "f1_f2", repo="another")
    (at / "4" / "f1_f2").mkdir(parents=True)
    for task, content in {5: b"{", 6: b"[" * 100_000, 7: b"\xff\x00", 8: b"x" * 2_000_000, 9: b"[1]"}.items():
        put(at / str(task) / "f1_f2")
        (at / str(task) / "f1_f2" / "result.json").write_bytes(content)
    pipe = put(at / "10" / "f1_f2") / "result.json"
    pipe.unlink()
    os.mkfifo(pipe)
    put(at / "11" / "f1_f2", infra_error=True, infra_class="docker")
    put(at / "12" / "f1_f2", infra_error=True, infra_class="\x1b]0;x\x07")
    (put(at / "13" / "f1_f2") / "eval.json").write_text("[" * 500)
    (put(at / "14" / "f1_f2") / "eval.json").write_text(json.dumps({"x": "y" * 2000}))
    (put(at / "15" / "f1_f2") / "eval.json").write_text(json.dumps({"error": "\x1b[2Jno\nimage", "both_passed": True}))
    put(at / "16" / "f1_f2", started_at="yesterday", ended_at=["x"], model=7)
    (at / "17" / "f1_f2").mkdir(parents=True)
    (at / "17" / "f1_f2" / "result.json").mkdir()
    (at / "notes.txt").write_text("")
    (at / "1" / "other").mkdir()
    (at / "task").mkdir()
    (at / "task" / "f1_f2").mkdir()
    (at / "loop").symlink_to(at / "loop")
    found = {one.spec.pair.task: one.outcome for one in opened(tmp_path / "run").values()}
    assert sorted(found) == list(range(1, 18))
    assert {task for task, outcome in found.items() if outcome.is_result} == {1, 12, 13, 14, 15}
    assert {found[task].failure for task in (2, 3, 5, 6, 7, 8, 9, 10, 16, 17)} == {"corrupt"}
    assert (found[4].failure, found[4].cost_usd) == ("lost", None)
    assert found[11].failure == "docker"
    assert "larger than 1048576 bytes" in found[8].evidence
    assert "eval.json is larger than 1000 bytes" in found[14].evidence
    assert "eval.json is not valid JSON" in found[13].evidence
    assert "evaluation failed: " in found[15].evidence
    status, shown, error = out(capsys, "open", str(tmp_path / "run"))
    assert (status, len(shown.splitlines())) == (1, 17)
    assert "4 things in " in error
    assert all(line.isprintable() for line in shown.splitlines())


def test_thousands_of_pairs_are_read_in_steps_and_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 1500
    for task in range(number):
        (tmp_path / "run" / "coop" / "x_task" / str(task) / "f1_f2").mkdir(parents=True)
    threads: set[int] = set()

    def seen_reading(*arguments: Any) -> tree.Opened:
        threads.add(threading.get_ident())
        return read_pair(*arguments)

    monkeypatch.setattr(opening, "read_pair", seen_reading)
    updates: list[Update] = []
    source = OpenedRun(run_tree(tmp_path / "run"))
    anyio.run(source.follow, updates.append)
    counts = [len(update.board.order) for update in updates]
    assert counts == sorted(counts)
    assert counts[-1] == updates[-1].board.total.count("failed") == number
    # In steps that grow: the screen draws a table anew for each of them.
    assert 5 < len(set(counts)) < 15
    assert threading.get_ident() not in threads
    assert source.sweep_dir == tmp_path / "run"
    reply = anyio.run(source.ask, Pause())
    assert (reply.ok, "no runner" in reply.says) == (False, True)


def test_the_board_tells_of_the_files(logs: Path) -> None:
    updates: list[Update] = []
    anyio.run(OpenedRun(run_tree(logs / "sample")).follow, updates.append)
    board = updates[-1].board
    assert board.plan is not None
    assert (board.plan.sweep, board.plan.models, board.plan.agent) == (
        "sample",
        ("openai/gpt-4o",),
        "mini_swe_agent_v2",
    )
    row = board.jobs[board.order[0]]
    (attempt,) = row.attempts
    assert attempt.folder == "coop/toy_task/1/f1_f2"
    assert attempt.outcome is not None
    assert attempt.outcome.evidence.startswith("result.json; evaluated: feature1 passed, feature2 failed")
    assert row.state == "done"
    assert row.cost_usd == pytest.approx(0.0435)
    assert board.wall_s(0) == pytest.approx(20.98, abs=0.1)
    assert {update.link for update in updates} == {"over"}


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "run/solo/x_task/1/f1_f2")

    def refused(folder: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refused)
        assert list(pair_folders(RunTree(tmp_path / "run", ("solo",)))) == [tmp_path / "run" / "solo"]
        (tmp_path / "other").mkdir()
        with pytest.raises(UsageRefused, match="cannot be read: Permission denied"):
            run_tree(tmp_path / "other")
