"""Whether the program that was named is cooperbench, and one that we know."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from runner.adapters.ping import Asked, Told, ask_models, program_python
from runner.adapters.program import VERSION, find_cooperbench
from runner.checks.wanted import Wanted
from runner.model.check import Finding
from runner.model.failure import one_line
from runner.model.refusal import PreflightRefused, UsageRefused

CLI_S = 120.0
_FLAGS = ("--no-auto-eval", "--agent-config", "--setting")
"""Of `cooperbench run --help`: what every attempt passes."""


def check_program(wanted: Wanted, *, quick: bool = False) -> list[Finding]:
    """Two lines: its Python with the version of cooperbench in it, and whether its command line answers.

    `quick` leaves the second out where the first tells enough: it costs 3 s of CPU, and tells which flags there are.
    """
    try:
        program = find_cooperbench(wanted.program, wanted.root)
    except (PreflightRefused, UsageRefused) as refusal:
        return [Finding("cooperbench", "fail", str(refusal))]
    python = program_python(program)
    findings = [_version(program, wanted)] if python is not None else []
    if quick and not wanted.extra and findings and findings[0].verdict != "fail":
        return findings
    if not findings or findings[0].verdict != "fail":
        findings.append(_command_line(program, wanted))
    return findings


def _version(program: Path, wanted: Wanted) -> Finding:
    told: Told = ask_models(program, Asked((), wanted.agent, None, ping=False), wanted.environment(), wanted.root)
    version, python = told.python.get("cooperbench"), told.python.get("python")
    if python is None:
        return Finding("cooperbench", "fail", f"the Python of {program} does not run: {one_line(told.trouble)}",
                       "run coopdeck setup to make its environment anew")  # fmt: skip
    if version is None:
        return Finding("cooperbench", "fail", f"{program} is not cooperbench: its Python has no such package",
                       "name the right one with --cooperbench, or run coopdeck setup")  # fmt: skip
    says = f"cooperbench {version} on Python {python}, litellm {told.python.get('litellm') or 'missing'}: {program}"
    if told.python.get("litellm") is None:
        return Finding("cooperbench", "fail", says, "run coopdeck setup to mend its environment")
    agents = told.python.get("agents") or []
    if agents and wanted.agent not in agents:
        return Finding("cooperbench", "fail", f"cooperbench {version} knows no agent '{wanted.agent}'",
                       f"correct --agent: it knows {', '.join(agents)}; "
                       "or name the module of your own in COOPERBENCH_EXTERNAL_AGENTS")  # fmt: skip
    if version != VERSION:
        return Finding("cooperbench", "warn", says, f"coopdeck is made for {VERSION}: try a sweep of --smoke 1 first")
    return Finding("cooperbench", "ok", says)


def _command_line(program: Path, wanted: Wanted) -> Finding:
    remedy = "name the right one with --cooperbench, or run coopdeck setup"
    try:
        done = subprocess.run(
            [program, "run", "--help"],
            cwd=wanted.root,
            env=wanted.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLI_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("command line", "fail", f"{program} run --help said nothing within {CLI_S:g} s", remedy)
    except OSError as error:
        return Finding("command line", "fail", f"{program} cannot be run: {error.strerror}", remedy)
    if done.returncode or not all(flag in done.stdout for flag in _FLAGS):
        last = one_line((done.stderr.strip().splitlines() or [""])[-1])
        says = f"{program} does not answer as cooperbench does" + (f": {last}" if last else "")
        return Finding("command line", "fail", says, remedy)
    if unknown := unknown_flag(wanted.extra, re.findall(r"--[a-z][a-z-]*", done.stdout)):
        says = f"cooperbench run knows no flag {unknown}, which stands behind --"
        return Finding("command line", "fail", says, f"correct it: {program} run --help lists them")
    return Finding("command line", "ok", "cooperbench run answers and knows the flags that attempts pass")


def unknown_flag(arguments: Sequence[str], known: Sequence[str]) -> str | None:
    """The first flag among the arguments that is none of those that are known, and no beginning of one."""
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    return next((flag for flag in flags if not any(one.startswith(flag) for one in known)), None)
