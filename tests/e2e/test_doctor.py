"""`coopdeck doctor` on machines that are broken in one way each: the right line, its remedy, and the exit status."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.checks.machine import check_clock
from runner.checks.wanted import Wanted
from tests.e2e.dataset import write_dataset
from tests.ports import closed_port

HELP = "--no-auto-eval --agent-config --setting"
GOOD_DOCKER = """
case "$1 $2" in
  "version "*) echo '{"Version": "20.10.24"}' ;;
  "info "*) echo '{"Driver": "overlay2", "DockerRootDir": "/nowhere"}' ;;
  "image inspect") echo sha256:1 akhatua/cooperbench-toy:task1; echo sha256:2 akhatua/cooperbench-toy:task2 ;;
  *) exit 1 ;;
esac
"""


@dataclass
class Machine:
    """A whole one, of stubs: every test takes one thing away from it."""

    folder: Path
    environment: dict[str, str]

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def program(self, name: str, script: str) -> Path:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def python(self, version: str, cooperbench: str | None) -> None:
        """A cooperbench in an environment whose Python says of itself what it is told to."""
        told: dict[str, object] = {
            "type": "python",
            "python": version,
            "cooperbench": cooperbench,
            "litellm": "1.106",
            "agents": ["codex", "mini_swe_agent_v2"],
            "dotenv": [],
        }
        interpreter = self.program(
            "python3.12",
            f"""case "$1" in -S) echo {version.rpartition(".")[0]} ;; -P) echo '{json.dumps(told)}' ;;"""
            f" *) echo '{HELP}' ;; esac",
        )
        path = self.program("cooperbench", "")
        path.write_text(f"#!{interpreter}\n")

    def doctor(self, *arguments: str, before: str = "") -> "Seen":
        """`before` is what a shell does first, like setting a limit."""
        command = [sys.executable, "-P", "-m", "runner.cli", "doctor", "--json"]
        command += ["--cooperbench", str(self.folder / "bin" / "cooperbench"), "--subset", "toy"]
        command += ["--dataset-dir", str(self.folder / "dataset"), "--settings", "solo", *arguments]
        script = f'{before}\nexec "$@"'
        ran = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *command],
            cwd=self.project, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=240, check=False, start_new_session=True,
        )  # fmt: skip
        lines = [json.loads(line) for line in ran.stdout.splitlines()]
        assert lines, ran.stderr
        return Seen(ran.returncode, [line for line in lines if line["type"] == "check"])


@dataclass
class Seen:
    status: int
    checks: list[dict[str, str]]

    def of(self, check: str) -> dict[str, str]:
        return next(line for line in self.checks if line["check"] == check)

    @property
    def failed(self) -> set[str]:
        return {line["check"] for line in self.checks if line["verdict"] == "fail"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    for name in ("bin", "project", "tmp", "run"):
        (tmp_path / name).mkdir()
    write_dataset(tmp_path / "dataset")
    (tmp_path / "run").chmod(0o700)
    kept = {name: os.environ[name] for name in ("LANG", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
    environment = kept | {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "TMPDIR": str(tmp_path / "tmp"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"), "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }  # fmt: skip
    made = Machine(tmp_path, environment)
    made.program("docker", GOOD_DOCKER)
    made.python("3.12.1", "0.0.29")
    yield made
    # What a test has made untouchable, pytest must be able to remove.
    for path in (made.project, tmp_path):
        path.chmod(0o755)


def test_a_whole_machine_is_ready(machine: Machine) -> None:
    seen = machine.doctor()
    assert (seen.status, seen.failed) == (0, set())
    assert seen.of("cooperbench")["says"].startswith("cooperbench 0.0.29 on Python 3.12.1")
    assert [line["check"] for line in seen.checks] == [
        "cooperbench", "command line", "dataset", "model", "environment", "docker", "storage", "images", "git server",
        "redis", "folders", "limits", "clock", "terminal", "logout",
    ]  # fmt: skip


def broken(seen: Seen, check: str, says: str, remedy: str) -> None:
    """Exactly one check fails, with the right words."""
    line = seen.of(check)
    assert seen.failed == {check}
    assert seen.status == 3
    assert says in line["says"]
    assert remedy in line["remedy"] or remedy in line["says"]


def test_no_docker_program(machine: Machine) -> None:
    (machine.folder / "bin" / "docker").unlink()
    # Only what the doctor itself needs of the system's programs.
    machine.environment["PATH"] = str(machine.folder / "bin")
    for name in ("sh", "env"):
        (machine.folder / "bin" / name).symlink_to(str(shutil.which(name)))
    broken(machine.doctor(), "docker", "there is no docker program in PATH", "install Docker")


@pytest.mark.parametrize(
    ("script", "says", "remedy"),
    [
        ("echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1",
         "does not answer: Cannot connect", "sudo systemctl start docker"),
        ("echo 'Got permission denied while trying to connect to the Docker daemon socket' >&2; exit 1",
         "you may not use the Docker Engine", "usermod -aG docker"),
        ("echo 'Error response from daemon: client version 1.48 is too new. Maximum supported 1.24' >&2; exit 1",
         "client version 1.48 is too new", "upgrade the older of the two"),
        ("""echo '{"Version": "18.09.1"}'""", "older than 20.10", "upgrade it"),
    ],
    ids=["no engine", "no permission", "too new", "too old"],
)  # fmt: skip
def test_a_docker_engine_that_does_not_serve(script: str, says: str, remedy: str, machine: Machine) -> None:
    machine.program("docker", script)
    broken(machine.doctor(), "docker", says, remedy)


def test_the_real_docker_program_without_an_engine(machine: Machine) -> None:
    real = shutil.which("docker")
    if real is None:
        pytest.skip("no docker program on PATH")
    (machine.folder / "bin" / "docker").unlink()
    (machine.folder / "bin" / "docker").symlink_to(real)
    machine.environment["DOCKER_HOST"] = f"unix://{machine.folder}/none.sock"
    broken(machine.doctor(), "docker", "does not answer", "sudo systemctl start docker")


def test_the_real_docker_program_and_a_socket_of_another_user(machine: Machine) -> None:
    real, become = shutil.which("docker"), shutil.which("setpriv")
    if real is None or become is None or os.getuid() != 0:
        pytest.skip("needs the docker program, setpriv, and root to be another user")
    # Not below pytest's folder, which is closed to that user.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        Path(folder).chmod(0o755)
        listening.bind(f"{folder}/d.sock")
        listening.listen()
        Path(folder, "d.sock").chmod(0o600)
        machine.environment |= {"DOCKER_HOST": f"unix://{folder}/d.sock", "DOCKER_CONFIG": f"{folder}/none"}
        machine.program("docker", f'exec {become} --reuid=65534 --regid=65534 --clear-groups {real} "$@"')
        broken(machine.doctor(), "docker", "you may not use the Docker Engine", "usermod -aG docker")


def test_an_old_python(machine: Machine) -> None:
    machine.python("3.11.7", "0.0.29")
    broken(machine.doctor(), "cooperbench", "needs Python 3.12 or newer, and", "coopdeck setup")


def test_no_cooperbench(machine: Machine) -> None:
    (machine.folder / "bin" / "cooperbench").unlink()
    broken(machine.doctor(), "cooperbench", "there is no cooperbench at", "coopdeck setup")


def test_a_python_program_that_is_not_cooperbench(machine: Machine) -> None:
    machine.python("3.12.1", None)
    broken(machine.doctor(), "cooperbench", "is not cooperbench", "--cooperbench")


def test_a_program_of_another_kind(machine: Machine) -> None:
    (machine.folder / "bin" / "cooperbench").unlink()
    (machine.folder / "bin" / "cooperbench").symlink_to("/bin/ls")
    broken(machine.doctor(), "command line", "does not answer as cooperbench does", "--cooperbench")


def test_another_version_of_cooperbench_is_a_warning(machine: Machine) -> None:
    machine.python("3.12.1", "0.0.31")
    seen = machine.doctor()
    assert (seen.status, seen.of("cooperbench")["verdict"]) == (0, "warn")
    assert "made for 0.0.29" in seen.of("cooperbench")["remedy"]


def test_an_agent_that_cooperbench_does_not_know(machine: Machine) -> None:
    broken(machine.doctor("--agent", "codec"), "cooperbench", "knows no agent 'codec'", "it knows codex, mini_swe")


def test_no_key(machine: Machine) -> None:
    """Asked by our own litellm, for the stub's Python has none."""
    machine.program("cooperbench", f"echo '{HELP}'")
    broken(machine.doctor("-m", "openai/gpt-4o"), "model", "no key for openai/gpt-4o", "export OPENAI_API_KEY")


