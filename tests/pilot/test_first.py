"""First contact: what is missing is said, and a key does it."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from tests.pilot.seeing import drawn, shows, until
from tui.first import FirstApp, Piece, Workshop
from tui.screens.ask import Ask
from tui.screens.doctor import DoctorScreen

pytestmark = pytest.mark.anyio


class FakeWorkshop:
    """Setup brings the environment, unless it fails; it ends when it is let go."""

    def __init__(self, folder: Path, status: int = 0) -> None:
        self.log = folder / "setup.log"
        self.status = status
        self.there = False
        self.began = self.ended = 0
        self.go = anyio.Event()

    async def look(self) -> Sequence[Piece]:
        says = "0.0.29, on Python 3.12.1" if self.there else "no environment for it yet"
        return [Piece("cooperbench", self.there, says), Piece("docker", True, "Engine 27.0 answers")]

    async def set_up(self) -> int:
        self.began += 1
        self.log.write_text("python         there already: 3.12.1\n")
        try:
            await self.go.wait()
        finally:
            self.ended += 1
        self.there = self.status == 0
        return self.status

    def app(self, *, ascii_only: bool = False) -> FirstApp:
        return FirstApp(Workshop(self.look, self.set_up, self.log), Path("/a/project"), ascii_only=ascii_only)


async def test_it_says_what_is_missing_and_does_it_on_a_key(tmp_path: Path) -> None:
    workshop = FakeWorkshop(tmp_path)
    app = workshop.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        text = drawn(app)
        assert "a sweep needs one thing more" in text
        assert "✗ cooperbench" in text
        assert "✓ docker" in text
        await pilot.press("u")
        await shows(pilot, "python         there already: 3.12.1")
        await pilot.press("u")  # once at a time
        await until(pilot, lambda: "coopdeck setup is at work" in app.first.foot.notice)
        workshop.go.set()
        text = await shows(pilot, "ready: coopdeck run")
        assert "✓ cooperbench" in text
        assert (workshop.began, workshop.ended) == (1, 1)


async def test_a_failure_is_said_and_can_be_tried_again(tmp_path: Path) -> None:
    workshop = FakeWorkshop(tmp_path, status=3)
    workshop.go.set()
    app = workshop.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("u")
        await shows(pilot, "ended with exit status 3")
        await pilot.press("u")
        await until(pilot, lambda: workshop.ended == 2)


async def test_leaving_while_it_works_asks_and_ends_it(tmp_path: Path) -> None:
    workshop = FakeWorkshop(tmp_path)
    app = workshop.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: workshop.began == 1)
        await pilot.press("d")
        await pilot.pause()
        assert isinstance(app.screen, Ask)
        await pilot.press("b")
        await pilot.pause()
        assert not isinstance(app.screen, Ask)
        assert workshop.ended == 0
        await pilot.press("r")
        await pilot.pause()
        await pilot.press("e")
        await until(pilot, lambda: workshop.ended == 1)
    assert app.return_value == "rehearse"


async def test_the_doctor_is_asked_on_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FirstApp, "doctor_command", lambda _: ("/bin/true",))
    app = FakeWorkshop(tmp_path).app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("h")
        await pilot.pause()
        assert isinstance(app.screen, DoctorScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen_stack[-1] is app.first


async def test_the_rehearsal_is_offered(tmp_path: Path) -> None:
    app = FakeWorkshop(tmp_path).app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("r")
        await pilot.pause()
    assert app.return_value == "rehearse"


async def test_in_ascii_nothing_else_is_drawn(tmp_path: Path) -> None:
    app = FakeWorkshop(tmp_path).app(ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("u")
        assert (await shows(pilot, "there already")).isascii()
