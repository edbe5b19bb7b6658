"""The settings that upstream knows, as a table: a new one is one row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """How agents work on a pair, and how upstream is told so."""

    name: str
    mode: str
    """Upstream's `--setting`, and the folder its results stand in."""
    flags: tuple[str, ...] = ()
    needs_redis: bool = False
    takes_git: bool = False


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("solo", "solo"),
        Setting("coop-comm", "coop", needs_redis=True, takes_git=True),
        Setting("coop-nocomm", "coop", flags=("--no-messaging",), takes_git=True),
        Setting("team", "team", needs_redis=True, takes_git=True),
    )
}

DEFAULT_SETTINGS = ("solo", "coop-comm", "coop-nocomm")
