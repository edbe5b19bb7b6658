"""The command line: what is asked for, and which command does it. Light, for `--help` must not wait."""

import argparse
import gc
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

from runner import __version__
from runner.model.hidden import plain
from runner.model.refusal import PreflightRefused, UsageRefused

RESULTS, FAILED, USAGE, PREFLIGHT, INTERRUPTED = 0, 1, 2, 3, 130
DEMO = {"sweep": "command-a", "rehearse": True, "subset": "lite", "model": ["command-a"], "agent": "mini_swe_agent_v2"}
"""The recorded sweep, rehearsed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    _open_what_is_closed()
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except SystemExit as asked:
        return asked.code if isinstance(asked.code, int) else RESULTS
    except BaseException as error:
        # Task groups wrap what happens in them.
        cause = error
        while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
            cause = cause.exceptions[0]
        match cause:
            case UsageRefused():
                return _refuse(str(cause), USAGE)
            case PreflightRefused():
                return _refuse(str(cause), PREFLIGHT)
            case KeyboardInterrupt():
                return INTERRUPTED
            case BrokenPipeError():
                return _unread(argv)
            case OSError():
                where = f"{cause.filename}: " if cause.filename else ""
                return _refuse(f"{where}{cause.strerror or cause}", PREFLIGHT)
        raise


def _run(arguments: list[str]) -> int:
    options = parse(arguments)
    root = _here()
    if options.command in {"run", "demo", "doctor", "images"}:
        from runner.commands.defaults import resolve

        resolve(options, os.environ, root, flags_only=options.command == "demo")
    name = "dry_run" if getattr(options, "dry_run", None) else options.command
    if name is None:
        name = "overview"
    gc.disable()  # what is imported stays, and a command seldom makes garbage before it begins
    try:
        command = import_module(f"runner.commands.{name}")
    finally:
        gc.enable()
    status: int = command.execute(options)
    return status


def _here() -> Path:
    """The folder one stands in. Raises PreflightRefused where nothing can be kept in it."""
    try:
        root = Path.cwd()
    except FileNotFoundError:
        raise PreflightRefused("the folder you stand in is gone; go into another one") from None
    if not _is_text(str(root)):
        raise PreflightRefused(f"the name of this folder is no text in UTF-8: {root}; rename it, or go into another")
    return root


def _is_text(text: str) -> bool:
    """Bytes that are no UTF-8 come as lone surrogates, which no ledger and no JSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open_what_is_closed() -> None:
    """Standard files that the caller has closed (`>&-`): no ledger or socket may come to stand in their place."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # what the terminal's encoding has not must end no command
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the process's life


def _unread(argv: Sequence[str] | None) -> int:
    """Whoever read our output has enough of it (`coopdeck ls | head`); the interpreter must not flush again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    asked = sys.argv[1:] if argv is None else argv
    # A sweep goes on in the background: nobody can say yet that every job has a result.
    watches = asked[:1] in (["run"], ["demo"]) and "--dry-run" not in asked
    return FAILED if watches else RESULTS


