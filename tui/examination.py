"""The doctor's findings as lines for the screen, and the command that makes them; both pure."""

import sys
from collections import Counter
from collections.abc import Sequence

from runner.model.board import Board
from runner.model.check import Finding, Variable, Verdict
from styles.themes import Tone
from tui.sanitise import clean
from tui.text import Line, Span

DOCTOR = (sys.executable, "-P", "-m", "runner.cli", "doctor", "--json")
"""In a process of its own: what it looks with (litellm, disks that may hang) never comes into the dashboard's."""
NOTE = "A rehearsal needs none of this; a real sweep would."
INDENT = 22
_TONES: dict[Verdict, Tone] = {"ok": "ok", "warn": "warn", "fail": "error", "skipped": "muted"}


def doctor_command(board: Board | None) -> tuple[str, ...]:
    """What looks at the machine for the sweep in view; for the project's own settings where there is none to run."""
    plan = board.plan if board else None
    # A run that was only opened has no program either.
    if board is None or plan is None or plan.rehearsal is not None or not plan.program:
        return DOCTOR
    pairs = dict.fromkeys(row.spec.pair for row in (board.jobs[job] for job in board.order))
    argv = [*DOCTOR, "--agent", plan.agent, "--settings", ",".join(plan.settings), "--slots", str(plan.slots)]
    argv += ["--backend", plan.backend, "--cooperbench", plan.program[0], "--log-dir", plan.logs_dir]
    argv += [part for model in plan.models for part in ("--model", model)]
    argv += ["--pairs", ",".join(f"{pair.repo}/{pair.task}/{pair.folder}" for pair in pairs)] if pairs else []
    for flag, value in (
        ("--dataset-dir", plan.dataset_dir), ("--agent-config", plan.agent_config), ("--redis", plan.redis),
    ):  # fmt: skip
        argv += [flag, value] if value is not None else []
    argv += ["--git"] if plan.git else []
    return (*argv, *(("--", *plan.extra) if plan.extra else ()))


def examination_lines(
    findings: Sequence[Finding],
    variables: Sequence[Variable],
    width: int,
    *,
    ascii_only: bool,
    rehearsal: bool = False,
) -> list[Line]:
    """A line for each finding and each variable, folded to the width under its own beginning."""
    lines: list[Line] = [(Span(part, "title"),) for part in folded(NOTE, width)] if rehearsal else []
    for finding in findings:
        words = clean(finding.sentence, ascii_only=ascii_only)
        check = clean(finding.check, ascii_only=ascii_only)
        parts = folded(words, width - INDENT)
        head = (Span(f"{finding.verdict:8}", _TONES[finding.verdict]), Span(f"{check:{INDENT - 8}}", "strong"))
        lines.append((*head, Span(parts[0])))
        lines += [(Span(" " * INDENT), Span(part)) for part in parts[1:]]
    if variables:
        lines += [(), (Span("what agents find in their environment (secrets masked)", "title"),)]
    for variable in variables:
        shown = clean(f"{variable.name}={variable.value}  ({variable.origin})", ascii_only=ascii_only)
        lines += [(Span(f"  {part}"),) for part in folded(shown, width - 2)]
    return lines


def verdict_of(findings: Sequence[Finding], *, over: bool, rehearsal: bool = False) -> str:
    """The whole in a few words; in a rehearsal of the real sweep that might follow."""
    if not over:
        return "looking ..."
    count = Counter(finding.verdict for finding in findings)
    doubts = f", {count['warn']} to be aware of" if count["warn"] else ""
    if rehearsal:
        return (f"{count['fail']} to be mended before" if count["fail"] else "ready for") + f" a real sweep{doubts}"
    return (f"{count['fail']} to be mended" if count["fail"] else "ready for a sweep") + doubts


def folded(text: str, width: int) -> list[str]:
    """The text's words in lines of at most `width` characters; a longer word is cut where the line ends."""
    lines = [""]
    for word in text.split(" "):
        room = width - len(lines[-1]) - (1 if lines[-1] else 0)
        if len(word) <= room:
            lines[-1] += f" {word}" if lines[-1] else word
            continue
        if lines[-1]:
            lines.append("")
        pieces = [word[at : at + width] for at in range(0, len(word), max(1, width))] or [""]
        lines[-1] = pieces[0]
        lines += pieces[1:]
    return lines
