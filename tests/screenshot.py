"""`make screenshot`: the README's picture, taken of the real dashboard on a running rehearsal."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from runner.adapters.places import Places
from runner.client import RunningSweep
from styles.themes import DARK
from tui.app import CoopdeckApp

PICTURE = Path(__file__).parent.parent / "docs" / "dashboard.svg"
COOPDECK = (sys.executable, "-P", "-m", "runner.cli")
SPEED = "120"
UNDER_WAY_S = 45.0


async def take(places: Places, sweep: str) -> str:
    app = CoopdeckApp(RunningSweep(places.socket(sweep)), theme=DARK)
    async with app.run_test(size=(100, 30)) as pilot:
        await anyio.sleep(UNDER_WAY_S)
        await pilot.pause()
        return app.export_screenshot(title="coopdeck demo")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*COOPDECK, "demo", "--detach", "--speed", SPEED], cwd=folder, check=True)
        try:
            picture = anyio.run(take, Places(Path(folder) / ".coopdeck" / "demo"), "command-a")
        finally:
            subprocess.run([*COOPDECK, "stop", "--now"], cwd=folder, check=True)
            anyio.run(anyio.sleep, 3)
    # The picture stands alone: no font is fetched for it, and a browser's own monospace will do.
    picture = re.sub(r"@font-face\s*{[^}]*}", "", picture)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture)
    print(PICTURE)


if __name__ == "__main__":
    main()
