"""The files that `coopdeck setup` gives a new project: never one in the place of another."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from runner.adapters.places import Places
from runner.commands.defaults import FILE
from runner.commands.setup_report import Report

EXAMPLE = ".env.example"
_PLACE = "@dataset_dir@"


def write_settings(root: Path, dataset_dir: Path | None, table: dict[str, Any], report: Report) -> None:
    """`coopdeck.toml`, which remembers the dataset's folder; `table` is what one that is there says."""
    line = '# dataset_dir = "dataset"          # one of your own; else ./dataset, where `cooperbench prepare` puts it'
    if dataset_dir is not None:
        # TOML's strings are JSON's.
        line = f"dataset_dir = {json.dumps(_shown(dataset_dir, root), ensure_ascii=False)}"
    if _write_new(root, FILE, _template("coopdeck.toml").replace(_PLACE, line)):
        report.end(FILE, "done", "written, with every setting in a comment")
        return
    says = f"{root / FILE}, left as it is"
    if dataset_dir is not None and table.get("dataset_dir") not in {str(dataset_dir), _shown(dataset_dir, root)}:
        says += f"; for this dataset write below [run]: {line}"
    report.end(FILE, "there", says)


def write_env_example(root: Path, report: Report) -> None:
    if _write_new(root, EXAMPLE, _template("env.example")):
        report.end(EXAMPLE, "done", "written; copy it to .env and fill in your model's key")
    else:
        report.end(EXAMPLE, "there", f"{root / EXAMPLE}, left as it is")


def _shown(folder: Path, root: Path) -> str:
    """A folder of the project by its name in it: the project may move."""
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else str(folder)


def _template(name: str) -> str:
    return (files("runner") / "data" / name).read_text(encoding="utf-8")


def _write_new(root: Path, name: str, text: str) -> bool:
    """Put a file there whole, unless one is there; says whether it did."""
    path, part = root / name, Places(root).state / f"{name.lstrip('.')}.part"
    if os.path.lexists(path):
        return False
    part.write_text(text, encoding="utf-8")
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    finally:
        part.unlink()
    return True
