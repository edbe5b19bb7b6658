"""The images screen: what it shows follows the board."""

import pytest

from runner.model import events as ev
from runner.model.supplies import Supply, image_name
from tests.pilot.boards import NOW, FakeSource, Maker, begun
from tests.pilot.seeing import until
from tests.pilot.test_dashboard import hits
from tui.app import CoopdeckApp
from tui.screens.images import NOTHING, ImagesScreen
from tui.screens.sweep import SweepScreen

pytestmark = pytest.mark.anyio
GB = 1_000_000_000
MISSING = "it is not in the registry, or not for you: manifest unknown ('docker login' may help)"


def waiting() -> Maker:
    """A real sweep of 26 images: one failed, one on its way, one down, a few here, the rest not looked at."""
    maker = begun(rehearsal=False)
    pairs = [maker.board.jobs[job].spec.pair for job in maker.board.order]  # not in the order of a hash
    names = list(dict.fromkeys(image_name(pair.repo, pair.task) for pair in pairs))
    maker.happen(*(ev.SupplySeen(Supply("image", name)) for name in names))
    maker.happen(
        *(ev.SupplySeen(Supply("image", name, "there", "", 2 * GB, 2 * GB)) for name in names[:5]),
        ev.SupplySeen(Supply("image", names[5], "getting", "pulling, 3 of 8 layers", 4 * GB // 10, GB)),
        ev.SupplySeen(Supply("image", names[6], "getting", "waits for its turn")),
        ev.SupplySeen(Supply("image", names[7], "failed", MISSING)),
        ev.SupplySeen(Supply("image", names[8], "down", "try 4 in 16 s: unexpected EOF")),
        ev.SupplySeen(Supply("redis", "", "there", "redis://127.0.0.1:6400/0")),
    )
    return maker


def app_for(maker: Maker) -> tuple[CoopdeckApp, FakeSource]:
    source = FakeSource(maker)
    return CoopdeckApp(source, ascii_only=True, now=lambda: NOW), source


def texts(screen: ImagesScreen) -> list[str]:
    return [" ".join(screen.table.render_line(y).text.split()) for y in range(screen.table.size.height)]


async def test_the_images_are_shown_live_and_escape_leads_back() -> None:
    app, source = app_for(waiting())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("i")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ImagesScreen)
        shown = texts(screen)
        assert any("40% 1.0 GB" in line and "pulling, 3 of 8 layers" in line for line in shown), shown
        # What needs a look comes first, and is told whole.
        assert "it is not in the reg" in shown[1]
        assert MISSING in " ".join("".join(span.text for span in line).strip() for line in screen.detail.lines)
        supply = next(one for one in source.maker.board.supplies.values() if one.says.startswith("pulling"))
        further = Supply("image", supply.name, "getting", "pulling, 7 of 8 layers", GB * 9 // 10, GB)
        source.happen(ev.SupplySeen(further))
        await until(pilot, lambda: any("90% 1.0 GB" in line for line in texts(screen)))
        await pilot.press("i")
        assert app.screen is screen
        # What the palette offers here can be done here.
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "retry failed" in hits(app))
        assert not {"open", "sort", "filter"} & set(hits(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, SweepScreen)


async def test_a_rehearsal_needs_no_image() -> None:
    app, _ = app_for(begun())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("i")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, ImagesScreen)
        assert NOTHING in " ".join(texts(screen))
