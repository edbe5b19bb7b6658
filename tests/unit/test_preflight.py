"""What is missing on the machine is said in one sentence with its remedy, before anything is spent."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from runner.adapters.ping import Asked, Told
from runner.commands.preflight import check_ready
from runner.model.plan import Plan
from runner.model.refusal import PreflightRefused
from tests.unit.fakes import jobs, the_plan

ANSWERED = {
    "model": "m", "provider": "openai", "missing": [], "priced": True, "asked": True, "error": None, "seconds": 0.1,
    "api_base": None, "api_base_from": None,
}  # fmt: skip
HELP = "--no-auto-eval --agent-config --setting"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the dataset and a cooperbench, whose `docker` the test writes; models answer."""
    for task, feature in product((1, 2), (1, 2)):
        text = tmp_path / "dataset" / "toy_task" / f"task{task}" / f"feature{feature}" / "feature.md"
        text.parent.mkdir(parents=True)
        text.write_text("**Title**")
    script(tmp_path / "cooperbench", f"echo '{HELP}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    asked(monkeypatch, lambda asked: Told({}, tuple(ANSWERED | {"model": model} for model in asked.models)))
    return tmp_path


def asked(monkeypatch: pytest.MonkeyPatch, told: Callable[[Asked], Told]) -> None:
    monkeypatch.setattr("runner.checks.models.ask_models", lambda program, asked, environment, folder: told(asked))


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def docker(machine: Path, version: str = "20.10.24") -> None:
    script(machine / "docker", f"""echo '{{"Version": "{version}"}}'""")


def plan(machine: Path, **changes: object) -> Plan:
    how: dict[str, object] = {"agent": "mini_swe_agent_v2", "logs_dir": str(machine / "logs")}
    how |= {"dataset_dir": str(machine / "dataset"), "program": (str(machine / "cooperbench"),)}
    return replace(the_plan(rehearsal=None), **how | changes)  # type: ignore[arg-type]


def ready(machine: Path, count: int = 2, *, ping: bool = True, **changes: object) -> None:
    check_ready(plan(machine, **changes), jobs(count), machine, ping=ping)


def test_a_machine_with_all_of_it_is_ready(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docker(machine)
    ready(machine)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("docker", "says"),
    [
        (None, "no docker program in PATH; install Docker"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "does not answer: Cannot connect.*systemctl start"),
        ("echo 'permission denied while trying to connect' >&2; exit 1", "may not use the Docker Engine.*usermod"),
        ("exit 1", "does not answer"),
        ("""echo '{"Version": "19.3.1"}'""", "is 19.3.1, older than 20.10; upgrade it"),
    ],
)
def test_without_a_docker_engine_it_is_refused(docker: str | None, says: str, machine: Path) -> None:
    if docker is not None:
        script(machine / "docker", docker)
    with pytest.raises(PreflightRefused, match=says):
        ready(machine)


def test_a_docker_engine_that_hangs_is_not_waited_for(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.checks.docker.ANSWER_S", 0.2)
    script(machine / "docker", "exec /bin/sleep 60")
    with pytest.raises(PreflightRefused, match=r"did not answer within 0.2 s; see whether it is well"):
        ready(machine)


def test_another_backend_needs_no_docker_here(machine: Path) -> None:
    ready(machine, backend="modal")


def test_a_pair_that_the_dataset_lacks_is_named_with_the_remedy(machine: Path) -> None:
    docker(machine)
    with pytest.raises(PreflightRefused, match=r"toy_task/task3; download it with '.*cooperbench prepare'"):
        ready(machine, 3)


def test_a_text_that_an_interrupted_download_left_out_is_named(machine: Path) -> None:
    docker(machine)
    (machine / "dataset" / "toy_task" / "task2" / "feature1" / "feature.md").unlink()
    with pytest.raises(PreflightRefused, match=r"toy_task/task2/feature1/feature.md; download it with"):
        ready(machine)


def test_a_program_that_is_not_cooperbench_is_refused(machine: Path) -> None:
    docker(machine)
    script(machine / "ls", "echo 'unrecognized option' >&2; exit 2")
    with pytest.raises(PreflightRefused, match=r"does not answer as cooperbench does: unrecognized option"):
        ready(machine, program=(str(machine / "ls"),))


def test_a_flag_behind_the_dashes_that_upstream_has_not_is_refused(machine: Path) -> None:
    docker(machine)
    ready(machine, extra=())
    with pytest.raises(PreflightRefused, match=r"knows no flag --team-no-such, which stands behind --; correct it"):
        ready(machine, extra=("--agent=x", "--team-no-such"))


def test_a_redis_that_is_not_there_yet_is_said(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    docker(machine)
    check_ready(plan(machine, redis="redis://127.0.0.1:1"), jobs(1, "coop-comm"), machine)
    assert "no Redis answers: 127.0.0.1:1 cannot be reached: Connection refused; start it" in capsys.readouterr().err


def test_a_model_that_does_not_answer_is_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker(machine)
    asked(monkeypatch, lambda asked: Told({}, (ANSWERED | {"model": "m", "missing": ["TOY_API_KEY"]},)))
    with pytest.raises(PreflightRefused, match=r"no key for m: TOY_API_KEY is not set; export TOY_API_KEY, or put"):
        ready(machine)
    asked(monkeypatch, lambda asked: Told({}, (), "ModuleNotFoundError: No module named 'litellm'"))
    with pytest.raises(PreflightRefused, match=r"m could not be asked: ModuleNotFoundError"):
        ready(machine)


def test_an_agent_configuration_that_nobody_can_use_is_named_with_its_own_remedy(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker(machine)
    says = "the agent configuration a.yaml cannot be used: it should hold mappings"
    asked(monkeypatch, lambda asked: Told({}, (), says))
    with pytest.raises(PreflightRefused, match=r"a.yaml cannot be used: .*; mend it, or name another with --agent-c"):
        ready(machine)


def test_a_doubt_is_said_and_holds_nothing_up(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(machine)
    monkeypatch.setenv("COOPDECK_SLOT", "3")
    asked(monkeypatch, lambda asked: Told({}, (ANSWERED | {"model": "m", "priced": False},)))
    ready(machine)
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "coopdeck: coopdeck reads no variable COOPDECK_SLOT; did you mean 'COOPDECK_SLOTS'?"
    assert err[1].startswith("coopdeck: litellm has no price for m: ")


def test_a_rehearsal_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check_ready(the_plan(), jobs(9), tmp_path)
    assert list(tmp_path.iterdir()) == []
