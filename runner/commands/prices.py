"""The user's own prices, for models that litellm has none for: `[prices."my/model"]` in coopdeck.toml."""

import math
from pathlib import Path
from typing import Any

from runner.model.prices import Price
from runner.model.refusal import UsageRefused
from runner.model.selection import closest

KEYS = ("input", "output", "cached")
MOST_USD = 100_000.0
SHAPE = 'write [prices."MODEL"] and below it input and output (and cached), in USD per million tokens'


def read_prices(tables: object, path: Path) -> dict[str, Price]:
    """The prices by model, from the value of `prices` in the file `path`.

    Raises:
        UsageRefused: something in it is no price; the sentence names the model and the key.
    """
    if not isinstance(tables, dict):
        raise UsageRefused(f"prices in {path} must be a table: {SHAPE}")
    return {model: _price(model, table, path) for model, table in tables.items()}


def _price(model: str, table: object, path: Path) -> Price:
    place = f'[prices."{model}"] in {path}'
    if not isinstance(table, dict):
        raise UsageRefused(f"{place} must be a table: {SHAPE}")
    for key in table:
        if key not in KEYS:
            raise UsageRefused(f"there is no '{key}' in {place}; {closest(key, list(KEYS))}")
    for key in ("input", "output"):
        if key not in table:
            raise UsageRefused(f"{place} has no {key}: give the USD per million {key} tokens")
    values = {key: _usd(f"{key} of {place}", value) for key, value in table.items()}
    return Price(values["input"], values["output"], values.get("cached"))


def _usd(place: str, value: Any) -> float:
    good = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
    if not good or not 0 <= value <= MOST_USD:
        raise UsageRefused(f"{place} must be USD per million tokens, from 0 to {MOST_USD:,.0f}, not {value!r}")
    return float(value)
