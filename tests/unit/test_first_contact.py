"""What is quickly seen of a machine before the first sweep."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from runner import cli
from runner.commands import first_contact
from runner.commands.first_contact import looked_at, nothing_set_up
from tests.e2e.dataset import write_dataset
from tests.unit.test_environment import install


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in os.environ:
        if name.startswith("COOPDECK_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    return project


def seen(folder: Path, **environ: str) -> dict[str, tuple[bool, str]]:
    return {name: (there, says) for name, there, says in looked_at(folder, environ)}


def docker(folder: Path, script: str) -> None:
    program = folder.parent / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_of_an_empty_machine_everything_is_missing(folder: Path) -> None:
    found = seen(folder)
    assert [there for there, _ in found.values()] == [False] * 4
    assert "no docker program" in found["docker"][1]
    assert nothing_set_up(folder)


def test_of_a_machine_that_is_ready_nothing(folder: Path) -> None:
    install(folder / ".coopdeck" / "env")
    write_dataset(folder.parent / "mine")
    (folder / "coopdeck.toml").write_text(f'[run]\ndataset_dir = "{folder.parent / "mine"}"\n')
    (folder / ".env").write_text("# keys\nexport COHERE_API_KEY=x\n")
    docker(folder, "echo 27.1")
    found = seen(folder)
    assert [there for there, _ in found.values()] == [True] * 4, found
    assert found["key"][1] == "COHERE_API_KEY in .env"
    assert found["docker"][1] == "Engine 27.1 answers"
    assert not nothing_set_up(folder)


def test_what_is_there_in_part_is_missing(folder: Path) -> None:
    (folder / "dataset" / "pallets_jinja_task").mkdir(parents=True)
    (folder / ".env").write_text("OPENAI_API_KEY=\n# COHERE_API_KEY=x\n")
    docker(folder, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    found = seen(folder, OPENAI_API_KEY="")
    assert [there for there, _ in found.values()] == [False] * 4
    assert "files are missing" in found["dataset"][1]
    assert found["docker"][1] == "Cannot connect to the Docker daemon"


def test_a_cooperbench_that_is_named_counts(folder: Path) -> None:
    program = install(folder.parent / "elsewhere") / "bin" / "cooperbench"
    assert seen(folder, COOPDECK_COOPERBENCH=str(program))["cooperbench"] == (True, str(program))


def test_without_a_terminal_it_is_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("missing  cooperbench")
    assert "coopdeck setup" in lines[-1]


@pytest.mark.anyio
async def test_setup_behind_the_screen_writes_to_its_log_and_ends_when_it_is_cancelled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_contact, "COOPDECK", ("/bin/sh", "-c", 'echo "$0 $$"; exec /bin/sleep 600'))
    set_up = first_contact.SetUp(folder)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(set_up)
        with anyio.fail_after(40):
            while not set_up.log.exists() or not set_up.log.read_text().endswith("\n"):
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()
    command, pid = set_up.log.read_text().split()
    assert command == "setup"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--version", "0.0.29; rm"], "--version must be a version of cooperbench"),
        (["--version", "0.0.29", "--editable", "."], "exclude each other"),
        (["--editable", "."], "which is no clone of cooperbench"),
        (["--python", "./nowhere"], "which is no Python that runs"),
        (["--dataset-dir", "nowhere"], "there is no dataset folder at"),
        (["--dataset-dir", "part"], "2 files of its features are missing or empty"),
    ],
)
def test_what_setup_cannot_do_is_refused_before_it_begins(
    flags: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = write_dataset(folder / "part") / "toy_task" / "task1"
    (part / "feature1" / "feature.md").unlink()
    (part / "feature2" / "tests.patch").unlink()
    assert cli.main(["setup", *flags]) == 2
    assert says in capsys.readouterr().err
    assert not (folder / ".coopdeck").exists()


def test_setup_on_a_full_disk_says_how_much_it_needs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.commands.setup_environment.free_bytes", lambda _: 200_000_000)
    assert cli.main(["setup"]) == 3
    assert "about 1 GB is needed for cooperbench" in capsys.readouterr().err


def test_help_of_setup_is_light(folder: Path) -> None:
    script = "import sys; from runner import cli; cli.main(['setup', '--help']); print('litellm' in sys.modules)"
    ran = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("False\n")