def test_no_dataset(machine: Machine) -> None:
    broken(machine.doctor("--dataset-dir", "nowhere"), "dataset", "there is no dataset folder at", "--dataset-dir")


def test_a_wrong_redis_url(machine: Machine) -> None:
    with closed_port() as port:
        seen = machine.doctor("--settings", "coop-comm", "--redis", f"redis://127.0.0.1:{port}")
    broken(seen, "redis", "cannot be reached: Connection refused", "correct --redis")


def test_a_tiny_limit_of_open_files(machine: Machine) -> None:
    seen = machine.doctor("-c", "40", before="ulimit -n 100")
    broken(seen, "limits", "100 open files are allowed, and 40 slots need 704", "ulimit -n 4096")


def test_a_folder_that_may_not_be_written(machine: Machine) -> None:
    if os.getuid() == 0:
        # Root may write everywhere, but not where there is nothing to write on.
        machine.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        seen = machine.doctor("--log-dir", "/proc/self/logs")
    else:
        machine.project.chmod(0o555)
        seen = machine.doctor()
    broken(seen, "folders", "cannot be written", "a folder that is yours")


def test_a_socket_folder_that_others_may_enter(machine: Machine) -> None:
    (machine.folder / "run" / "coopdeck").mkdir(mode=0o777)
    (machine.folder / "run" / "coopdeck").chmod(0o777)
    broken(machine.doctor(), "folders", "is not a private folder of yours", "XDG_RUNTIME_DIR")


