"""The fault plan: which attempt goes wrong, and how."""

from __future__ import annotations

import json
from pathlib import Path

from runner.rehearsal.config import ConfigError, chance
from runner.rehearsal.errors import MODEL_ERRORS, SETUP_ERRORS

EARLY = frozenset({"after"})
AGENT = EARLY | {"agents", "text"}

# Every fault and the parameters it takes.
FAULTS: dict[str, frozenset[str]] = {
    **{name: AGENT | {"spent"} for name in MODEL_ERRORS},
    **{name: AGENT for name in SETUP_ERRORS if name not in ("image-timeout", "unknown-agent")},
    "image": AGENT | {"kind"},
    "unknown-agent": frozenset({"text"}),
    "redis": EARLY,
    "git-server": EARLY,
    "crash": EARLY,
    "oom": EARLY,
    "kill": EARLY | {"signal"},
    "hang": EARLY | {"in"},
    "retries": EARLY | {"times"},
    "ignore-sigterm": EARLY,
    "no-tasks": frozenset(),
    "flood": frozenset({"mb"}),
    "long-line": frozenset({"mb"}),
    "binary": frozenset(),
    "fork-away": frozenset({"seconds"}),
    "slow": frozenset({"factor"}),
    "limits": frozenset(),
    "no-patch": frozenset(),
    "unpriced": frozenset(),
    "nan": frozenset(),
    "negative": frozenset(),
    "huge": frozenset(),
    "truncated": frozenset({"at"}),
    "wrong-types": frozenset(),
    "oversized": frozenset({"mb"}),
    "eval-error": frozenset({"text"}),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "agents": ("one", "all"),
    "in": ("llm", "command", "peer"),
    "kind": ("missing", "timeout"),
    "signal": ("SIGSEGV", "SIGKILL", "SIGABRT", "SIGTERM"),
}
MATCH_KEYS = frozenset({"setting", "repo", "task", "features", "attempt"})


class Fault:
    """One fault, with its parameters, as it applies to an attempt."""

    __slots__ = ("name", "params")

    def __init__(self, name: str, params: dict[str, object]) -> None:
        self.name = name
        self.params = params

    def number(self, key: str, default: float) -> float:
        value = self.params.get(key, default)
        return float(value) if isinstance(value, int | float) else default

    def word(self, key: str, default: str) -> str:
        return str(self.params.get(key, default))

    @property
    def after(self) -> float:
        return self.number("after", 0.3)

    @property
    def of_eval(self) -> bool:
        return self.name == "eval-error"


class Case:
    """The attempt that a plan is asked about."""

    __slots__ = ("attempt", "features", "repeat", "repo", "seed", "setting", "task")

    def __init__(
        self, setting: str, repo: str, task: int, features: tuple[int, ...], seed: int, attempt: int, repeat: int
    ) -> None:
        self.setting = setting
        self.repo = repo
        self.task = task
        self.features = tuple(sorted(features))
        self.seed = seed
        self.attempt = attempt
        self.repeat = repeat


class Plan:
    """The rules in order, then the rates."""

    __slots__ = ("rates", "rules")

    def __init__(self, rules: list[tuple[dict[str, object], Fault]], rates: dict[str, float]) -> None:
        self.rules = rules
        self.rates = rates

    def fault_for(self, case: Case, *, evaluating: bool = False) -> Fault | None:
        for match, fault in self.rules:
            if fault.of_eval == evaluating and _matches(match, case):
                return fault
        draw = chance("fault", case.seed, case.setting, case.repo, case.task, *case.features, case.attempt, case.repeat)
        for name, rate in self.rates.items():
            fault = Fault(name, {})
            if fault.of_eval != evaluating:
                continue
            if draw < rate:
                return fault
            draw -= rate
        return None


def _matches(match: dict[str, object], case: Case) -> bool:
    for key in ("setting", "repo", "task"):
        if key in match and match[key] != getattr(case, key):
            return False
    features = match.get("features")
    if isinstance(features, list) and tuple(sorted(features)) != case.features:
        return False
    attempt = match.get("attempt", "all")
    return attempt == "all" or attempt == case.attempt or (isinstance(attempt, list) and case.attempt in attempt)


def read_plan(path: Path | None) -> Plan:
    """The plan in the file, without a path an empty one. Raises ConfigError."""
    if path is None:
        return Plan([], {})
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The fault plan {path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The fault plan {path} is not valid JSON: {error}.") from None
    return check_plan(document)


def check_plan(document: object) -> Plan:
    """The plan that a JSON document describes. Raises ConfigError."""
    if not isinstance(document, dict):
        raise ConfigError("A fault plan must be a JSON object.")
    _only(document, frozenset({"faults", "rate"}), "The fault plan")
    faults = document.get("faults", [])
    rates = document.get("rate", {})
    if not isinstance(faults, list) or not isinstance(rates, dict):
        raise ConfigError("In a fault plan, faults must be a list and rate an object.")
    for name, rate in rates.items():
        _known(name)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ConfigError(f"The rate of {name} must be between 0 and 1, not {rate!r}.")
    if sum(rates.values()) > 1:
        raise ConfigError("The rates of a fault plan must not add up to more than 1.")
    return Plan([_rule(entry) for entry in faults], {name: float(rate) for name, rate in rates.items()})


def _rule(entry: object) -> tuple[dict[str, object], Fault]:
    if not isinstance(entry, dict):
        raise ConfigError("Every fault of a plan must be a JSON object.")
    name = _known(entry.get("fault"))
    params = {key: value for key, value in entry.items() if key not in ("match", "fault")}
    _only(params, FAULTS[name], f"The fault {name}")
    for key, value in params.items():
        _check_value(name, key, value)
    match = entry.get("match", {})
    if not isinstance(match, dict):
        raise ConfigError(f"The match of {name} must be a JSON object.")
    _only(match, MATCH_KEYS, f"The match of {name}")
    _check_match(name, match)
    return match, Fault(name, params)


def _check_match(name: str, match: dict[str, object]) -> None:
    def whole(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def wholes(value: object) -> bool:
        return isinstance(value, list) and all(whole(item) for item in value)

    def good(key: str, value: object) -> bool:
        if key == "task":
            return whole(value)
        if key == "features":
            return wholes(value)
        if key == "attempt":
            return value == "all" or whole(value) or wholes(value)
        return isinstance(value, str)

    for key, value in match.items():
        if not good(key, value):
            raise ConfigError(f"In the match of {name}, {key} cannot be {value!r}.")


def _check_value(name: str, key: str, value: object) -> None:
    if key in CHOICES:
        good = value in CHOICES[key]
    elif key == "text":
        good = isinstance(value, str)
    elif key == "spent":
        good = isinstance(value, bool)
    else:
        good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        good = good and (key != "after" or float(str(value)) <= 1)
    if not good:
        raise ConfigError(f"The fault {name} cannot have {key} {value!r}.")


def _known(name: object) -> str:
    if not isinstance(name, str) or name not in FAULTS:
        raise ConfigError(f"Unknown fault {name!r}; known are {', '.join(FAULTS)}.")
    return name


def _only(given: dict[str, object], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigError(f"{what} has an unknown key: {unknown[0]!r}.")
