"""`coopdeck setup`: what a sweep needs on this machine and in this folder; safe to repeat, and to kill."""

import argparse
import os
import re
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from runner.adapters.dataset import missing_texts, read_dataset
from runner.adapters.environment import Wanted
from runner.adapters.following import follow
from runner.adapters.places import absolute
from runner.adapters.program import VERSION
from runner.adapters.pythons import named_python
from runner.adapters.setup_lock import setup_lock
from runner.commands.defaults import FILE, PREFIX, run_settings
from runner.commands.setup_environment import EnvironmentStep
from runner.commands.setup_files import write_env_example, write_settings
from runner.commands.setup_report import Report
from runner.model.failure import one_line
from runner.model.refusal import PreflightRefused, UsageRefused
from runner.model.selection import DatasetIndex

DATASET = "dataset"
NEXT = (
    "next: coopdeck doctor -m MODEL",
    "      coopdeck images pull --subset {0} --smoke 5",
    "      coopdeck run first --subset {0} --smoke 5 -m MODEL --budget 20",
)


def execute(options: argparse.Namespace) -> int:
    """Do what is not done yet; exit status 3 where something cannot be had, and what was done until then stays."""
    root = Path.cwd()
    wanted, python = _wanted(options), named_python(options.python) if options.python is not None else None
    table = run_settings(root)
    dataset = _Dataset(root, options.dataset_dir, table.get("dataset_dir"))
    dataset.check_named()
    report = Report(as_json=bool(options.json))
    try:
        with _ended_by_term(), setup_lock(root, lambda holder: _waits(report, holder)):
            program = EnvironmentStep(root, wanted, python, report).run()
            index = dataset.run(program, report)
            write_settings(root, dataset.named, table, report)
            write_env_example(root, report)
    except (PreflightRefused, UsageRefused) as refused:
        if report.step:
            report.end(report.step, "failed", str(refused))
        raise
    finally:
        report.close()
    subset = "lite" if "lite" in index.subsets else next(iter(index.subsets), "all")
    for line in NEXT:
        report.say(line.format(subset))
    return 0


def _waits(report: Report, holder: str) -> None:
    report.begin("setup", f"waits for another coopdeck setup ({holder}), which is at work in this folder")


def _wanted(options: argparse.Namespace) -> Wanted | None:
    """What the flags ask for; None when they leave it open."""
    if options.editable is None:
        if options.version is None:
            return None
        if not re.fullmatch(r"[0-9][0-9A-Za-z.+!-]{0,60}", options.version):
            raise UsageRefused(f"--version must be a version of cooperbench, like {VERSION}, not '{options.version}'")
        return Wanted(options.version)
    if options.version is not None:
        raise UsageRefused("--version and --editable exclude each other; leave one of them out")
    folder = absolute(Path.cwd(), options.editable).resolve()
    try:
        name = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    if not isinstance(name, str) or name.lower() != "cooperbench":
        raise UsageRefused(
            f"--editable names {folder}, which is no clone of cooperbench: no pyproject.toml there has that name"
        )
    return Wanted(VERSION, folder)


class _Dataset:
    """Upstream's, which `prepare` downloads into ./dataset, or one that the user names."""

    def __init__(self, root: Path, flag: str | None, in_file: object) -> None:
        self._root = root
        variable = os.environ.get(f"{PREFIX}DATASET_DIR")
        text = flag or variable or (in_file if isinstance(in_file, str) else None)
        self.named = absolute(root, text) if text else None
        """The folder, where the user names one; absolute."""
        self._origin = "--dataset-dir" if flag else f"{PREFIX}DATASET_DIR" if variable else f"dataset_dir in {FILE}"

    def check_named(self) -> None:
        """Raises UsageRefused when the folder that is named does not hold all that its features need."""
        if self.named is None:
            return
        missing = missing_texts(self.named, read_dataset(self.named))
        if missing:
            raise UsageRefused(
                f"{self._origin} names {self.named}, where {_count(len(missing), 'file')} of its features "
                f"{'is' if len(missing) == 1 else 'are'} missing or empty, like {missing[0]}; mend it or name another"
            )

    def run(self, program: Path, report: Report) -> DatasetIndex:
        """See that it is there.

        Raises:
            PreflightRefused: it cannot be downloaded.
        """
        index = read_dataset(self.named)
        tasks = sum(len(of_repo) for of_repo in index.features.values())
        if self.named is not None:
            report.end(DATASET, "there", f"{_count(tasks, 'task')} in {self.named}")
            return index
        folder = self._root / DATASET
        if not missing_texts(folder, index):
            report.end(DATASET, "there", f"{_count(tasks, 'task')} in {folder}")
            return index
        report.begin(DATASET, "cooperbench prepare downloads it")

        def line(text: str) -> None:
            report.doing(text)
            report.progress(text)

        environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONUNBUFFERED": "1"} | dict(os.environ)
        ended = follow([program, "prepare"], environ=environ, cwd=self._root, line=line, tick=report.tick)
        missing = missing_texts(folder, index)
        if missing:
            with suppress(OSError):
                folder.rmdir()  # an empty one, which prepare makes before it asks for anything
            # The last word is a lie where it took an unfinished folder for the whole, for want of a connection.
            errors = [text for text in ended.lines if text.startswith(("error:", "Returning existing"))]
            why = one_line((errors or list(ended.lines) or [f"exit status {ended.status}"])[-1]).removeprefix("error: ")
            raise PreflightRefused(
                f"the dataset is not complete in {folder}: cooperbench prepare says '{why}'; repeat coopdeck setup "
                "when its host can be reached, or name a dataset that you have with --dataset-dir"
            )
        report.end(DATASET, "done", f"{_count(tasks, 'task')} in {folder}")
        return index


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


@contextmanager
def _ended_by_term() -> Iterator[None]:
    """Who is told to end cleans up first."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
