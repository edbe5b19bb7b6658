import json
import os
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
    (tmp_path / "leads-nowhere").symlink_to("gone")
    (tmp_path / "deep.json").write_text("[" * 100_000)
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
    (["logs"], "SWEEP, PAIR are missing"),
    (["open", "x" * 5000], "there is no folder xxx"),
    (["setup", "--python", ""], "--python names ''"),
    (["doctor", "--redis", "redis://:hush@host"], "--redis holds a password"),
    ([*LITE, "--", "stray"], "'stray' behind -- is no flag"),
    ([*LITE, "--", "--base-url"], "--base-url behind -- needs a value"),
    (["retry", "--pair", "a/1/f1_f2", "--failed"], "--failed and --pair exclude each other"),
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
    ([*LITE, "--cooperbench", "nowhere"], "there is no cooperbench at"),
    ([*LITE, "--cooperbench", "x" * 5000], "there is no cooperbench at"),
    ([*LITE, "--agent-config", "~nobody-of-that-name/a.yaml"], "--agent-config names "),
    ([*LITE, "--agent-config", "x" * 5000], "and there is no such file; name another"),
    ([*LITE, "--dataset-dir", "x" * 5000], "no dataset folder at"),
    ([*LITE, "--redis", "redis://localhost:99999"], "'redis://localhost:99999' is no address of a Redis"),
    ([*LITE, "--redis", "redis://["], "--redis is not an address: 'redis://['; correct it"),
    ([*LITE, "--timeout", "1e400"], "--timeout must be a duration"),
    ([*LITE, "-c", "9" * 400], "--slots must be a whole number from 1 to 256"),
    ([*LITE, "--pairs", "jinja/1621/f" + "9" * 5000 + "_f2"], "_f2' is not a pair"),
    ([*LITE, "--task", "9" * 400], "--task must be a whole number"),
    ([*RUN, "--subset", "lite\udcff"], "is no text in UTF-8"),
    (["run", "\udcff", *REHEARSE[2:]], "is no text in UTF-8"),
    (["run", "", *REHEARSE[2:]], "'' cannot be a sweep's name"),
    ([*REHEARSE, "--faults", "~nobody-of-that-name/f.json"], "--faults names "),
    ([*REHEARSE, "--faults", "deep.json"], "deep.json is not valid JSON"),
    (["demo", "--faults", "~nobody-of-that-name/f.json"], "--faults names "),
    (["doctor", "--agent-config", "nowhere.yaml"], "--agent-config names "),
    (["setup", "--editable", "~nobody-of-that-name"], "which is no clone of cooperbench"),
    (["setup", "--dataset-dir", "~nobody-of-that-name"], "no dataset folder at"),
    (["images", "--dataset-dir", "~nobody-of-that-name"], "no dataset folder at"),
    (["images", "pul"], "WHAT must be one of list, pull, verify, prune, not 'pul'\n"),
    (["open", "nowhere"], "nowhere"),
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
    ([*REHEARSE, "--", "--team-no-such"], "upstream's run has no flag --team-no-such, which stands behind --"),
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


LACKING: list[tuple[list[str], str]] = [
    (LITE, "there is no cooperbench at"),
    ([*LITE, "--cooperbench", "not-a-program"], "may not be executed"),
    ([*LITE, "--cooperbench", "./cooperbench-old"], "needs Python 3.12 or newer"),
    ([*LITE, "--cooperbench", "./cooperbench-broken"], "does not run"),
    ([*REHEARSE, "--log-dir", "/proc/self/logs"], "/proc/self/logs cannot be written: "),
    ([*REHEARSE, "--log-dir", "not-a-program/logs"], "not-a-program/logs cannot be written: Not a directory"),
    ([*REHEARSE, "--log-dir", "leads-nowhere"], "cannot be written: it is a link that leads nowhere; run coopdeck in"),
]
"""What the command means is clear: the machine has not got it."""


@pytest.mark.parametrize(
    ("argv", "says", "status"),
    [(*case, 2) for case in BAD] + [(*case, 3) for case in LACKING],
    ids=[ascii(" ".join(argv))[:90] for argv, _ in BAD + LACKING],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    argv: list[str], says: str, status: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert cli.main(argv) == status
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


def test_a_folder_that_is_gone_or_that_no_ledger_could_name_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff")
    odd.mkdir()
    monkeypatch.chdir(odd)
    assert cli.main(REHEARSE) == 3
    assert "is no text in UTF-8" in capsys.readouterr().err
    odd.rmdir()
    assert cli.main(["ls"]) == 3
    assert capsys.readouterr().err == "coopdeck: the folder you stand in is gone; go into another one\n"


def test_what_the_terminals_encoding_has_not_ends_no_command(folder: Path) -> None:
    pair = folder / "logs" / "run" / "solo" / "toy_task" / "1" / "f1_f2"
    pair.mkdir(parents=True)
    result = {"agent": {"status": "Error", "error": "caf\xe9 \u65e5"}}
    (pair / "result.json").write_text(json.dumps(result))
    command = [sys.executable, "-P", "-m", "runner.cli", "open", "logs/run"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, env=environment)
    assert (done.returncode, done.stderr) == (1, "")
    assert "toy/1 f1 f2" in done.stdout


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


def test_a_demo_that_cannot_be_meant_leaves_the_last_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = folder / ".coopdeck" / "demo" / "logs" / "command-a-solo"
    last.mkdir(parents=True)
    for argv in (["--faults", "nowhere.json"], ["--faults", "deep.json"], ["--settings", "sole"], ["-c", "0"]):
        assert cli.main(["demo", *argv]) == 2
        assert capsys.readouterr().err.startswith("coopdeck: ")
    assert last.is_dir()


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
