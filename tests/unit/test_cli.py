import subprocess
import sys
from pathlib import Path

import pytest

from runner import cli
from runner.model.refusal import PreflightRefused, UsageRefused

RUN = ["run", "s", "-m", "openai/gpt-4o"]
LITE = [*RUN, "--subset", "lite"]
REHEARSE = ["run", "s", "--rehearse", "--subset", "lite"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "not-a-program").write_text("#!/bin/sh\n")
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\necho 3.11\n")
    old.chmod(0o755)
    for name, interpreter in (("old", old), ("broken", tmp_path / "nowhere" / "python3")):
        script = tmp_path / f"cooperbench-{name}"
        # As pip writes it for an interpreter with a space in its path.
        script.write_text(f"#!/bin/sh\n'''exec' \"{interpreter}\" \"$0\" \"$@\"\n' '''\n")
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD: list[tuple[list[str], str]] = [
    (["rnu"], "no command 'rnu'; did you mean 'run'?"),
    (["xyzzy"], "no command 'xyzzy'; see coopdeck --help"),
    (["--versoin"], "no flag '--versoin' here; did you mean '--version'?"),
    ([*RUN, "--slotz", "4"], "no flag '--slotz' here; did you mean '--slots'?"),
    ([*RUN, "--slotz=4"], "did you mean '--slots'?"),
    ([*RUN, "two"], "'two' is one word too many"),
    ([*RUN, "--subs", "lite"], "did you mean '--subset'?"),
    ([*RUN, "-c"], "--slots needs a value"),
    (["status", "--", "x"], "only coopdeck run takes arguments after --"),
    (["logs", "s"], "PAIR is missing"),
    (["retry", "--pair", "a/1/f1_f2", "--failed"], "not allowed with argument"),
    (RUN, "pass --subset lite, or --subset all for all 652 pairs"),
    ([*RUN, "--subset", "lit"], "did you mean 'lite'?"),
    ([*RUN, "--repo", "jinga"], "did you mean 'jinja'?"),
    ([*RUN, "--repo", "jinja", "--task", "4"], "has no task 4"),
    ([*RUN, "--task", "x"], "--task must be a whole number"),
    ([*RUN, "--pairs", "jinja/1621"], "'jinja/1621' is not a pair"),
    ([*RUN, "--pairs", "jinja/1621/f1_f99"], "has no feature 99"),
    ([*LITE, "--settings", "sole"], "no setting 'sole'; did you mean 'solo'?"),
    ([*LITE, "--settings", ","], "--settings names nothing"),
    ([*LITE, "--smoke", "0"], "--smoke must be a whole number of 1 or more"),
    (["run", "s", "--subset", "lite"], "no model is named: pass -m MODEL"),
    ([*LITE, "-m", "a\x1b[2J"], "is not a model's name"),
    ([*LITE, "-a", "../x"], "--agent must be an agent's name"),
    ([*LITE, "-c", "0"], "--slots must be a whole number from 1 to 256, not '0'"),
    ([*LITE, "-c", "257"], "not '257'"),
    ([*LITE, "--attempts", "11"], "--attempts must be a whole number from 1 to 10"),
    ([*LITE, "--attempts", "-1"], "--attempts"),
    ([*LITE, "--timeout", "soon"], "--timeout must be a duration"),
    ([*LITE, "--budget", "0"], "--budget must be a number above 0"),
    ([*LITE, "--budget", "nan"], "--budget must be a number above 0"),
    ([*LITE, "--repeats", "100"], "--repeats must be a whole number from 1 to 99"),
    ([*LITE, "--backend", "podman"], "--backend must be one of docker, modal, gcp"),
    ([*LITE, "--agent-config", "no.yaml"], "no.yaml, and there is no such file"),
    ([*LITE, "--redis", "redis://:hush@host"], "--redis holds a password"),
    ([*LITE, "--redis", "redis://host/0?password=hush"], "--redis holds a password"),
    ([*LITE, "--dataset-dir", "nowhere"], "no dataset folder at"),
    ([*LITE, "--log-dir", "not-a-program"], "which is not a folder"),
    (LITE, "there is no cooperbench at"),
    ([*LITE, "--cooperbench", "nowhere"], "there is no cooperbench at"),
    ([*LITE, "--cooperbench", "not-a-program"], "may not be executed"),
    ([*LITE, "--cooperbench", "./cooperbench-old"], "needs Python 3.12 or newer"),
    ([*LITE, "--cooperbench", "./cooperbench-broken"], "does not run"),
    ([*LITE, "--speed", "10"], "--speed is for a rehearsal"),
    ([*REHEARSE, "--speed", "0"], "--speed must be a number above 0"),
    ([*REHEARSE, "--seed", "x"], "--seed must be a whole number"),
    ([*REHEARSE, "--faults", "no.json"], "no.json, and there is no such file"),
    ([*REHEARSE, "--cooperbench", "x"], "exclude each other"),
    ([*REHEARSE, "--detach", "--headless"], "exclude each other"),
    (["run", "../s", *REHEARSE[2:]], "cannot be a sweep's name"),
    (["run", ".", *REHEARSE[2:]], "cannot be a sweep's name"),
    (["run", "a\nb", *REHEARSE[2:]], "cannot be a sweep's name"),
    (["run", "x" * 81, *REHEARSE[2:]], "at most 80 characters"),
    ([*REHEARSE, "--", "--setting", "solo"], "--setting may not stand behind --"),
    ([*REHEARSE, "--", "--nam=x"], "--nam may not stand behind --"),
    ([*REHEARSE, "--", "-nfoo"], "may not stand behind --"),
    ([*REHEARSE, "--", "--auth-token", "hush"], "a secret must not stand in a command line"),
    ([*REHEARSE, "--", "--base-url", "https://me:hush@host"], "holds a password"),
    (["demo", "--speed", "-1"], "--speed"),
    (["demo", "--subset", "lite"], "no flag '--subset' here"),
    (["status"], "there is no sweep in"),
    (["status", "s"], "there is no sweep 's' in"),
    (["report", "../../etc"], "cannot be a sweep's name"),
    (["stop"], "there is no sweep in"),
    (["retry"], "there is no sweep in"),
    (["logs", "s", "jinja/1621/f3_f7"], "there is no sweep 's' in"),
]


