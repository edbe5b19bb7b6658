"""Pictures of the screens, at a fixed time. After a wanted change: pytest tests/snapshot --snapshot-update."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from runner.model import events as ev
from styles.themes import DARK, LIGHT, PLAIN
from tests.pilot.boards import NOW, FakeSource, Maker, hanging, middle, recorded
from tests.pilot.seeing import calm
from tests.pilot.test_doctor import FINDINGS, VARIABLE, look, says
from tests.pilot.test_images import waiting
from tests.pilot.tries import patched, talking
from tui.app import ChooserApp, CoopdeckApp
from tui.first import FirstApp, Piece, Workshop
from tui.screens.sweeps import SweepLine

Compare = Callable[..., bool]
SMALL, LARGE = (80, 24), (160, 45)
LOG = (
    "[05:10:39] agent1 reading src/click/core.py\n"
    "[05:10:44] agent1 $ pytest -q tests/test_options.py\n"
    "\x1b[32m.....................\x1b[31mF\x1b[0m                                              [100%]\n"
    "\x1b[1;31mFAILED\x1b[0m tests/test_options.py::test_envvar - AssertionError: assert [red]'a'[/] == 'b'\n"
    "[05:11:02] agent2 -> agent1: I take the parser, you take the help page. Is that all right with you? Tell me.\n"
    "\x1b]52;c;ZXZpbA==\x07 \u202ethis line is hostile\n"
)
SETUP_LOG = (
    "python         there already: 3.12.1, /usr/bin/python3.12\n"
    "cooperbench    there already: cooperbench 0.0.29 in /srv/study/.coopdeck/env\n"
    "dataset        cooperbench prepare downloads it ...\n"
    "               error: Got: ConnectError: [Errno -2] Name or service not known\n"
    "coopdeck: the dataset is not complete in /srv/study/dataset: cooperbench prepare says 'Got: ConnectError: [Errno"
    " -2] Name or service not known'; repeat coopdeck setup when its host can be reached, or name a dataset that you"
    " have with --dataset-dir\n"
)


@pytest.fixture(autouse=True)
def in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def app_for(tmp_path: Path, maker: Maker, *, theme: str = DARK, ascii_only: bool = False) -> CoopdeckApp:
    for row in maker.board.jobs.values():
        for attempt in row.attempts[-1:] if row.state in {"running", "failed"} else ():
            folder = tmp_path / attempt.folder
            folder.mkdir(parents=True)
            (folder / "output.log").write_text(LOG, encoding="utf-8")
    link = "over" if maker.board.runner and maker.board.runner.stopped_at else "attached"
    source = FakeSource(maker, tmp_path, link=link)  # type: ignore[arg-type]
    return CoopdeckApp(source, theme=theme, ascii_only=ascii_only, now=lambda: NOW)


async def settled(pilot: Pilot[object]) -> None:
    await calm(pilot)


def after(*keys: str) -> Callable[[Pilot[object]], Awaitable[None]]:
    """These keys, and what comes of them."""

    async def pressed(pilot: Pilot[object]) -> None:
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)

    return pressed


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x45"])
def test_the_dashboard(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(app_for(tmp_path, middle()), terminal_size=size, run_before=settled)


def test_the_dashboard_in_plain_ascii(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_for(tmp_path, middle(), theme=PLAIN, ascii_only=True)
    assert snap_compare(app, terminal_size=SMALL, run_before=settled)


def test_the_dashboard_on_a_light_terminal(snap_compare: Compare, tmp_path: Path) -> None:
    assert snap_compare(app_for(tmp_path, middle(), theme=LIGHT), terminal_size=SMALL, run_before=settled)


def test_a_failed_job_and_its_tries(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_for(tmp_path, middle())
    assert snap_compare(app, terminal_size=SMALL, run_before=after("j", "j", "j", "j", "5", "enter"))


def test_a_job_full_screen(snap_compare: Compare, tmp_path: Path) -> None:
    assert snap_compare(app_for(tmp_path, middle()), terminal_size=SMALL, run_before=after("enter"))


def with_files(tmp_path: Path, *, finished: bool = False) -> CoopdeckApp:
    """The first job's pair talks, and has patches; or has talked, and its result is delivered."""
    maker = middle()
    app = app_for(tmp_path, maker)
    job = next(job for job in maker.board.order if maker.board.jobs[job].state == "running")
    row = maker.board.jobs[job]
    folder, pair = tmp_path / row.attempts[-1].folder, row.spec.pair
    probe = talking(folder)
    results = Path("logs") / row.spec.run_name / "coop" / pair.repo / str(pair.task) / pair.folder
    patched((tmp_path if finished else folder) / results)
    if finished:
        for agent in ("agent1", "agent2"):
            probe.tell("agent_end", agent, 60, status="Submitted", error=None)
        maker.end(job, recorded()[job][1], settle=False, at=NOW - 0.1)
        maker.happen(ev.ResultDelivered(job, 1, str(results)), ev.JobSettled(job, "done"))
    return app


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x45"])
@pytest.mark.parametrize("pane", ["1", "2", "3", "4", "5"], ids=["log", "steps", "talk", "patch", "tries"])
def test_a_pane(snap_compare: Compare, tmp_path: Path, pane: str, size: tuple[int, int]) -> None:
    app = with_files(tmp_path)

    async def pressed(pilot: Pilot[object]) -> None:
        await settled(pilot)
        await pilot.press("enter", pane)
        await settled(pilot)
        await pilot.press(*(("g", "space") if pane == "2" else ()))
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=pressed)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x45"])
@pytest.mark.parametrize("pane", ["1", "2", "3", "4", "5"], ids=["log", "steps", "talk", "patch", "tries"])
def test_a_pane_of_a_finished_job(
    snap_compare: Compare, tmp_path: Path, pane: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = with_files(tmp_path, finished=True)
    board = middle().board
    job = next(job for job in board.order if board.jobs[job].state == "running")

    async def pressed(pilot: Pilot[object]) -> None:
        await settled(pilot)
        app.screen.table.select(job)  # type: ignore[attr-defined]
        await pilot.press("enter", pane)
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=pressed)


