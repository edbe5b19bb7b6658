"""cooperbench's environment is there whole or not at all, and says of itself what it is."""

import json
from pathlib import Path

import pytest

from runner.adapters.dataset import missing_texts, read_dataset
from runner.adapters.environment import Environment, Wanted, answers, free_bytes
from runner.adapters.following import Ended, follow
from runner.commands.setup_environment import Downloads, reason
from tests.e2e.dataset import write_dataset


def install(folder: Path, version: str = "0.0.29", editable: Path | None = None, script: str = "exit 0") -> Path:
    metadata = folder / "lib" / "python3.12" / "site-packages" / f"cooperbench-{version}.dist-info"
    metadata.mkdir(parents=True)
    if editable is not None:
        told = {"url": editable.as_uri(), "dir_info": {"editable": True}}
        (metadata / "direct_url.json").write_text(json.dumps(told))
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.12.1\n")
    (folder / "bin").mkdir()
    program = folder / "bin" / "cooperbench"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / ".coopdeck")


def test_a_build_is_nothing_until_it_is_adopted(environment: Environment) -> None:
    build = install(environment.new_build(Wanted("0.0.29")))
    assert environment.read() is None
    environment.adopt(build)
    there = environment.read()
    assert there is not None
    assert (there.version, there.editable, there.python) == ("0.0.29", None, "3.12.1")
    assert there.meets(Wanted("0.0.29"))
    assert not there.meets(Wanted("0.0.30"))


def test_what_was_replaced_and_what_was_begun_is_removed_and_the_one_in_use_stays(environment: Environment) -> None:
    for version in ("1", "2"):
        environment.adopt(install(environment.new_build(Wanted(version)), version))
    environment.new_build(Wanted("3")).mkdir()
    environment.tidy()
    assert [path.name for path in environment.builds.iterdir()] == ["2-1"]
    there = environment.read()
    assert there is not None
    assert there.version == "2"


def test_an_environment_made_by_hand_gives_way(environment: Environment) -> None:
    install(environment.link, "0.0.28")
    there = environment.read()
    assert there is not None
    assert there.version == "0.0.28"
    environment.adopt(install(environment.new_build(Wanted("0.0.29"))))
    environment.tidy()
    there = environment.read()
    assert there is not None
    assert there.version == "0.0.29"
    assert len(list(environment.builds.iterdir())) == 1


def test_a_clone_that_is_patched_is_known_by_its_folder(environment: Environment, tmp_path: Path) -> None:
    clone = tmp_path / "my clone"
    environment.adopt(install(environment.new_build(Wanted("", clone)), "0.0.30.dev1", clone))
    there = environment.read()
    assert there is not None
    assert there.meets(Wanted("0.0.29", clone))
    assert not there.meets(Wanted("0.0.30.dev1"))
    assert not there.meets(Wanted("0.0.30.dev1", tmp_path))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 0", ""),
        ("echo Traceback >&2; echo \"ModuleNotFoundError: No module named 'litellm'\" >&2; exit 1", "'litellm'"),
        ("exit 7", "exit status 7"),
    ],
)
def test_whether_it_answers(script: str, says: str, tmp_path: Path) -> None:
    program = install(tmp_path / "env", script=script) / "bin" / "cooperbench"
    why = answers(program, {}, tmp_path)
    assert (why == "") == (says == "")
    assert says in why


def test_a_script_whose_python_is_gone_does_not_answer(tmp_path: Path) -> None:
    program = install(tmp_path / "env") / "bin" / "cooperbench"
    program.write_text(f"#!{tmp_path}/gone/python\n")
    assert "cannot be run" in answers(program, {}, tmp_path)


def test_free_room_is_told_of_a_folder_that_is_not_made_yet(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "a" / "b") == pytest.approx(free_bytes(tmp_path), rel=0.1)


def test_a_dataset_lacks_what_is_missing_or_empty(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "dataset")
    index = read_dataset(root)
    assert missing_texts(root, index) == []
    gone, empty = root / "toy_task/task1/feature2/tests.patch", root / "toy_task/task2/feature3/feature.md"
    gone.unlink()
    empty.write_text("")
    assert missing_texts(root, index) == [gone, empty]


def test_upstreams_whole_dataset_is_what_an_empty_folder_lacks(tmp_path: Path) -> None:
    assert len(missing_texts(tmp_path, read_dataset())) > 300


def test_a_program_is_followed_line_by_line_with_passwords_masked(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "printf 'one\\rtwo\\n'; echo https://me:secret@mirror.test/simple >&2; printf end; exit 3"
    ended = follow(["/bin/sh", "-c", script], environ={}, cwd=tmp_path, line=lines.append, tick=lambda: None)
    assert lines == ["one", "two", "https://***@mirror.test/simple", "end"]
    assert ended == Ended(3, tuple(lines))


def test_a_program_does_not_outlive_the_one_who_follows_it(tmp_path: Path) -> None:
    pids: list[str] = []

    def line(text: str) -> None:
        pids.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(
            ["/bin/sh", "-c", "echo $$; exec sleep 600"],
            environ={"PATH": "/usr/bin:/bin"}, cwd=tmp_path, line=line, tick=lambda: None,
        )  # fmt: skip
    assert not Path("/proc", pids[0]).exists()


UV_FAILS = (
    "Using Python 3.12.1 environment at: env",
    "error: No solution found when resolving dependencies",
    "  cause: Because there is no version of cooperbench==9.9.9, it is unsatisfiable.",
)


def test_uvs_reason_is_one_line() -> None:
    assert reason(Ended(1, UV_FAILS)) == (
        "No solution found when resolving dependencies; "
        "Because there is no version of cooperbench==9.9.9, it is unsatisfiable"
    )
    assert reason(Ended(1, ("  × No solution found:", "  ╰─▶ Because", "      of that."))) == (
        "No solution found:; Because; of that"
    )
    assert reason(Ended(9, ())) == "exit status 9"


def test_an_installation_is_told_in_few_words() -> None:
    downloads = Downloads("cooperbench 0.0.29")
    said = [downloads.after(line) for line in (
        "Resolved 216 packages in 20s", "Downloading lxml (5.0MiB)", "Downloading grpcio (7.0MiB)", " Downloaded lxml"
    )]  # fmt: skip
    assert said[0] == "installing cooperbench 0.0.29: 216 packages"
    assert said[-1] == "installing cooperbench 0.0.29: 216 packages, 1 of 2 large ones fetched - lxml"
