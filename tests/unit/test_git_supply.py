"""The supplier of kind git, with a stand-in for cooperbench's Python: what it tells, and when it builds."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from runner.adapters import git_supply
from runner.adapters.git_supply import ABSENT, GitSupply
from runner.model.plan import Plan
from runner.model.queue import make_jobs
from runner.model.supplies import Supply
from tests.unit.fakes import jobs, the_plan

pytestmark = pytest.mark.anyio

WAIT_S = 40.0
SOLO = jobs(2)
COOP = make_jobs("s", ("coop-comm",), (SOLO[0].pair,), ("m",))
PYTHON = f"""#!/bin/sh
# python -P -c SCRIPT look|build
echo "$4" >> asked
if [ -e silent ]; then rm silent; echo 'docker.errors.DockerException: no engine' >&2; exit 1; fi
if [ "$4" = build ]; then
    if [ -e broken ]; then echo 'Traceback' >&2; echo 'docker.errors.BuildError: no such base' >&2; exit 1; fi
    touch image
fi
[ -e image ] || exit {ABSENT}
"""


def plan(folder: Path) -> Plan:
    for name, text in (("python", PYTHON), ("cooperbench", f"#!{folder}/python\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    program = (str(folder / "cooperbench"),)
    return replace(the_plan(), rehearsal=None, program=program, settings=("coop-comm",), git=True, backend="docker")


async def told(folder: Path, last: str, jobs_: tuple[object, ...] = COOP) -> list[Supply]:
    """What the supplier tells until it comes to this state."""
    said: list[Supply] = []
    supplier = GitSupply({}, folder)

    async with anyio.create_task_group() as tasks:

        async def tell(supply: Supply) -> None:
            said.append(supply)
            if supply.state == last:
                tasks.cancel_scope.cancel()

        with anyio.fail_after(WAIT_S):
            await supplier.supply(plan(folder), jobs_, tell)  # type: ignore[arg-type]
    return said


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().split()


async def test_an_image_that_is_there_is_not_built(tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    assert [supply.state for supply in await told(tmp_path, "there")] == ["getting", "there"]
    assert asked(tmp_path) == ["look"]


async def test_one_that_is_not_is_built_ahead(tmp_path: Path) -> None:
    said = await told(tmp_path, "there")
    assert [supply.says for supply in said][1] == "building upstream's image"
    assert asked(tmp_path) == ["look", "build"]


async def test_a_build_that_fails_says_why_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    (*_, last) = await told(tmp_path, "failed")
    assert last.line == (
        "git server: upstream's image cannot be made: docker.errors.BuildError: no such base; "
        "mend that and queue the jobs again (coopdeck retry), or leave out --git"
    )


async def test_an_engine_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_supply, "AGAIN_S", 0.01)
    (tmp_path / "silent").touch()
    (tmp_path / "image").touch()
    assert [one.state for one in await told(tmp_path, "there")] == ["getting", "down", "getting", "there"]


async def test_where_no_job_needs_it_nobody_looks_until_one_does(tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    supplier, said = GitSupply({}, tmp_path), []

    async def tell(supply: Supply) -> None:
        said.append(supply.state)
        if supply.state == "there":
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supplier.supply, plan(tmp_path), SOLO, tell)
        await anyio.wait_all_tasks_blocked()
        assert not (tmp_path / "asked").exists()
        supplier.want("")
        with anyio.fail_after(WAIT_S):
            await anyio.sleep_forever()
    assert said == ["getting", "there"]