def test_a_pane_under_the_table(snap_compare: Compare, tmp_path: Path) -> None:
    app = with_files(tmp_path)

    assert snap_compare(app, terminal_size=SMALL, run_before=after("3", "tab"))


def test_held_and_paused(snap_compare: Compare, tmp_path: Path) -> None:
    maker = middle()
    maker.happen(ev.QueueHeld("budget", "$74.87 of $75.00 is spent"), ev.QueuePaused())
    assert snap_compare(app_for(tmp_path, maker), terminal_size=SMALL, run_before=settled)


def test_finished(snap_compare: Compare, tmp_path: Path) -> None:
    maker, jobs = middle(), recorded()
    for job in maker.board.order:
        row = maker.board.jobs[job]
        if not row.settled:
            if row.state != "running":
                maker.start(job, len(row.attempts) + 1)
            maker.end(job, jobs[job][1], len(maker.board.jobs[job].attempts))
    maker.happen(ev.SweepFinished(), ev.RunnerStopped("finished"), at=NOW)
    assert snap_compare(app_for(tmp_path, maker), terminal_size=(120, 30), run_before=settled)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x45"])
def test_help(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    app = app_for(tmp_path, middle())

    assert snap_compare(app, terminal_size=size, run_before=after("question_mark"))


def test_stop(snap_compare: Compare, tmp_path: Path) -> None:
    assert snap_compare(app_for(tmp_path, middle()), terminal_size=SMALL, run_before=after("Q"))


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "160x45"])
def test_stuck_jobs(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    assert snap_compare(app_for(tmp_path, hanging()), terminal_size=size, run_before=settled)


def test_stuck_jobs_in_plain_ascii(snap_compare: Compare, tmp_path: Path) -> None:
    app = app_for(tmp_path, hanging(), theme=PLAIN, ascii_only=True)
    assert snap_compare(app, terminal_size=SMALL, run_before=settled)


@pytest.mark.parametrize(("down", "size"), [(0, SMALL), (4, SMALL), (4, LARGE)])
def test_the_agents_of_a_job_and_its_containers(
    snap_compare: Compare, tmp_path: Path, down: int, size: tuple[int, int]
) -> None:
    app = app_for(tmp_path, hanging())
    assert snap_compare(app, terminal_size=size, run_before=after(*["j"] * down, "enter", "5"))


@pytest.mark.parametrize("plain", [False, True], ids=["colour", "plain"])
def test_first_contact(snap_compare: Compare, tmp_path: Path, plain: bool) -> None:
    (tmp_path / "setup.log").write_text(SETUP_LOG)

    async def look() -> list[Piece]:
        return [
            Piece("cooperbench", True, "0.0.29, on Python 3.12.1"),
            Piece("dataset", False, "nothing in /srv/study/dataset yet"),
            Piece("docker", True, "Engine 27.5.1 answers"),
            Piece("key", False, "no ..._API_KEY in the environment, nor in .env"),
        ]

    async def set_up() -> int:
        return 3

    workshop = Workshop(look, set_up, tmp_path / "setup.log")
    app = FirstApp(workshop, Path("/srv/study"), ascii_only=plain, theme=PLAIN if plain else DARK)

    assert snap_compare(app, terminal_size=SMALL, run_before=after("u"))


def test_the_list_of_sweeps(snap_compare: Compare) -> None:
    lines = [
        SweepLine("command-a", "running", "159 of 300, 1 failed", "$74.87", "now"),
        SweepLine("command-a-smoke", "finished", "15 of 15", "$6.12", "2 h ago"),
        SweepLine("gpt-4o-first-try", "stopped", "12 of 300, 3 failed", "$4.00", "3 d ago"),
    ]
    assert snap_compare(ChooserApp(lines, theme=DARK), terminal_size=SMALL)


@pytest.mark.parametrize("theme", [DARK, PLAIN])
def test_the_images(snap_compare: Compare, tmp_path: Path, theme: str) -> None:
    app = app_for(tmp_path, waiting(), theme=theme, ascii_only=theme == PLAIN)

    assert snap_compare(app, terminal_size=SMALL, run_before=after("i"))


@pytest.mark.parametrize("ascii_only", [False, True], ids=["dark", "plain-ascii"])
def test_what_the_doctor_found(
    snap_compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ascii_only: bool
) -> None:
    shapes = [finding.shape for finding in FINDINGS] + [VARIABLE.shape]
    monkeypatch.setattr(CoopdeckApp, "doctor_command", lambda app: says(*shapes))

    async def opened(pilot: Pilot[str]) -> None:
        await look(pilot)
        await pilot.pause()

    app = app_for(tmp_path, middle(), theme=PLAIN if ascii_only else DARK, ascii_only=ascii_only)
    assert snap_compare(app, terminal_size=SMALL, run_before=opened)
