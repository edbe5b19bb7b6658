"""What the environment tells the rehearsal: speed, seed, fault plan, attempt and repeat."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path

VARIABLE = "COOPDECK_REHEARSAL"
KEYS = frozenset({"speed", "seed", "faults"})


class ConfigError(Exception):
    """One sentence for the user; the program ends with status 2."""


class Config:
    """The settings of one rehearsal process."""

    __slots__ = ("attempt", "faults", "repeat", "seed", "speed")

    def __init__(self, speed: float, seed: int, faults: Path | None, attempt: int, repeat: int) -> None:
        self.speed = speed
        self.seed = seed
        self.faults = faults
        self.attempt = attempt
        self.repeat = repeat


def read_config() -> Config:
    """Raises ConfigError."""
    raw = os.environ.get(VARIABLE, "")
    try:
        document = json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise ConfigError(f"{VARIABLE} is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{VARIABLE} must hold a JSON object.")
    unknown = sorted(set(document) - KEYS)
    if unknown:
        raise ConfigError(f"{VARIABLE} has an unknown key: {unknown[0]!r}.")
    speed = document.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed < math.inf:
        raise ConfigError(f"speed in {VARIABLE} must be a number above 0, not {speed!r}.")
    seed = document.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed in {VARIABLE} must be a whole number, not {seed!r}.")
    faults = document.get("faults")
    if faults is not None and not isinstance(faults, str):
        raise ConfigError(f"faults in {VARIABLE} must be the path of a plan or null, not {faults!r}.")
    return Config(
        speed=float(speed),
        seed=seed,
        faults=Path(faults) if faults else None,
        attempt=_count("COOPDECK_ATTEMPT"),
        repeat=_count("COOPDECK_REPEAT"),
    )


def _count(variable: str) -> int:
    raw = os.environ.get(variable, "") or "1"
    if not raw.isascii() or not raw.isdigit() or int(raw) < 1:
        raise ConfigError(f"{variable} must be a whole number from 1, not {raw!r}.")
    return int(raw)


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone, in every process and on every host."""
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)
