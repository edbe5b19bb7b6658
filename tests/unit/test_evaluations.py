"""What `eval.json` tells: of a result, and of an evaluation that went wrong, which must not pass for a verdict."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.cooperbench import CooperbenchFiles, command
from runner.adapters.delivery import KEPT_EVAL, deliver, result_folder
from runner.adapters.evaluations import EVAL, deliver_evaluation, read_tested, stage, with_evaluations
from runner.model.board import Board
from runner.model.outcome import Evaluation, Outcome, Verdict
from runner.model.reduce import with_rows
from runner.model.rows import JobRow
from runner.model.summary import summarise, table
from tests.unit.test_result_files import SAMPLES, plan, spec

RESULT = Outcome(None, "Submitted", "result.json", 0.02, 6, 9)


def attempt(tmp_path: Path) -> Path:
    """A real evaluated attempt's result folder, in the attempt's own."""
    shutil.copytree(SAMPLES / "sample", tmp_path / "attempt/logs/sample")
    return result_folder(tmp_path / "attempt/logs", spec("solo"))


@pytest.mark.parametrize("setting", ["solo", "coop-comm"])
def test_a_real_evaluation_is_read(setting: str) -> None:
    folder = result_folder(SAMPLES, spec(setting))
    both = json.loads((folder / EVAL).read_text())["both_passed"]
    tested = read_tested(folder)
    assert tested is not None
    assert (tested.verdict == "passed", len(tested.passed)) == (both, 2)


@pytest.mark.parametrize(
    ("tested", "verdict", "label"),
    [
        (Evaluation((True, True)), "passed", "both passed"),
        (Evaluation((True, False)), "partly", "1 of 2 passed"),
        (Evaluation((False, False)), "failed", "0 of 2 passed"),
        (Evaluation((True, True, True)), "passed", "3 of 3 passed"),
        (Evaluation((True, True), "no SHA"), "error", "eval failed"),
        (Evaluation(), "error", "eval failed"),
    ],
)
def test_the_words_for_a_verdict(tested: Evaluation, verdict: Verdict, label: str) -> None:
    assert (tested.verdict, tested.label) == (verdict, label)


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.text(max_size=4),
    lambda inner: st.dictionaries(st.sampled_from(["error", "feature1", "feature2", "passed"]), inner, max_size=4),
).map(lambda values: json.dumps(values).encode()))  # fmt: skip
def test_any_file_is_a_verdict_or_an_error(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / EVAL).write_bytes(body)
    tested = read_tested(folder)
    assert tested is not None
    assert tested.error or len(tested.passed) == 2


@pytest.mark.anyio
async def test_an_attempt_without_its_evaluation_is_a_result_and_says_so(tmp_path: Path) -> None:
    folder, job = attempt(tmp_path), spec("solo")
    files, wanted = CooperbenchFiles(tmp_path), replace(plan(tmp_path), evaluate=True)
    there = await files.read(wanted, job, tmp_path / "attempt", 0)
    assert there.tested is not None
    assert not there.tested.error
    (folder / EVAL).unlink()
    (tmp_path / "attempt/output.log").write_text("Traceback ...\ndocker.errors.NotFound: no such image\n")
    missing = await files.read(wanted, job, tmp_path / "attempt", 1)
    assert missing.is_result
    assert missing.tested == Evaluation(
        error="the evaluation left no eval.json; it said last: docker.errors.NotFound: no such image"
    )
    assert (await files.read(plan(tmp_path), job, tmp_path / "attempt", 0)).tested is None


@pytest.mark.parametrize("error", [None, "Failed to get base commit SHA"])
def test_an_evaluation_is_delivered_with_its_result_unless_it_went_wrong(tmp_path: Path, error: str | None) -> None:
    folder = attempt(tmp_path)
    values = json.loads((folder / EVAL).read_text())
    (folder / EVAL).write_text(json.dumps(values | {"error": error}))
    target = deliver(plan(tmp_path / "logs"), spec("solo"), tmp_path / "attempt", RESULT, tag=False, keep=False)
    assert (target / "result.json").is_file()
    assert (target / EVAL).is_file() == (error is None)
    assert (tmp_path / "attempt" / KEPT_EVAL).is_file() == (error is not None)


def test_staged_and_delivered_an_evaluation_changes_nothing_else(tmp_path: Path) -> None:
    source = attempt(tmp_path)
    before = (source / EVAL).read_bytes()
    staged = result_folder(tmp_path / "staged", spec("solo"))
    stage(source, staged)
    assert {path.name for path in staged.iterdir()} == {"result.json", "solo.patch"}
    (staged / EVAL).write_bytes(before + b" ")
    deliver_evaluation(staged, source)
    assert (source / EVAL).read_bytes() == before + b" "
    assert not list(source.glob(".*"))


def test_a_report_counts_what_stands_beside_the_results_now(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    rows = (
        JobRow(spec("solo"), "done", outcome=RESULT, delivered=str(folder)),
        JobRow(replace(spec("solo"), id=spec("coop-comm").id), "done", outcome=RESULT, delivered=str(tmp_path)),
    )
    tested = read_tested(folder)
    assert tested is not None
    summary = summarise(with_evaluations(with_rows(Board(), rows)), 0.0)
    assert {verdict: count for verdict, count in summary.total.tests.items() if count} == {tested.verdict: 1, "none": 1}
    assert "1 not evaluated" in table(summary)


def test_only_a_plan_that_asks_for_it_lets_upstream_evaluate() -> None:
    asked, job = replace(plan(Path("logs")), evaluate=True), spec("solo")
    assert "--no-auto-eval" in command(plan(Path("logs")), job, Path("x"))
    assert "--no-auto-eval" not in command(asked, job, Path("x"))
