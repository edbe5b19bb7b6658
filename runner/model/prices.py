"""What calls of a model take and cost: tokens, and the user's own prices for what litellm has no price for."""

from collections.abc import Mapping
from dataclasses import dataclass

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one call, or summed over many."""

    input: int = 0
    """Those read from a cache included."""
    output: int = 0
    cached: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.input + other.input, self.output + other.output, self.cached + other.cached)


NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float
    cached: float | None = None
    """None: as much as other input."""

    def cost(self, tokens: Tokens) -> float:
        """USD for so many tokens."""
        cached = min(tokens.cached, tokens.input)
        rate = self.input if self.cached is None else self.cached
        return ((tokens.input - cached) * self.input + cached * rate + tokens.output * self.output) / MILLION


def price_of(prices: Mapping[str, Price], *names: str | None) -> Price | None:
    """The price under the first of a model's names that has one."""
    return next((prices[name] for name in names if name is not None and name in prices), None)
