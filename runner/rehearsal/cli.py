"""cooperbench's command line."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from runner.rehearsal.config import Config, ConfigError, read_config
from runner.rehearsal.console import say
from runner.rehearsal.evaluate import eval_command
from runner.rehearsal.faults import Plan, read_plan
from runner.rehearsal.hook import open_hook
from runner.rehearsal.job import Order
from runner.rehearsal.run import run_command
from runner.rehearsal.selection import Pair, select

SHORT_AGENTS = {
    "mini_swe_agent_v2": "msa_v2",
    "swe_agent": "sw",
    "openhands_sdk": "oh",
    "claude_code": "cc",
    "codex": "cx",
}
TEAM_FEATURES = ("task-list", "scratchpad", "mcp", "auto-refresh", "protocol")


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        config = read_config()
        plan = read_plan(config.faults)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if args.command == "prepare":
        say("done: nothing to download, the rehearsal carries its own dataset index")
        return 0
    if args.command == "eval":
        return _eval(args, config, plan)
    return _run(args, config, plan)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cooperbench", description="A rehearsal of cooperbench: same files, no money."
    )
    # Without `prog` argparse builds a formatter, which imports shutil: 3 ms of every process.
    commands = parser.add_subparsers(dest="command", required=True, prog="cooperbench")
    commands.add_parser("prepare").add_argument("--force", action="store_true")

    run = commands.add_parser("run")
    _add_selection(run, concurrency=30)
    run.add_argument("-m", "--model", default="vertex_ai/gemini-3-flash-preview")
    run.add_argument("-a", "--agent", default="mini_swe_agent_v2")
    run.add_argument("--setting", choices=["coop", "solo", "team"], default="coop")
    for feature in TEAM_FEATURES:
        run.add_argument(f"--team-no-{feature}", action="store_true")
    run.add_argument("--redis", default="redis://localhost:6379")
    run.add_argument("--git", action="store_true")
    run.add_argument("--no-messaging", action="store_true")
    run.add_argument("--no-auto-eval", action="store_true")
    run.add_argument("--eval-concurrency", type=int, default=10)
    run.add_argument("--agent-config")
    run.add_argument("--base-url")
    run.add_argument("--auth-token")

    _add_selection(commands.add_parser("eval"), concurrency=10)
    return parser


def _add_selection(parser: argparse.ArgumentParser, *, concurrency: int) -> None:
    parser.add_argument("-n", "--name")
    parser.add_argument("-s", "--subset")
    parser.add_argument("-r", "--repo")
    parser.add_argument("-t", "--task", type=int)
    parser.add_argument("-f", "--features")
    parser.add_argument("-c", "--concurrency", type=int, default=concurrency)
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--backend", choices=["modal", "docker", "gcp"], default="docker")
    parser.add_argument("--dataset-dir")
    parser.add_argument("--log-dir")


def _run(args: argparse.Namespace, config: Config, plan: Plan) -> int:
    order = Order(
        name=args.name or _run_name(args),
        setting=args.setting,
        model=args.model,
        agent=args.agent,
        force=args.force,
        git=args.git,
        messaging=not args.no_messaging,
        logs=Path(args.log_dir or "logs"),
        team_features={
            feature.replace("-", "_"): not getattr(args, f"team_no_{feature}".replace("-", "_"))
            for feature in TEAM_FEATURES
        },
        config=config,
        plan=plan,
        hook=open_hook(),
    )
    pairs = select(args.subset, args.repo, args.task, _features(args))
    return run_command(order, pairs, concurrency=args.concurrency, auto_eval=not args.no_auto_eval)


def _eval(args: argparse.Namespace, config: Config, plan: Plan) -> int:
    if not args.name:
        sys.stderr.write("error: -n/--name is required for eval command\n")
        return 1
    chosen = args.subset or args.repo or args.task or args.features
    return eval_command(
        name=args.name,
        root=Path(args.log_dir or "logs") / args.name,
        wanted=_wanted(args) if chosen else None,
        force=args.force,
        backend=args.backend,
        config=config,
        plan=plan,
    )


def _wanted(args: argparse.Namespace) -> list[Pair]:
    return select(args.subset, args.repo, args.task, _features(args))


def _features(args: argparse.Namespace) -> tuple[int, ...] | None:
    if not args.features:
        return None
    return tuple(int(feature.strip()) for feature in args.features.split(","))


def _run_name(args: argparse.Namespace) -> str:
    model = re.sub(r"-(preview|latest|turbo)$", "", args.model.rsplit("/", 1)[-1])
    parts = [args.setting, SHORT_AGENTS.get(args.agent, args.agent[:2])]
    parts += ["git"] if args.git else []
    parts.append(re.sub(r"[^a-zA-Z0-9]+", "-", model).strip("-").lower())
    parts += [args.subset] if args.subset else []
    parts += [args.repo.replace("_task", "").replace("_", "-")] if args.repo else []
    parts += [str(args.task)] if args.task is not None else []
    return "-".join(parts)
