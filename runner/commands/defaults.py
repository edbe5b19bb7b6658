"""Where the values of `run` come from: coopdeck.toml, then the environment, then the flags."""

import argparse
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.commands.prices import read_prices
from runner.model.refusal import UsageRefused
from runner.model.selection import closest

FILE = "coopdeck.toml"
FILE_BYTES = 1024 * 1024
TABLES = ("run", "prices")
PREFIX = "COOPDECK_"
BACKENDS = ("docker", "modal", "gcp")
LAUNCHERS = ("auto", "warm", "cli")
LONGEST_S = 30 * 86400.0
TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Option:
    """One of run's options; `read` raises ValueError with the rest of a sentence that begins with its place."""

    read: Callable[[str], object] = str
    many: bool = False
    comma: bool = False
    """Several values may stand in one text, between commas."""
    flag_only: bool = False


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or not least <= int(text) <= most:
            upto = f"from {least} to {most}" if most < 10**9 else f"of {least} or more"
            raise ValueError(f"must be a whole number {upto}, not '{text}'")
        return int(text)

    return read


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"must be a number above 0, not '{text}'")
    return value


def _seed(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text.strip()):
        raise ValueError(f"must be a whole number, not '{text}'")
    return int(text)


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not '{text}'")
        return text

    return read


def _truth(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(f"must be true or false, not '{text}'")
    return text.lower() in TRUE


def _agent(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", text):
        raise ValueError(f"must be an agent's name, like mini_swe_agent_v2, not '{text}'")
    return text


def duration(text: str) -> float:
    """Seconds in `90`, `90s`, `15m`, `2h` or `1h30m`; raises ValueError otherwise."""
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"{number}s?|(?:{number}h)?(?:{number}m)?(?:{number}s)?", text.strip(), re.ASCII)
    seconds = 0.0
    if match and text.strip():
        alone, hours, minutes, rest = (float(part or 0) for part in match.groups())
        seconds = alone + 3600 * hours + 60 * minutes + rest
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"must be a duration like 90s, 15m or 2h, up to 30 days, not '{text}'")
    return seconds


OPTIONS: Mapping[str, Option] = {
    "settings": Option(many=True, comma=True),
    "subset": Option(),
    "repo": Option(many=True, comma=True),
    "task": Option(_whole(0, 10**9)),
    "pairs": Option(many=True),
    "smoke": Option(_whole(1, 10**9)),
    "model": Option(many=True, comma=True),
    "agent": Option(_agent),
    "slots": Option(_whole(1, 256)),
    "attempts": Option(_whole(1, 10)),
    "timeout": Option(duration),
    "stall": Option(duration),
    "budget": Option(_above_zero),
    "repeats": Option(_whole(1, 99)),
    "git": Option(_truth),
    "eval": Option(_truth),
    "agent_config": Option(),
    "backend": Option(_one_of(BACKENDS)),
    "launcher": Option(_one_of(LAUNCHERS)),
    "redis": Option(),
    "no_pull": Option(_truth),
    "dataset_dir": Option(),
    "log_dir": Option(),
    "cooperbench": Option(),
    "no_ping": Option(_truth),
    "rehearse": Option(_truth, flag_only=True),
    "force": Option(_truth, flag_only=True),
    "speed": Option(_above_zero),
    "seed": Option(_seed),
    "faults": Option(),
    "dry_run": Option(_truth, flag_only=True),
    "detach": Option(_truth),
    "headless": Option(_truth),
    "json": Option(_truth),
}


