"""Whether containers can be made here: the program, the engine, its storage, and the images of a selection."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from runner.adapters.containers import docker_program
from runner.adapters.docker_engine import EngineAway, endpoint
from runner.adapters.image_check import Verdicts
from runner.adapters.images import verdicts_path
from runner.adapters.places import Places
from runner.checks.wanted import Wanted
from runner.model.check import Finding
from runner.model.failure import one_line
from runner.model.sizes import size
from runner.model.supplies import image_name

CHECK = "docker"
ANSWER_S = 15.0
OLDEST = (20, 10)
"""`--add-host ...:host-gateway`, which a team's containers are started with, came with it."""
LEAST_FREE, FEW_FREE = 1_000_000_000, 30_000_000_000
GIT_IMAGE = "cooperbench-git-server:local"


def check_engine(wanted: Wanted) -> list[Finding]:
    """Whether a new enough engine answers; one line."""
    if wanted.backend != "docker":
        return [Finding(CHECK, "skipped", f"the backend is {wanted.backend}")]
    program = docker_program(wanted.environment())
    status, out, err = _call(wanted, "version", "--format", "{{json .Server}}")
    if status is None:
        return [_without(program, err)]
    server = _object(out)
    version = str(server.get("Version") or "")
    if status or not version:
        return [_silent(wanted, err)]
    if any(part.get("Name") == "Podman Engine" for part in server.get("Components") or []):
        return [Finding(CHECK, "warn", f"Podman {version} answers in Docker's place, which coopdeck was not tried with",
                        "try a sweep of --smoke 1 first")]  # fmt: skip
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return [Finding(CHECK, "fail", f"the Docker Engine is {version}, older than {oldest}", "upgrade it")]
    return [Finding(CHECK, "ok", f"Docker Engine {version} answers")]


def check_storage(wanted: Wanted) -> list[Finding]:
    """The storage driver, and the room where images and containers live."""
    if wanted.backend != "docker":
        return [Finding("storage", "skipped", f"the backend is {wanted.backend}")]
    status, out, _ = _call(wanted, "info", "--format", "{{json .}}")
    info = _object(out)
    if status or not info.get("Driver"):
        return [Finding("storage", "skipped", "unknown while no Docker Engine answers")]
    driver, folder = str(info["Driver"]), str(info.get("DockerRootDir") or "")
    if driver == "vfs":
        return [Finding("storage", "warn", "Docker's storage driver vfs copies a whole image for every container",
                        "set the engine up with overlay2")]  # fmt: skip
    # The files of an engine on another machine are not here, though a folder of that name may be.
    free = _free(folder) if _host(wanted).startswith("unix://") else None
    if free is None:
        return [Finding("storage", "ok", f"{driver}; the room at {folder or 'its folder'} cannot be seen from here")]
    says = f"{driver}, {size(free)} free in {folder}"
    if free < FEW_FREE:
        remedy = "make room there: images take gigabytes each, and running containers need some as well"
        return [Finding("storage", "fail" if free < LEAST_FREE else "warn", says, remedy)]
    return [Finding("storage", "ok", says)]


def check_images(wanted: Wanted) -> list[Finding]:
    """Which of the selection's images are there."""
    names = sorted({image_name(pair.repo, pair.task) for pair in wanted.pairs})
    if wanted.backend != "docker" or not names:
        return [Finding("images", "skipped", "no images are needed")]
    there = _there(wanted, names)
    if there is None:
        return [Finding("images", "skipped", "unknown while no Docker Engine answers")]
    known = Verdicts(verdicts_path(Places(wanted.root).state)).all()
    bad = [f"{name}: {known[image].says}" for name, image in there.items() if image in known and not known[image].good]
    if bad:
        says = f"{len(bad)} of {len(names)} images are no good: {bad[0]}" + (" ..." if len(bad) > 1 else "")
        return [Finding("images", "fail", says, "remove it with docker rmi, and pull it anew: coopdeck images pull")]
    gone = [name for name in names if name not in there]
    if gone:
        says = f"{len(gone)} of {len(names)} images are not here: {gone[0]}" + (" ..." if len(gone) > 1 else "")
        return [Finding("images", "warn", says, "a sweep pulls them as it goes; beforehand: coopdeck images pull")]
    unseen = sum(image not in known for image in there.values())
    left = f", {unseen} of them not verified (coopdeck images verify)" if unseen else ", and verified"
    return [Finding("images", "ok", f"all {len(names)} images are here{left}")]


