"""What a look at the machine found: one line per check, with a verdict and a remedy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Verdict = Literal["ok", "warn", "fail", "skipped"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `coopdeck doctor`: all texts are one line each."""

    check: str
    """The check's name: `docker`, `keys`, ...; a check may find several things."""
    verdict: Verdict
    says: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.says}; {self.remedy}" if self.remedy else self.says

    @property
    def shape(self) -> dict[str, str]:
        """The documented JSON shape: `{"type": "check", "check", "verdict", "says", "remedy"}`."""
        return {
            "type": "check", "check": self.check, "verdict": self.verdict, "says": self.says, "remedy": self.remedy,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment that the agents will get, its value masked where it is a secret."""

    name: str
    value: str
    origin: str
    """`environment`, `.env`, `coopdeck`'s default, `upstream`."""

    @property
    def shape(self) -> dict[str, str]:
        return {"type": "variable", "name": self.name, "value": self.value, "from": self.origin}


def read_line(shape: object) -> Finding | Variable | None:
    """A line of `coopdeck doctor --json` again; None for what is neither."""
    if not isinstance(shape, Mapping):
        return None

    def text(name: str) -> str:
        value = shape.get(name)
        return value if isinstance(value, str) else ""

    if shape.get("type") == "variable":
        return Variable(text("name"), text("value"), text("from"))
    verdict = next((one for one in VERDICTS if one == shape.get("verdict")), None)
    if shape.get("type") != "check" or verdict is None:
        return None
    return Finding(text("check"), verdict, text("says"), text("remedy"))
