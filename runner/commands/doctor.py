"""`coopdeck doctor`: is everything there that a sweep needs, and if not, how it is mended."""

import argparse
import json
import shutil
import sys
import textwrap
from collections import Counter
from pathlib import Path

from runner.adapters.dataset import read_dataset
from runner.adapters.places import absolute
from runner.checks.all import all_checks
from runner.checks.running import Check, run_checks
from runner.checks.surroundings import agents_variables
from runner.checks.wanted import Wanted
from runner.commands.defaults import OPTIONS
from runner.commands.planning import check_files, check_redis
from runner.commands.upstream_flags import check_extra
from runner.model.check import Finding, Variable
from runner.model.hidden import plain
from runner.model.ids import PairId
from runner.model.plan import AGENT
from runner.model.queue import check_models, check_settings
from runner.model.refusal import UsageRefused
from runner.model.selection import select_pairs, usual_subset
from runner.model.settings import DEFAULT_SETTINGS

INDENT = 22
NOT_READY = 3


def execute(options: argparse.Namespace) -> int:
    """A line for every check as soon as it is there; exit status 3 when one fails, else 0."""
    root = Path.cwd()
    wanted, refused = wanted_of(options, root)
    checks = all_checks(wanted, OPTIONS)
    if refused is not None:
        found = refused
        checks = tuple(Check(one.name, lambda: [found]) if one.name == "dataset" else one for one in checks)
    count: Counter[str] = Counter()
    for findings in run_checks(checks):
        for finding in findings:
            count[finding.verdict] += 1
            _print(finding.shape if options.json else _lines(finding))
    variables = agents_variables(wanted)
    if not options.json:
        print("\nwhat the agents will find in their environment (secrets masked):")
    for variable in variables:
        _print(variable.shape if options.json else variable_line(variable))
    if options.json:
        _print({"type": "summary", **{verdict: count[verdict] for verdict in ("ok", "warn", "fail", "skipped")}})
    else:
        print("\n" + (f"{count['fail']} to be mended" if count["fail"] else "ready for a sweep")
              + (f", {count['warn']} to be aware of" if count["warn"] else ""))  # fmt: skip
    return NOT_READY if count["fail"] else 0


def wanted_of(options: argparse.Namespace, root: Path) -> tuple[Wanted, Finding | None]:
    """The sweep that the options describe, and what is wrong with the dataset they name.

    Raises:
        UsageRefused: an option cannot be meant.
    """
    check_extra(options.extra)
    check_files(options, root)
    check_redis(options)
    dataset = str(absolute(root, options.dataset_dir)) if options.dataset_dir else None
    refused: Finding | None = None
    pairs: tuple[PairId, ...] = ()
    try:
        index = read_dataset(Path(dataset) if dataset else None)
    except UsageRefused as refusal:
        refused = Finding("dataset", "fail", str(refusal))
    else:
        named = options.subset or options.repo or options.pairs
        pairs = select_pairs(
            index,
            subset=options.subset if named else usual_subset(index),
            repos=options.repo,
            task=options.task,
            pairs=options.pairs,
            smoke=options.smoke,
        )
    wanted = Wanted(
        root=root,
        program=options.cooperbench,
        models=check_models(options.model) if options.model else (),
        agent=options.agent or AGENT,
        agent_config=str(absolute(root, options.agent_config)) if options.agent_config else None,
        pairs=pairs,
        settings=check_settings(options.settings or DEFAULT_SETTINGS),
        slots=options.slots or 4,
        backend=options.backend or "docker",
        dataset_dir=dataset,
        logs_dir=str(absolute(root, options.log_dir)) if options.log_dir else None,
        redis=options.redis,
        git=bool(options.git),
        extra=options.extra,
        ping=not options.no_ping,
        priced=frozenset(options.prices),
    )
    return wanted, refused


def variable_line(variable: Variable) -> str:
    return plain(f"  {variable.name}={variable.value}  ({variable.origin})")


def _lines(finding: Finding) -> str:
    """One line; folded where a terminal reads it."""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    line = plain(f"{finding.verdict:8}{finding.check:{INDENT - 8}}{finding.says}{remedy}")
    if not sys.stdout.isatty():
        return line
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(line, width, subsequent_indent=" " * INDENT, break_on_hyphens=False)


def _print(line: dict[str, object] | dict[str, str] | str) -> None:
    print(line if isinstance(line, str) else json.dumps(line), flush=True)