def resolve(options: argparse.Namespace, environ: Mapping[str, str], root: Path, *, flags_only: bool = False) -> None:
    """Put every option's value into `options`, read and checked; None (or an empty tuple) where nobody gave one.

    `options.given` then tells by name who gave each: `flag`, `environment` or `file`. `options.prices` are the
    file's own.

    Raises:
        UsageRefused: a value cannot be read; the sentence names the place it came from.
    """
    path = root / FILE
    document = {} if flags_only else read_file(path)
    table, options.prices = _run_table(document, path), read_prices(document.get("prices", {}), path)
    given: dict[str, str] = {}
    for name, option in OPTIONS.items():
        value: object = () if option.many else None
        variable = PREFIX + name.upper()
        raw = getattr(options, name, None)
        if raw is not None:
            given[name], value = "flag", _read(option, raw, "--" + name.replace("_", "-"))
        elif option.flag_only and not flags_only and environ.get(variable):
            flag = "--" + name.replace("_", "-")
            raise UsageRefused(f"{variable} is only meant as a flag: unset it, and pass {flag} when you mean it")
        elif not flags_only and environ.get(variable):
            given[name], value = "environment", _read(option, environ[variable], variable)
        elif name in table:
            given[name], value = "file", _read(option, table[name], f"{name} in {path}")
        setattr(options, name, value)
    if given.get("pairs") == "flag" and given.get("subset") not in {None, "flag"}:
        # Pairs named on the command line are not held to a subset that is only a habit.
        options.subset = None
        del given["subset"]
    if options.json:
        options.headless = True
    if options.headless and options.detach:
        if given.get("detach") == "flag" and "flag" in (given.get("headless"), given.get("json")):
            raise UsageRefused("--detach and --headless exclude each other; leave one of them out")
        options.detach = given.get("detach") == "flag"
        options.headless = not options.detach
    options.given = given


def place_of(options: argparse.Namespace, name: str) -> str:
    """Where the option's value stands, for a sentence about it."""
    if options.given.get(name) == "environment":
        return PREFIX + name.upper()
    return f"{name} in {FILE}" if options.given.get(name) == "file" else "--" + name.replace("_", "-")


def run_settings(root: Path) -> dict[str, Any]:
    """What coopdeck.toml says below [run], as TOML has it."""
    return _run_table(read_file(root / FILE), root / FILE)


def read_file(path: Path) -> dict[str, Any]:
    """The project's settings, as TOML has them; empty when there is no file."""
    try:
        with open(path, "rb") as file:
            text = file.read(FILE_BYTES + 1)
        if len(text) > FILE_BYTES:
            raise UsageRefused(f"{path} is larger than {FILE_BYTES} bytes; that is no settings file")
        return tomllib.loads(text.decode("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageRefused(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageRefused(f"{path} is not valid TOML: {error}") from None


def _run_table(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The options in the table `[run]`; refuses what stands in no table that there is."""
    table = document.get("run", {})
    if not isinstance(table, dict):
        raise UsageRefused(f"run in {path} must be a table: write [run] and the keys below it")
    for key, value in document.items():
        if key in OPTIONS and not isinstance(value, dict):
            raise UsageRefused(f"{key} in {path} belongs below [run]")
        if key not in TABLES:
            raise UsageRefused(f"there is no table or key '{key}' in {path}; {closest(key, list(TABLES))}")
    for key in table:
        allowed = [name for name, option in OPTIONS.items() if not option.flag_only]
        if key in OPTIONS and key not in allowed:
            raise UsageRefused(
                f"{key} in {path} is only meant as a flag: pass --{key.replace('_', '-')} when you mean it"
            )
        if key not in allowed:
            raise UsageRefused(f"there is no setting '{key}' for [run] in {path}; {closest(key, allowed)}")
    return table


def _read(option: Option, raw: object, place: str) -> object:
    if option.many:
        texts = [_text(item, place) for item in (raw if isinstance(raw, list) else [raw])]
        if option.comma:
            texts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
        if not texts:
            raise UsageRefused(f"{place} names nothing; give it a value or leave it out")
        return tuple(texts)
    try:
        return option.read(_text(raw, place))
    except ValueError as error:
        raise UsageRefused(f"{place} {error}") from None


def _text(raw: object, place: str) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, str) and re.search("[\0\ud800-\udfff]", raw):
        raise UsageRefused(f"{place} must be text in UTF-8, not {raw!a}")
    if isinstance(raw, str | int | float):
        return str(raw)
    raise UsageRefused(f"{place} must be a single value, not {raw!r}")
