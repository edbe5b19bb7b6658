"""Images on a real engine and a real registry: pulled, cut, limited, corrupted; looked into; waited for by jobs."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.adapters.docker_engine import connect
from runner.adapters.image_check import check, clear, left
from runner.adapters.images import Connection, Patience, Puller
from runner.model.supplies import Supply
from tests.e2e.dataset import REPO
from tests.e2e.hub import Hub, hub, layer

pytestmark = pytest.mark.docker

NAME = "akhatua/cooperbench-toy"
ONE, TWO = f"{NAME}:task1", f"{NAME}:task2"
QUICK = Patience(first_s=0.1, longest_s=0.2, rate_s=0.2, longest_rate_s=0.2, room_s=0.2, engine_s=0.2, every_s=0.05)
COOPDECK = (sys.executable, "-P", "-m", "runner.cli")
MB = 1_000_000


@pytest.fixture(scope="module")
def a_hub() -> Iterator[Hub]:
    # Not pytest's folder: the path of a socket is short.
    with hub(Path(tempfile.mkdtemp(prefix="coopdeck-hub-"))) as made:
        made.put(NAME, "task1", [layer(1, MB), layer(2, 2 * MB)])
        made.put(NAME, "task2", [layer(3, MB), layer(4, 2 * MB)])
        yield made


@pytest.fixture
def empty(a_hub: Hub) -> Hub:
    """The hub, well, with an engine that has no image."""
    a_hub.forget()
    return a_hub


def images(hub: Hub, folder: Path, dataset: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COOPDECK, "images", *arguments, "--subset", "all", "--dataset-dir", str(dataset)],
        cwd=folder, env={**os.environ, **hub.env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def lines(ran: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


def pull(
    hub: Hub, name: str, patience: Patience = QUICK, meanwhile: Callable[[Supply], None] | None = None
) -> list[Supply]:
    """All that was told of one pull."""
    told: list[Supply] = []

    async def tell(supply: Supply) -> None:
        told.append(supply)
        if meanwhile is not None:
            meanwhile(supply)

    async def main() -> None:
        with anyio.fail_after(180):
            connection = Connection(lambda: connect({**os.environ, **hub.env}))
            await Puller(connection, QUICK).get(name, tell)
            connection.close()

    anyio.run(main)
    return told


# -- pull ---------------------------------------------------------------------------------------------------------


def test_missing_images_are_pulled_with_progress_and_then_listed(empty: Hub, tmp_path: Path, toy_dataset: Path) -> None:
    listed = lines(images(empty, tmp_path, toy_dataset, "--json"))
    assert [line["present"] for line in listed if line["type"] == "image"] == [False, False]
    empty.gate.rate = MB / 2
    ran = images(empty, tmp_path, toy_dataset, "pull", "--json")
    assert ran.returncode == 0, ran.stderr
    told = [line for line in lines(ran) if line["name"] == ONE]
    assert told[-1]["state"] == "there"
    part = [line for line in told if 0 < line["done_bytes"] < line["total_bytes"]]
    assert part, told
    # The engine tells of a layer when it begins; the registry, asked before, of all.
    assert part[-1]["total_bytes"] == empty.sizes[ONE]
    listed = lines(images(empty, tmp_path, toy_dataset, "--json"))
    assert (listed[-1]["present"], listed[-1]["missing"]) == (2, 0)
    again = images(empty, tmp_path, toy_dataset, "pull")
    assert (again.returncode, again.stdout.strip()) == (0, "all 2 images are here already")


def test_a_cut_connection_goes_on_where_it_was(empty: Hub) -> None:
    empty.gate.cut_after, empty.gate.cuts = MB // 2, 2
    assert pull(empty, ONE)[-1].state == "there"
    assert empty.gate.cuts == 0
    assert empty.gate.served < empty.sizes[ONE] + MB // 4


def test_a_pull_that_the_engine_gives_up_is_begun_again(empty: Hub) -> None:
    empty.gate.cut_after, empty.gate.cuts = MB // 2, 1000

    def mend(supply: Supply) -> None:
        if supply.says.startswith("try 2"):
            empty.gate.cuts = 0

    told = pull(empty, ONE, meanwhile=mend)
    assert told[-1].state == "there"
    assert any(supply.says.startswith("try 2") and "EOF" in supply.says for supply in told)


def test_a_missing_tag_fails_with_a_sentence_and_the_rest_comes(empty: Hub, tmp_path: Path) -> None:
    (tmp_path / "data" / REPO).mkdir(parents=True)
    for task in (1, 9):
        for feature in (1, 2):
            (tmp_path / "data" / REPO / f"task{task}" / f"feature{feature}").mkdir(parents=True)
    ran = images(empty, tmp_path, tmp_path / "data", "pull")
    assert ran.returncode == 1
    assert "toy:task9: it is not in the registry, or not for you" in ran.stderr
    assert "1 of 2 images are here, 1 failed" in ran.stdout


def test_a_rate_limit_is_said_and_waited_out(empty: Hub) -> None:
    empty.gate.limited = True

    def lift(supply: Supply) -> None:
        if "rate limit" in supply.says:
            empty.gate.limited = False

    told = pull(empty, ONE, meanwhile=lift)
    assert "the registry's rate limit is reached: next try in" in " ".join(supply.says for supply in told)
    assert told[-1].state == "there"


def test_a_wrong_digest_fails_for_good(empty: Hub) -> None:
    empty.gate.corrupt = True
    last = pull(empty, ONE)[-1]
    assert last.state == "failed"
    assert "wrong digest" in last.says
    empty.gate.corrupt = False
    assert pull(empty, ONE)[-1].state == "there"


def test_two_coopdecks_pull_an_image_once(empty: Hub, tmp_path: Path, toy_dataset: Path) -> None:
    # So slow that the second comes to it.
    empty.gate.rate = MB / 50
    argv = [*COOPDECK, "images", "pull", "--json", "--subset", "all", "--dataset-dir", str(toy_dataset)]
    told = [tmp_path / "first", tmp_path / "second"]
    both = []
    for path in told:
        with path.open("wb") as out:
            both.append(subprocess.Popen(argv, cwd=tmp_path, env={**os.environ, **empty.env}, stdout=out))
    try:
        until(lambda: any("another coopdeck pulls it" in path.read_text() for path in told))
        empty.gate.rate = None
        assert [one.wait(120) for one in both] == [0, 0]
    finally:
        for one in both:
            one.kill()
            one.wait()
    assert empty.gate.served < sum(empty.sizes.values()) + MB // 4


def test_an_interrupted_pull_stops_and_the_next_one_completes(empty: Hub, tmp_path: Path, toy_dataset: Path) -> None:
    empty.gate.rate = MB // 20
    argv = [*COOPDECK, "images", "pull", "--json", "--subset", "all", "--dataset-dir", str(toy_dataset)]
    with subprocess.Popen(argv, cwd=tmp_path, env={**os.environ, **empty.env}, stdout=subprocess.PIPE) as one:
        until(lambda: empty.gate.served > 0)
        one.send_signal(signal.SIGINT)
        one.communicate(timeout=120)
    assert one.returncode == 130
    # What is in the sockets' buffers still comes; then nothing does.
    until(lambda: still(lambda: empty.gate.served))
    assert empty.gate.served < sum(empty.sizes.values())
    empty.gate.behave()
    assert images(empty, tmp_path, toy_dataset, "pull").returncode == 0


def until(true: Callable[[], bool], within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def still(value: Callable[[], int]) -> bool:
    before = value()
    time.sleep(1.0)
    return value() == before


def test_an_engine_behind_ssh_and_a_context_is_reached(empty: Hub, tmp_path: Path, toy_dataset: Path) -> None:
    """`ssh` is a script here that does what the far end would: docker system dial-stdio."""
    pull(empty, ONE)
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\nexec docker --host {empty.host} system dial-stdio\n')
    ssh.chmod(ssh.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    made = subprocess.run(
        ["docker", "context", "create", "far", "--docker", "host=ssh://me@far:2222"],
        env={**os.environ, "DOCKER_CONFIG": str(tmp_path / "config")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    environment = {key: value for key, value in os.environ.items() if key != "DOCKER_HOST"}
    environment |= {"PATH": path, "DOCKER_CONFIG": str(tmp_path / "config"), "DOCKER_CONTEXT": "far"}
    ran = subprocess.run(
        [*COOPDECK, "images", "--json", "--subset", "all", "--dataset-dir", str(toy_dataset)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert lines(ran)[-1]["present"] == 1
    assert lines(ran)[-1]["engine"] == "ssh://me@far:2222"
    assert "-p 2222 -- me@far docker system dial-stdio" in (tmp_path / "asked").read_text()


# -- jobs that wait -----------------------------------------------------------------------------------------------


def sweep(
    hub: Hub, folder: Path, dataset: Path, *more: str, seen: Callable[[list[dict[str, Any]]], None] = lambda _: None
) -> tuple[int, list[dict[str, Any]], str]:
    """A sweep of the toy's six pairs with the double in cooperbench's place, for which Docker is real.

    Its exit status, its events, what it said on standard error; `seen` is called with the events after each.
    """
    program = folder / "cooperbench"
    double = f"{sys.executable} -P -m runner.rehearsal"
    program.write_text(f'#!/bin/sh\nexport COOPDECK_REHEARSAL=\'{{"speed": 5000}}\'\nexec {double} "$@"\n')
    program.chmod(0o755)
    asked = ["run", "gated", "--settings", "solo", "--subset", "all", "-m", "openai/gpt-4o", "--json", "--no-ping"]
    events: list[dict[str, Any]] = []
    with open(folder / "stderr", "w+") as errors:
        with subprocess.Popen(
            [*COOPDECK, *asked, "--cooperbench", str(program), "--dataset-dir", str(dataset), *more],
            cwd=folder, env={**os.environ, **hub.env, "OPENAI_API_KEY": "x"},
            stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as ran:  # fmt: skip
            for line in ran.stdout or ():
                events.append(json.loads(line))
                seen(events)
        errors.seek(0)
        return ran.returncode, events, errors.read()


def test_jobs_whose_image_is_there_run_while_the_other_image_comes(
    empty: Hub, tmp_path: Path, toy_dataset: Path
) -> None:
    pull(empty, ONE)
    # For minutes, were it not let go.
    empty.gate.rate = MB / 100

    def three_have_ended(events: list[dict[str, Any]]) -> None:
        if sum(event["type"] == "AttemptEnded" for event in events) == 3:
            empty.gate.rate = None

    status, events, says = sweep(empty, tmp_path, toy_dataset, seen=three_have_ended)
    assert status == 0, says
    assert (events[-1]["results"], events[-1]["failed"]) == (6, 0)
    came = places(events, lambda event: event["type"] == "SupplySeen" and event["supply"]["name"] == TWO
                  and event["supply"]["state"] == "there")[0]  # fmt: skip
    ended = places(events, lambda event: event["type"] == "AttemptEnded")
    started = places(events, lambda event: event["type"] == "AttemptStarted")
    assert [place < came for place in ended] == [True] * 3 + [False] * 3
    assert [place < came for place in started] == [True] * 3 + [False] * 3


def test_jobs_whose_image_is_nowhere_fail_without_a_try_and_the_sweep_ends(
    empty: Hub, tmp_path: Path, toy_dataset: Path
) -> None:
    pull(empty, ONE)
    tag = empty.folder / "registry/docker/registry/v2/repositories" / NAME / "_manifests/tags/task2"
    hidden = tag.rename(tag.with_name("hidden"))
    try:
        status, events, says = sweep(empty, tmp_path, toy_dataset)
        refused, _, why = sweep(empty, tmp_path, toy_dataset, "--no-pull")
    finally:
        hidden.rename(tag)
    assert status == 1, says
    assert (events[-1]["results"], events[-1]["failed"], events[-1]["attempts"]) == (3, 3, 3)
    settled = [event for event in events if event["type"] == "JobSettled" and event["state"] == "failed"]
    assert {event["outcome"]["failure"] for event in settled} == {"image"}
    assert "it is not in the registry" in settled[0]["outcome"]["evidence"]
    assert refused == 3
    assert "1 of 1 images are not here (toy:task2), and --no-pull forbids getting them" in why


def places(events: list[dict[str, Any]], which: Callable[[dict[str, Any]], bool]) -> list[int]:
    return [place for place, event in enumerate(events) if which(event)]


# -- verify -------------------------------------------------------------------------------------------------------

RECIPES = {
    "good": "",
    "no-repo": "RUN rm -rf /workspace/repo",
    "exits": 'ENTRYPOINT ["/bin/false"]',
    "hangs": 'ENTRYPOINT ["/bin/sleep", "infinity"]',
    "bash-hangs": "RUN printf 'sleep 1000\\n' > /hang.sh\nENV BASH_ENV=/hang.sh",
    "no-bash": "RUN mv /bin/bash /bin/elsewhere",
}
VERDICTS = {
    "good": "",
    "no-repo": "it has no /workspace/repo",
    # Upstream puts bash in the entrypoint's place: these two do jobs no harm.
    "exits": "",
    "hangs": "",
    "bash-hangs": "its bash has not answered within 5 s",
    "no-bash": "it has no /bin/bash",
}


@pytest.fixture(scope="module")
def odd_images(toy_images: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Images with one thing wrong each, by what is wrong; their ids."""
    made: dict[str, str] = {}
    for kind, recipe in RECIPES.items():
        built = subprocess.run(
            ["docker", "build", "--quiet", "--tag", f"coopdeck-e2e-odd:{kind}", "-"],
            input=f"FROM {toy_images[0]}\n{recipe}\n", env={**os.environ, "DOCKER_BUILDKIT": "0"},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert built.returncode == 0, built.stderr
        made[kind] = built.stdout.strip().splitlines()[-1]
    yield made
    subprocess.run(["docker", "rmi", "--force", *(f"coopdeck-e2e-odd:{kind}" for kind in RECIPES)],
                   capture_output=True, check=False, timeout=120)  # fmt: skip


@pytest.mark.parametrize("kind", RECIPES)
def test_a_look_into_an_image_tells_whether_jobs_can_use_it(odd_images: dict[str, str], kind: str) -> None:
    engine = connect(os.environ)
    verdict = check(engine, kind, odd_images[kind], answer_s=5 if kind == "bash-hangs" else 60)
    assert (verdict.good, verdict.says) == (not VERDICTS[kind], VERDICTS[kind])
    assert odd_images[kind] not in {made["ImageID"] for made in left(engine)}
    engine.close()


def test_a_verdict_is_remembered_and_a_killed_look_is_cleared_by_the_next(
    odd_images: dict[str, str], tmp_path: Path, toy_dataset: Path, toy_images: tuple[str, ...]
) -> None:
    script = (
        "import os\nfrom runner.adapters.docker_engine import connect\nfrom runner.adapters.image_check import check\n"
        f"check(connect(os.environ), 'x', {odd_images['bash-hangs']!r}, answer_s=60)\n"
    )
    engine = connect(os.environ)
    with subprocess.Popen([sys.executable, "-P", "-c", script], cwd=Path(__file__).parents[2]) as looking:
        until(lambda: any(made["ImageID"] == odd_images["bash-hangs"] for made in left(engine)))
        looking.kill()
    environment = {**os.environ}
    first, second = (
        subprocess.run(
            [*COOPDECK, "images", "verify", "--subset", "all", "--dataset-dir", str(toy_dataset)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )
        for _ in range(2)
    )  # fmt: skip
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert first.stdout.count("  verified\n") == 2
    assert second.stdout.count("verified before") == 2
    assert not any(made["ImageID"] == odd_images["bash-hangs"] for made in left(engine))
    assert clear(engine) == 0
    engine.close()