def _refuse(says: str, status: int) -> int:
    line = plain(says.strip().replace("\n", " "))
    print(f"coopdeck: {line}", file=sys.stderr)
    return status


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of a command line; `extra` holds what stands behind `--`.

    Raises:
        UsageRefused: it cannot be understood.
    """
    extra: tuple[str, ...] = ()
    if "--" in arguments:
        at = arguments.index("--")
        arguments, extra = arguments[:at], tuple(arguments[at + 1 :])
    odd = next((argument for argument in (*arguments, *extra) if not _is_text(argument)), None)
    if odd is not None:
        raise UsageRefused(f"'{odd}' is no text in UTF-8; name it otherwise")
    parser, commands = _parser()
    first = next((argument for argument in arguments if not argument.startswith("-")), None)
    if first is not None and first not in commands and arguments[0] == first:
        raise UsageRefused(f"there is no command '{first}'; {_meant(first, list(commands))}")
    options, rest = parser.parse_known_args(arguments)
    if rest:
        known = commands[options.command] if options.command else parser
        # Flags first: the value of an unknown flag looks like a word too many.
        odd = next((word for word in rest if word.startswith("-")), rest[0])
        if odd.startswith("-"):
            flags = [flag for action in known._actions for flag in action.option_strings]
            name = f"{odd.partition('=')[0]}"
            raise UsageRefused(f"there is no flag '{name}' here; {_meant(name, flags, known.prog)}")
        raise UsageRefused(f"'{odd}' is one word too many; see {known.prog} --help")
    if extra and options.command not in {"run", "doctor"}:
        raise UsageRefused("only coopdeck run takes arguments after --, for upstream's run")
    options.extra = extra
    return options


def _meant(name: str, choices: list[str], prog: str = "coopdeck") -> str:
    close = get_close_matches(name, choices, 1, 0.6)
    return f"did you mean '{close[0]}'?" if close else f"see {prog} --help"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        where, _, problem = message.removeprefix("argument ").partition(": ")
        flag = where.rpartition("/")[2]
        if problem.startswith("expected one argument"):
            raise UsageRefused(f"{flag} needs a value; see {self.prog} --help")
        if message.startswith("the following arguments are required: "):
            names = message.rpartition(": ")[2]
            raise UsageRefused(f"{names} {'are' if ',' in names else 'is'} missing; see {self.prog} --help")
        if choice := re.match(r"invalid choice: (.*) \(choose from (.*)\)", problem):
            raise UsageRefused(f"{where} must be one of {choice[2].replace(chr(39), '')}, not {choice[1]}")
        if problem.startswith("not allowed with argument "):
            raise UsageRefused(f"{flag} and {problem.rpartition(' ')[2]} exclude each other; leave one of them out")
        raise UsageRefused(f"{message}; see {self.prog} --help")


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser(
        prog="coopdeck",
        description="Run CooperBench sweeps and watch them. Without a command: the dashboard of the sweep that runs.",
        epilog="Exit status of run: 0 every job has a result, 1 not every one, 2 the command cannot be meant, "
        "3 something is missing on the machine, 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"coopdeck {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    def command(name: str, says: str, *, sweep: bool = True, json: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=says, description=says, allow_abbrev=False)
        if sweep:
            made.add_argument("sweep", nargs="?", metavar="SWEEP", help="its name; else the one that runs or is newest")
        if json:
            made.add_argument("--json", action="store_true", default=None, help="JSON, one object a line")
        return made

    setup = command("setup", "Make what a sweep needs here; safe to repeat.", sweep=False, json=True)
    setup.add_argument("--python", metavar="PATH", help="the Python for cooperbench, 3.12 or newer (default: found)")
    setup.add_argument("--version", metavar="V", help="cooperbench's version (default: what is there, else 0.0.29)")
    setup.add_argument("--editable", metavar="DIR", help="a clone of cooperbench, to be patched there")
    setup.add_argument("--dataset-dir", metavar="DIR", help="a dataset of your own (default: upstream's, downloaded)")
    _run_flags(command("run", "Start a sweep, or go on with one of that name.", json=True))
    demo = command(
        "demo", "Rehearse the recorded sweep of 300 jobs: no Docker, no key, no money.", sweep=False, json=True
    )
    _add_some(demo, "settings", "smoke", "slots", "stall", "speed", "seed", "faults", "detach", "headless")
    demo.set_defaults(**DEMO)
    command("attach", "Open the dashboard of a sweep.")
    command("status", "How far a sweep is.", json=True)
    stop = command("stop", "Stop a sweep: what runs may finish, nothing new starts.")
    stop.add_argument("--now", action="store_true", help="end what runs as well; it stays resumable")
    retry = command("retry", "Queue jobs of a running sweep again.")
    which = retry.add_mutually_exclusive_group()
    which.add_argument("--pair", metavar="PAIR", help="the jobs of this pair that have no result")
    which.add_argument("--failed", action="store_true", help="all jobs that failed (the default)")
    retry.add_argument(
        "--running", action="store_true", help="with --pair: end its attempts that run, and queue those jobs again"
    )
    evaluate = command(
        "eval", "Test the results of a sweep that were not tested yet, with cooperbench eval.", json=True
    )
    evaluate.add_argument("-c", "--slots", metavar="N", help="evaluations at a time (default: the sweep's slots)")
    command("report", "What came out of a sweep and what it cost.", json=True)
    clean = command("clean", "What ended sweeps have left behind; removes it after asking.", sweep=False, json=True)
    clean.add_argument("--yes", action="store_true", help="remove it without asking")
    clean.add_argument("--attempts", action="store_true", help="the attempts of finished sweeps too: logs of failures")
    command("ls", "All sweeps of this project.", sweep=False, json=True)
    opened = command("open", "Look at a finished run, whoever launched it.", sweep=False, json=True)
    opened.add_argument("folder", metavar="LOGS/NAME", help="a run's folder, or a setting's or a pair's in it")
    doctor = command("doctor", "Is everything there that a sweep needs? How to mend it.", sweep=False, json=True)
    _add_some(doctor, *_LOOKED_AT)
    images = command("images", "What Docker images a selection needs; gets, checks or removes them.", sweep=False)
    images.add_argument("what", nargs="?", choices=("list", "pull", "verify", "prune"), default="list", metavar="WHAT",
                        help="list (the default), pull, verify or prune")  # fmt: skip
    _add_some(images, "subset", "repo", "task", "pairs", "smoke", "dataset_dir")
    images.add_argument("--again", action="store_true", help="verify: look into those too that were found good before")
    images.add_argument("--yes", action="store_true", help="prune, or pull onto a disk that looks too small, unasked")
    images.add_argument("--json", action="store_true", default=None, help="JSON, one object a line")
    logs = command("logs", "Where the logs of a pair's attempts are.", sweep=False)
    logs.add_argument("sweep", metavar="SWEEP")
    logs.add_argument("pair", metavar="PAIR", help="repo/task/f1_f2")
    return parser, dict(commands.choices)


_FLAGS: dict[str, tuple[tuple[str, ...], str | None, str]] = {
    "settings": (("--settings",), "A,B", "solo, coop-comm, coop-nocomm, team (default: the first three)"),
    "subset": (("--subset",), "NAME", "lite, flash, one of your dataset's, or all"),
    "repo": (("--repo",), "REPO", "only this repo; may be repeated"),
    "task": (("--task",), "ID", "only this task"),
    "pairs": (("--pairs",), "PAIRS", "these pairs alone: repo/task/f1_f2, or f1_f2 with --repo and --task"),
    "smoke": (("--smoke",), "N", "only the first N pairs"),
    "model": (("-m", "--model"), "MODEL", "as litellm names it; may be repeated"),
    "agent": (("-a", "--agent"), "AGENT", "upstream's agent (default: mini_swe_agent_v2)"),
    "slots": (("-c", "--slots"), "N", "attempts at a time (default: 4)"),
    "attempts": (("--attempts",), "N", "tries per job when the infrastructure fails (default: 3)"),
    "timeout": (("--timeout",), "TIME", "per attempt: 90s, 15m, 2h (default: 60m)"),
    "stall": (("--stall",), "TIME", "call a job stuck when nothing in it moves for this long (default: 10m)"),
    "budget": (("--budget",), "USD", "start nothing new when this much is spent"),
    "repeats": (("--repeats",), "K", "run every pair K times (default: 1)"),
    "git": (("--git",), None, "let cooperating agents share a git remote"),
    "agent_config": (("--agent-config",), "FILE", "upstream's agent configuration"),
    "backend": (("--backend",), "NAME", "docker, modal or gcp (default: docker)"),
    "redis": (
        ("--redis",),
        "URL",
        "the Redis for agents that talk, or: own (default: one at hand, else own)",
    ),
    "no_pull": (("--no-pull",), None, "refuse to start where a job's image is not here, instead of getting it"),
    "dataset_dir": (("--dataset-dir",), "DIR", "a dataset of your own"),
    "log_dir": (("--log-dir",), "DIR", "where results are delivered (default: ./logs)"),
    "cooperbench": (("--cooperbench",), "PATH", "the program (default: .coopdeck/env/bin/cooperbench)"),
    "launcher": (("--launcher",), "HOW", "auto, warm (import cooperbench once, fork attempts) or cli (default: auto)"),
    "eval": (("--eval",), None, "let cooperbench test each result when its agents are done"),
    "force": (("--force",), None, "run jobs again that have results already"),
    "no_ping": (("--no-ping",), None, "do not ask the models for one token beforehand"),
    "rehearse": (("--rehearse",), None, "against the built-in double: no Docker, no key, no money"),
    "speed": (("--speed",), "X", "recorded seconds per real second of a rehearsal (default: 60)"),
    "seed": (("--seed",), "N", "of a rehearsal (default: 0)"),
    "faults": (("--faults",), "FILE", "which attempts of a rehearsal fail, and how"),
    "dry_run": (("--dry-run",), None, "print the plan and start nothing"),
    "detach": (("--detach",), None, "return at once; the sweep goes on"),
    "headless": (("--headless",), None, "a line for every change instead of the dashboard"),
}
_LOOKED_AT = (
    "model", "agent", "settings", "subset", "repo", "task", "pairs", "smoke", "slots", "git", "agent_config", "backend",
    "redis", "dataset_dir", "log_dir", "cooperbench", "no_ping",
)  # fmt: skip
"""What the doctor wants to know of a sweep."""
_REPEATABLE = {"settings", "repo", "pairs", "model"}


def _run_flags(parser: argparse.ArgumentParser) -> None:
    _add_some(parser, *_FLAGS)
    parser.usage = "coopdeck run [SWEEP] --subset NAME -m MODEL [FLAGS] [-- what else upstream's run takes]"


def _add_some(parser: argparse.ArgumentParser, *names: str) -> None:
    # Every default is None: what was not given here may stand in the environment or in coopdeck.toml.
    for name in names:
        flags, metavar, says = _FLAGS[name]
        if metavar is None:
            parser.add_argument(*flags, dest=name, action="store_true", default=None, help=says)
        else:
            action = "append" if name in _REPEATABLE else "store"
            parser.add_argument(*flags, dest=name, action=action, metavar=metavar, help=says)


if __name__ == "__main__":
    sys.exit(main())
