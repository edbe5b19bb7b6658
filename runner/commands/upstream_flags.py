"""What may stand behind `--`: arguments for upstream's `run` that coopdeck has no business with."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from runner.model.refusal import UsageRefused

OURS = {
    "--name": "the sweep's name gives it",
    "--subset": "pass --subset before the --",
    "--repo": "pass --repo before the --",
    "--task": "pass --task before the --",
    "--features": "pass --pairs before the --",
    "--model": "pass -m before the --",
    "--agent": "pass -a before the --",
    "--concurrency": "pass -c before the --",
    "--setting": "pass --settings before the --",
    "--redis": "pass --redis before the --",
    "--force": "pass --force before the --",
    "--git": "pass --git before the --",
    "--no-messaging": "the setting coop-nocomm is that",
    "--no-auto-eval": "coopdeck sets it unless --eval stands before the --",
    "--eval-concurrency": "an attempt evaluates its own result alone",
    "--backend": "pass --backend before the --",
    "--agent-config": "pass --agent-config before the --",
    "--dataset-dir": "pass --dataset-dir before the --",
    "--log-dir": "pass --log-dir before the --",
    "--auth-token": "a secret must not stand in a command line: set ANTHROPIC_AUTH_TOKEN or put it into .env",
    "--help": "see cooperbench run --help",
}
THEIRS = (
    "--base-url", "--team-no-task-list", "--team-no-scratchpad", "--team-no-mcp", "--team-no-auto-refresh",
    "--team-no-protocol",
)  # fmt: skip
_SHORT = {
    "-n": "--name", "-s": "--subset", "-r": "--repo", "-t": "--task", "-f": "--features", "-m": "--model",
    "-a": "--agent", "-c": "--concurrency", "-h": "--help",
}  # fmt: skip

_SECRET = frozenset({"password", "passwd", "secret", "token", "access_token", "key", "api_key", "apikey", "api-key"})


def check_extra(arguments: Sequence[str]) -> None:
    """Refuse what coopdeck sets itself, abbreviated or not, and what may not be written down."""
    if arguments and not arguments[0].startswith("-"):
        raise UsageRefused(f"'{arguments[0]}' behind -- is no flag of upstream's run; leave it out")
    if arguments and arguments[-1] == "--base-url":
        raise UsageRefused("--base-url behind -- needs a value; give it one")
    for argument in arguments:
        name, _, value = argument.partition("=")
        ours = _SHORT.get(argument[:2]) if not argument.startswith("--") else _ours(name)
        if ours is not None:
            raise UsageRefused(f"{name} may not stand behind --: {OURS[ours]}")
        if "://" in argument:
            check_url("an argument behind --", value or argument)


def check_url(place: str, url: str, remedy: str = "leave it out of the address") -> None:
    """Refuse an address with a password in it: it would stand in the ledger and in every process list."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        raise UsageRefused(f"{place} is not an address: '{url}'; correct it") from None
    # redis://host/?password=... is another way to write it.
    if password or any(name.lower() in _SECRET for name, _ in parse_qsl(parts.query)):
        raise UsageRefused(
            f"{place} holds a password, which upstream would be given as an argument, for everybody on the machine to "
            f"read: {remedy}"
        )


def _ours(name: str) -> str | None:
    """The flag of ours that upstream's parser would take this for: it completes what is cut short."""
    if name in OURS:
        return name
    if len(name) <= 2 or name in THEIRS:
        return None
    return next((flag for flag in OURS if flag.startswith(name)), None)
