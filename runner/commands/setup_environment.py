"""The steps of `coopdeck setup` that make cooperbench's environment: room, a Python, the packages, an answer."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from runner.adapters.environment import NEEDED_BYTES, Environment, Wanted, answers, free_bytes
from runner.adapters.following import Ended, follow
from runner.adapters.places import Places
from runner.adapters.program import VERSION
from runner.adapters.pythons import FETCHED, Python, find_python
from runner.adapters.uv import Uv, uv_for
from runner.commands.setup_report import Report
from runner.commands.sweeps import Known
from runner.model.failure import one_line
from runner.model.refusal import PreflightRefused, UsageRefused

DISK, PYTHON, COOPERBENCH = "disk", "python", "cooperbench"
GB = 1e9


class EnvironmentStep:
    """One call's work on `.coopdeck/env`."""

    def __init__(self, root: Path, wanted: Wanted | None, python: Python | None, report: Report) -> None:
        self._root = root
        self._asked = wanted
        self._named = python
        self._report = report
        self._environ = dict(os.environ)
        self._environment = Environment(Places(root).state)

    def run(self) -> Path:
        """The program, installed and answering.

        Raises:
            PreflightRefused: there is no room, no Python, no network, ...
        """
        report, environment = self._report, self._environment
        environment.tidy()
        there = environment.read()
        wanted = self._asked or Wanted(VERSION)
        if there is not None:
            # Nobody asked for another: what is there is what was asked for before.
            wanted = self._asked or Wanted(there.version, there.editable)
            report.begin(COOPERBENCH, "asking it for an answer", spoken=False)
            why = answers(environment.program, self._environ, self._root)
            if not why and there.meets(wanted) and self._fits(there.interpreter):
                report.end(PYTHON, "there", f"{there.python}, {there.interpreter}")
                other = "" if there.editable or there.version == VERSION else f"; coopdeck was tried with {VERSION}"
                report.end(COOPERBENCH, "there", f"{wanted} in {environment.link}{other}")
                return environment.program
            self._nobody_uses_it()
            if why:
                report.say(f"the cooperbench in {environment.link} is made anew: {why}")
        self._room()
        uv = uv_for(self._environ, Path.home())
        self._build(uv, self._python(uv), wanted)
        return environment.program

    def _fits(self, interpreter: Path) -> bool:
        return self._named is None or self._named.path.resolve() == interpreter

    def _nobody_uses_it(self) -> None:
        """A sweep that runs starts every attempt from this environment."""
        places = Places(self._root)
        for name in places.sweeps():
            sweep = Known(name, places)
            try:
                plan = sweep.board().plan if sweep.pid is not None else None
            except UsageRefused:
                plan = None
            if plan is not None and plan.rehearsal is None:
                raise PreflightRefused(
                    f"the environment would be replaced under the sweep '{name}', which runs; "
                    f"wait for it, or end it with: coopdeck stop {name}"
                )

    def _room(self) -> None:
        """Say what is needed before anything is taken; uv keeps what it downloads in a cache, perhaps elsewhere."""
        cache = Path(
            self._environ.get("UV_CACHE_DIR")
            or Path(self._environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
        )
        need, says = f"about {NEEDED_BYTES / GB:g} GB", []
        for what, folder in (("cooperbench", self._environment.builds.parent), ("uv's cache", cache)):
            free = f"{free_bytes(folder) / GB:.1f} GB"
            if free_bytes(folder) < NEEDED_BYTES:
                elsewhere = ", or set UV_CACHE_DIR to a folder on another disk" if folder == cache else ""
                raise PreflightRefused(
                    f"{need} is needed for {what} in {folder}, and {free} are free there; make room{elsewhere}"
                )
            says.append(f"{free} are free")
        self._report.end(DISK, "done", f"{need} is needed; {' and '.join(dict.fromkeys(says))}")

    def _python(self, uv: Uv) -> Python:
        report = self._report
        report.begin(PYTHON, "looking for one", spoken=False)
        home = Path.home()
        python = self._named or find_python(uv, self._environ, home)
        if python is not None:
            report.end(PYTHON, "there", f"{python.shown}, {python.path}")
            return python
        report.doing(f"none of this machine's is new enough: uv fetches {FETCHED}", spoken=True)
        ended = self._follow([uv.program, "python", "install", "--no-bin", FETCHED], uv)
        python = find_python(uv, self._environ, home)
        if python is None:
            raise PreflightRefused(
                f"there is no Python {FETCHED} or newer here, and uv could not fetch one: {reason(ended)}; "
                "install one, or name one with --python"
            )
        report.end(PYTHON, "done", f"fetched {python.shown}, {python.path}")
        return python

    def _build(self, uv: Uv, python: Python, wanted: Wanted) -> None:
        report, environment = self._report, self._environment
        build = environment.new_build(wanted)
        report.begin(COOPERBENCH, f"installing {wanted}")
        try:
            made = self._follow([uv.program, "venv", "--no-project", "--python", python.path, build], uv)
            if made.status != 0:
                raise PreflightRefused(f"uv could not make an environment with {python.path}: {reason(made)}")
            install: list[str | Path] = [uv.program, "pip", "install", *uv.flags, "--python", build / "bin" / "python"]
            install += wanted.requirement
            installed = self._follow(install, uv, Downloads(str(wanted)))
            if installed.status != 0:
                raise PreflightRefused(
                    f"uv could not install {wanted}: {reason(installed)}; mend that and repeat coopdeck setup, "
                    "which goes on with what is downloaded already"
                )
            report.doing(f"installed {wanted}; waiting for its first answer", spoken=True)
            why = answers(build / "bin" / "cooperbench", self._environ, self._root)
            if why:
                raise PreflightRefused(
                    f"{wanted} is installed, but {why}; try another with --version, or another Python with --python"
                )
            environment.adopt(build)
        finally:
            environment.tidy()
        report.end(COOPERBENCH, "done", f"installed {wanted} in {environment.link}")

    def _follow(self, command: Sequence[str | Path], uv: Uv, downloads: "Downloads | None" = None) -> Ended:
        def line(text: str) -> None:
            if text.lstrip().startswith(("+ ", "- ", "Using ", "Creating virtual", "Activate with")):
                return
            if downloads is not None:
                self._report.doing(downloads.after(text))
            self._report.progress(text)

        return follow(command, environ=uv.environ, cwd=self._root, line=line, tick=self._report.tick)


class Downloads:
    """How far an installation is, from what uv says of it: it names the large packages alone."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._packages, self._begun, self._done, self._last = "", 0, 0, ""

    def after(self, line: str) -> str:
        """The installation in a few words, after another line of uv's."""
        text = line.strip()
        if match := re.match(r"Resolved (\d+ packages?)", text):
            self._packages = f": {match[1]}"
        elif text.startswith("Downloading "):
            self._begun, self._last = self._begun + 1, text.removeprefix("Downloading ")
        elif text.startswith("Downloaded "):
            self._done, self._last = self._done + 1, text.removeprefix("Downloaded ")
        elif text.startswith(("Building ", "Prepared ", "Installed ")):
            self._last = text
        downloads = f", {self._done} of {self._begun} large ones fetched" if self._begun else ""
        return f"installing {self._what}{self._packages}{downloads}{f' - {self._last}' if self._last else ''}"


def reason(ended: Ended) -> str:
    """uv's own words for why it failed, as part of a sentence."""
    starts = [at for at, text in enumerate(ended.lines) if re.match(r"\s*(error\b|×|warning: .*failed)", text)]
    told = ended.lines[starts[-1] :] if starts else ended.lines[-1:]
    words = [re.sub(r"^(error|cause|Caused by):\s*", "", text.strip(" ×╰─▶│├\t")) for text in told]
    return one_line("; ".join(word.rstrip(".") for word in words if word)) or f"exit status {ended.status}"
