"""Delivery: in one step, repeatable, never over something better, tagged where the infrastructure failed."""

import json
import shutil
from pathlib import Path
from typing import BinaryIO

import pytest

from runner.adapters import cooperbench, result_files
from runner.adapters.cooperbench import CooperbenchFiles, delivered_result, other_results
from runner.adapters.delivery import KEPT, deliver, result_folder
from runner.engine.ports import Quarantined
from runner.model.outcome import Outcome
from tests.unit.test_result_files import SAMPLES, plan, spec

GOOD = Outcome(None, "Submitted", "result.json", 0.02, 6, 9)
BAD = Outcome("provider", "Error", "litellm.InternalServerError: x", 0.0)
CORRUPT = Outcome("corrupt", "", "result.json is not valid JSON", None)
QUARANTINE = Outcome("quarantine", "", "the runner died 2 times while it read this", None)


def attempt(tmp_path: Path, sample: str = "sample") -> Path:
    folder = tmp_path / "attempt"
    shutil.copytree(SAMPLES / sample, folder / "logs" / sample)
    return folder


def test_a_result_is_moved_to_upstreams_layout(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    target = deliver(plan(tmp_path / "logs"), spec("solo"), folder, GOOD, tag=False, keep=False)
    assert target == tmp_path / "logs/sample/solo/toy_task/1/f1_f2"
    assert json.loads((target / "result.json").read_text())["log_dir"] == str(target)
    assert (target / "solo.patch").is_file()
    assert not result_folder(folder / "logs", spec("solo")).exists()


def test_delivering_again_after_a_crash_changes_nothing(tmp_path: Path) -> None:
    folder = attempt(tmp_path)
    first = deliver(plan(tmp_path / "logs"), spec("solo"), folder, GOOD, tag=False, keep=False)
    before = (first / "result.json").read_bytes()
    assert deliver(plan(tmp_path / "logs"), spec("solo"), folder, GOOD, tag=False, keep=False) == first
    assert (first / "result.json").read_bytes() == before


def test_a_final_infrastructure_failure_is_tagged_and_its_attempt_stays(tmp_path: Path) -> None:
    folder, job = attempt(tmp_path, "sample-error"), spec("solo", "sample-error")
    target = deliver(plan(tmp_path / "logs"), job, folder, BAD, tag=True, keep=False)
    values = json.loads((target / "result.json").read_text())
    assert (values["infra_error"], values["infra_class"]) == (True, "provider")
    assert values["agent"]["status"] == "Error"
    assert (result_folder(folder / "logs", job) / "solo_traj.json").is_file()


@pytest.mark.parametrize("setting", ["solo", "coop-comm", "team"])
def test_a_job_without_any_result_gets_one_in_upstreams_shape(setting: str, tmp_path: Path) -> None:
    (tmp_path / "attempt").mkdir()
    target = deliver(plan(tmp_path / "logs"), spec(setting), tmp_path / "attempt", BAD, tag=True, keep=False)
    values = json.loads((target / "result.json").read_text())
    agents = values.get("agents") or {"solo": values["agent"]}
    assert {agent["status"] for agent in agents.values()} == {"Error"}
    assert values["infra_class"] == "provider"


@pytest.mark.parametrize("outcome", [CORRUPT, QUARANTINE], ids=["corrupt", "quarantine"])
@pytest.mark.parametrize("sound", [True, False])
def test_a_rejected_result_file_is_kept_however_often_it_is_delivered(
    sound: bool, outcome: Outcome, tmp_path: Path
) -> None:
    folder = attempt(tmp_path)
    path = result_folder(folder / "logs", spec("solo")) / "result.json"
    if not sound:
        path.write_text('{"half": ')
    before = path.read_bytes()
    for _ in range(2):
        target = deliver(plan(tmp_path / "logs"), spec("solo"), folder, outcome, tag=True, keep=False)
        assert (folder / KEPT).read_bytes() == before
        values = json.loads((target / "result.json").read_text())
        assert (values["infra_class"], values["agent"]["status"]) == (outcome.failure, "Error")


def test_the_trajectories_of_a_delivered_failure_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = spec("solo", "sample-error")
    folder = attempt(tmp_path, "sample-error")
    target = deliver(plan(tmp_path / "logs"), job, folder, BAD, tag=True, keep=False)
    assert (target / "solo_traj.json").is_file()
    opened: list[str] = []
    really = result_files._opened

    def noted(path: Path) -> BinaryIO:
        opened.append(path.name)
        return really(path)

    monkeypatch.setattr(result_files, "_opened", noted)
    assert delivered_result(plan(tmp_path / "logs"), job) is None
    assert opened == ["result.json"]


@pytest.mark.anyio
async def test_who_dies_in_a_delivery_twice_leaves_it_once_and_may_be_asked_for_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for a SIGKILL: nothing after it runs."""

    def kills(*_: object, **__: object) -> Path:
        raise Killed

    folder, files = attempt(tmp_path), CooperbenchFiles(tmp_path)
    with monkeypatch.context() as deadly:
        deadly.setattr(cooperbench, "deliver", kills)
        for expected in (Killed, Killed, Quarantined, Killed):
            with pytest.raises(expected):
                await files.deliver(plan(tmp_path / "logs"), spec("solo"), folder, GOOD, tag=False)
    path = await files.deliver(plan(tmp_path / "logs"), spec("solo"), folder, GOOD, tag=False)
    assert (Path(path) / "result.json").is_file()
    assert not (folder / "delivering").exists()


def test_what_a_new_result_replaces_is_kept_with_the_attempt(tmp_path: Path) -> None:
    target = result_folder(tmp_path / "logs", spec("solo"))
    target.mkdir(parents=True)
    (target / "result.json").write_text("old")
    folder = attempt(tmp_path)
    deliver(plan(tmp_path / "logs"), spec("solo"), folder, GOOD, tag=False, keep=False)
    assert (folder / "replaced" / "result.json").read_text() == "old"


def test_what_was_replaced_is_kept_when_a_crash_has_the_delivery_repeated(tmp_path: Path) -> None:
    target = result_folder(tmp_path / "logs", spec("solo"))
    target.mkdir(parents=True)
    (target / "result.json").write_text("old")
    folder = attempt(tmp_path)
    for _ in range(3):
        # Of a failure a copy is delivered, so that there is something to deliver again.
        deliver(plan(tmp_path / "logs"), spec("solo"), folder, BAD, tag=True, keep=False)
        assert (folder / "replaced" / "result.json").read_text() == "old"
        assert json.loads((target / "result.json").read_text())["infra_class"] == "provider"


@pytest.mark.anyio
async def test_a_failure_never_replaces_a_sound_result(tmp_path: Path) -> None:
    the_plan = plan(tmp_path / "logs")
    deliver(the_plan, spec("solo"), attempt(tmp_path), GOOD, tag=False, keep=False)
    (tmp_path / "second").mkdir()
    files = CooperbenchFiles(tmp_path)
    path = await files.deliver(the_plan, spec("solo"), tmp_path / "second", BAD, tag=True)
    assert json.loads((Path(path) / "result.json").read_text())["agent"]["status"] == "Submitted"


def test_only_a_result_with_the_names_of_its_makers_is_somebody_elses(tmp_path: Path) -> None:
    place = result_folder(tmp_path, spec("solo"))
    place.mkdir(parents=True)
    for broken in ("{}", "[]", '{"model": ["a"], "agent_framework": {}}', '{"model": "other"}'):
        (place / "result.json").write_text(broken)
        assert other_results(plan(tmp_path), spec("solo")) is None
    (place / "result.json").write_text('{"model": "other", "agent_framework": "theirs"}')
    assert other_results(plan(tmp_path), spec("solo")) == (str(place), "other with theirs")