def test_a_full_disk(machine: Machine) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root to mount a small file system")
    small = machine.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode()}")
    try:
        seen = machine.doctor("--log-dir", str(small / "logs"))
    finally:
        subprocess.run(["umount", small], check=True)
    broken(seen, "folders", f"the disk of {small} is full: 1 MB free", "make room")


def test_an_image_that_was_found_to_be_no_good_and_one_that_is_not_here(machine: Machine) -> None:
    verdict = {"name": "akhatua/cooperbench-toy:task2", "good": False, "says": "it has no git", "at": 1.0}
    (machine.project / ".coopdeck").mkdir()
    (machine.project / ".coopdeck" / "images.json").write_text(json.dumps({"verified": {"sha256:2": verdict}}))
    says = "1 of 2 images are no good: akhatua/cooperbench-toy:task2: it has no git"
    broken(machine.doctor(), "images", says, "coopdeck images pull")
    machine.program("docker", GOOD_DOCKER.replace("; echo sha256:2 akhatua/cooperbench-toy:task2", ""))
    seen = machine.doctor()
    assert (seen.status, seen.of("images")["verdict"]) == (0, "warn")
    assert seen.of("images")["says"] == "1 of 2 images are not here: akhatua/cooperbench-toy:task2"


def test_a_misspelt_variable_and_one_that_is_only_a_flag(machine: Machine) -> None:
    machine.environment["COOPDECK_SLOT"] = "3"
    seen = machine.doctor()
    assert (seen.status, seen.of("environment")["verdict"]) == (0, "warn")
    assert seen.of("environment")["remedy"] == "did you mean 'COOPDECK_SLOTS'?"
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "runner.cli", "run", "s", "--subset", "lite", "-m", "openai/gpt-4o", "--dry-run"],
        cwd=machine.project, env=machine.environment | {"COOPDECK_FORCE": "1"}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 2
    assert ran.stderr == (
        "coopdeck: COOPDECK_FORCE is only meant as a flag: unset it, and pass --force when you mean it\n"
    )


@pytest.mark.parametrize(
    ("year_s", "jump_s", "verdict", "says"),
    [
        (0.0, 0.0, "fail", "believes it is 1970: no provider's certificate is valid then"),
        (1_900_000_000.0, 5.0, "warn", "the time of day jumped by 5.0 s"),
        (1_900_000_000.0, 0.0, "ok", "it is steady"),
    ],
)
def test_a_clock_that_is_off(year_s: float, jump_s: float, verdict: str, says: str, tmp_path: Path) -> None:
    told = iter([year_s] * 3 + [year_s + jump_s + 1.0] * 9)
    steady = iter([100.0, 101.0])
    (found,) = check_clock(Wanted(tmp_path), lambda: next(told), lambda: next(steady), lambda _: None)
    assert (found.verdict, says in found.says) == (verdict, True)
    assert (found.remedy == "set it: timedatectl set-ntp true") == (verdict != "ok")
