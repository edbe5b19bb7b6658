"""A `cooperbench` of a few lines: its `main` runs the Python it is given, its import does what the test says."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from runner.adapters.processes import ProcessLauncher
from runner.adapters.warm import Recipe
from runner.adapters.warm_launcher import WarmLauncher
from runner.engine.ports import LaunchOrder

WAIT = "import os, time; print('up', os.getppid(), flush=True); time.sleep(60)"
CLI = """
import os, sys
WARM = os.environ.get("COOPDECK_TOKEN", "-")[:1] == "-"
SEEN = dict(os.environ)
exec(os.environ.get("FAKE_IMPORT", ""))
STATE = []

def main():
    exec(sys.argv[1], {"STATE": STATE, "SEEN": SEEN})
"""
SCRIPT = """#!{python}
import sys
from cooperbench.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""


@dataclass
class WarmBed:
    """A folder with the package and its program, and launchers for it."""

    folder: Path
    fell: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        package = self.folder / "site" / "cooperbench"
        (package / "runner").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "runner" / "__init__.py").touch()
        (package / "cli.py").write_text(CLI)
        self.program = self.folder / "cooperbench"
        self.program.write_text(SCRIPT.format(python=sys.executable))
        self.program.chmod(0o755)

    def order(self, code: str, token: str = "t", name: str = "attempt", imports: str = "") -> LaunchOrder:
        """For either launcher."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "COOPDECK_TOKEN": token, "COOPDECK_PROBE": str(folder / "probe.jsonl")}
        environment |= {"PYTHONPATH": str(self.folder / "site"), "FAKE_IMPORT": imports}
        return LaunchOrder((str(self.program), code), environment, folder, folder)

    def warm(self, *, insist: bool = False) -> WarmLauncher:
        async def fell_back(reason: str) -> None:
            await anyio.lowlevel.checkpoint()
            self.fell.append(reason)

        recipe = Recipe(self.program, self.folder / "warm.log")
        return WarmLauncher(ProcessLauncher(), recipe, insist=insist, fell_back=fell_back, note=self.notes.append)

    def said(self, name: str = "attempt") -> str:
        return (self.folder / name / "output.log").read_text()

    async def until_said(self, words: str, name: str = "attempt") -> str:
        """Until a line is whole that has these words."""
        with anyio.fail_after(40):
            while not any(words in line and line.endswith("\n") for line in self._lines(name)):
                await anyio.sleep(0.01)
        return self.said(name)

    def _lines(self, name: str) -> list[str]:
        try:
            return self.said(name).splitlines(keepends=True)
        except FileNotFoundError:
            return []


async def forked_by(bed: WarmBed, name: str = "attempt") -> int:
    return int((await bed.until_said("up", name)).split()[1])