@pytest.mark.parametrize(("argv", "says"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_bad_input_is_one_sentence_and_leaves_nothing(
    argv: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("coopdeck: ")
    assert says in err
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    assert "hush" not in err
    assert sorted(folder.rglob("*")) == before


def test_the_same_holds_for_the_program_itself(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "runner.cli", *LITE, "-c", "0"], capture_output=True, text=True, cwd=folder, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "coopdeck: --slots must be a whole number from 1 to 256, not '0'\n"


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["run", "--help"], ["rnu"]])
def test_help_does_not_wait_for_heavy_imports(argv: list[str], folder: Path) -> None:
    code = (
        "import sys\nfrom runner.cli import main\nstatus = main(sys.argv[1:])\n"
        "heavy = {'litellm', 'docker', 'textual', 'rich', 'msgspec', 'pydantic', 'anyio', 'openai', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\nraise SystemExit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=folder, timeout=60)
    assert done.stderr.splitlines()[-1] == "[]"
    assert done.returncode == (2 if argv == ["rnu"] else 0)


def test_attaching_imports_nothing_that_only_a_runner_needs() -> None:
    """Imports are nearly all of the half second that it may take; pydantic alone is a fifth of one."""
    code = (
        "import sys, runner.commands.attach, tui.app\n"
        "heavy = {'litellm', 'docker', 'pydantic', 'openai', 'tomllib', 'runner.daemon', 'tui.patch', 'tui.steps'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UsageRefused("no\nsuch \x1b[31mthing"), 2, "coopdeck: no such ?[31mthing\n"),
        (PreflightRefused("Docker is down"), 3, "coopdeck: Docker is down\n"),
        (ExceptionGroup("tasks", [UsageRefused("wrapped")]), 2, "coopdeck: wrapped\n"),
        (PermissionError(13, "Permission denied", "/x"), 3, "coopdeck: /x: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("tasks", [KeyboardInterrupt()]), 130, ""),
    ],
)
def test_what_a_command_raises_becomes_an_exit_status(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("runner.commands.ls.execute", fail)
    assert cli.main(["ls"]) == status
    assert capsys.readouterr().err == says


def test_a_mistake_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise AssertionError

    monkeypatch.setattr("runner.commands.ls.execute", fail)
    with pytest.raises(AssertionError):
        cli.main(["ls"])


def test_looking_changes_nothing(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    assert cli.main([]) == 0
    assert cli.main(["ls"]) == 0
    assert "no sweep in" in capsys.readouterr().out
    assert cli.main(["ls", "--json"]) == 0
    assert capsys.readouterr().out == ""
    assert sorted(folder.rglob("*")) == before


def test_a_reader_that_has_enough_is_no_error(folder: Path) -> None:
    script = f"{sys.executable} -m runner.cli run s --subset all -m m --dry-run | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sweep s\n", "")


@pytest.mark.parametrize("closed", [">&-", "<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_are_no_error(closed: str, folder: Path) -> None:
    how = "run s --rehearse --speed 9000 --subset lite --smoke 1 --settings solo"
    script = f"{sys.executable} -P -m runner.cli {how} {closed}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=folder, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "logs/s-solo/summary.json").is_file()