def check_git_server(wanted: Wanted) -> list[Finding]:
    """A sweep builds this image before the first job that needs it, from Debian's packages."""
    if wanted.backend != "docker" or not wanted.needs_git:
        return [Finding("git server", "skipped", "needed with --git alone")]
    there = _there(wanted, [GIT_IMAGE])
    if there is None:
        return [Finding("git server", "skipped", "unknown while no Docker Engine answers")]
    if not there:
        return [Finding("git server", "warn", f"the image {GIT_IMAGE} is not here: a sweep with --git builds it first",
                        "that needs Docker to reach Debian's mirrors")]  # fmt: skip
    return [Finding("git server", "ok", f"its image {GIT_IMAGE} is here")]


def _there(wanted: Wanted, names: Sequence[str]) -> dict[str, str] | None:
    """Of these images, the ids of those that are there; None when nobody knows."""
    form = "{{.Id}}{{range .RepoTags}} {{.}}{{end}}"
    status, out, err = _call(wanted, "image", "inspect", "--format", form, *names)
    if status is None or (status and "no such image" not in err.lower()):
        return None
    found: dict[str, str] = {}
    for line in out.splitlines():
        image, *tags = line.split() or [""]
        found |= dict.fromkeys(set(tags).intersection(names), image)
    return found


def _without(program: str, why: str) -> Finding:
    if why == "missing":
        return Finding(CHECK, "fail", f"there is no {program} program in PATH",
                       "install Docker, or choose another --backend")  # fmt: skip
    if why == "late":
        return Finding(CHECK, "fail", f"the Docker Engine did not answer within {ANSWER_S:g} s",
                       "see whether it is well: systemctl status docker")  # fmt: skip
    return Finding(CHECK, "fail", f"{program} cannot be run: {why}", "mend its installation")


def _silent(wanted: Wanted, err: str) -> Finding:
    last = one_line((err.strip().splitlines() or ["no reason given"])[-1])
    says, remedy = f"the Docker Engine does not answer: {last}", "see whether it is well: systemctl status docker"
    if "permission denied" in err.lower():
        says = f"you may not use the Docker Engine at {_host(wanted)}: {last}"
        remedy = "join its group with 'sudo usermod -aG docker $USER' and log in again, or use rootless Docker"
    elif "too new" in err or "too old" in err:
        remedy = "upgrade the older of the two, the engine or the docker program"
    elif "Cannot connect" in err or "error during connect" in err:
        remedy = "start it with 'sudo systemctl start docker', or name another with DOCKER_HOST or docker context use"
    return Finding(CHECK, "fail", says, remedy)


def _host(wanted: Wanted) -> str:
    """The engine's address, by DOCKER_HOST or the context; empty when that cannot be told."""
    try:
        return endpoint(wanted.environment())[0]
    except EngineAway:
        return ""


def _free(folder: str) -> int | None:
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    return system.f_bavail * system.f_frsize


def _call(wanted: Wanted, *arguments: str) -> tuple[int | None, str, str]:
    """Status, output, errors; without a status the errors are `missing`, `late` or why it does not run."""
    try:
        done = subprocess.run(
            [docker_program(wanted.environment()), *arguments],
            env=wanted.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
            check=False,
        )
    except FileNotFoundError:
        return None, "", "missing"
    except subprocess.TimeoutExpired:
        return None, "", "late"
    except OSError as error:
        return None, "", error.strerror or str(error)
    return done.returncode, done.stdout, done.stderr


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
