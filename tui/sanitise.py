"""The one sanitiser for text that agents, tests, containers or models produced.

Whatever goes in, what comes out moves no cursor, changes no clipboard and reorders nothing: escapes, control
characters and invisible formatting are shown as visible marks. Colours (SGR) alone survive, and as styles, never
as bytes. Both functions look at each character a constant number of times.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from rich.color import Color
from rich.style import Style

from runner.model.hidden import HEAPED, HIDDEN, MARKS

TAB = 8

_HIDDEN = re.compile(f"[{HIDDEN}]")
_BAD = re.compile(f"[{HIDDEN}]|{HEAPED}")
_BAD_ASCII = re.compile(f"[{HIDDEN}]|[^\x00-\x7f]")
_LEADING = re.compile(f"[{MARKS}]+")
_SGR = re.compile("\x1b\\[([0-9;:]{0,64})m")


class Run(NamedTuple):
    """Text in one style."""

    text: str
    style: Style


def clean(text: str, *, ascii_only: bool = False) -> str:
    """One line of plain text: no colours, nothing hidden."""
    if text.isascii() and text.isprintable():
        return text
    return _inert(_SGR.sub("", text), 0, ascii_only)[0]


def styled(text: str, *, ascii_only: bool = False) -> list[Run]:
    """One line of text with its colours."""
    if "\x1b" not in text:
        return [Run(clean(text, ascii_only=ascii_only), Style())] if text else []
    runs: list[Run] = []
    state: tuple[str, ...] = ()
    column = 0
    # With one group, split() alternates between text and the group: text, codes, text, codes, ..., text.
    for index, part in enumerate(_SGR.split(text)):
        if index % 2:
            state = _after(state, part)
        elif part:
            # Marks behind a colour would be heaped on what stands before it.
            marks = _LEADING.match(part) if runs else None
            heap = _mark(marks[0], ascii_only) if marks else ""
            shown, column = _inert(part[marks.end() :] if marks else part, column + len(heap), ascii_only)
            shown = heap + shown
            runs.append(Run(shown, _style(state)))
    return runs


def _inert(text: str, column: int, ascii_only: bool) -> tuple[str, int]:
    """The text with every hidden character made visible, and the column it ends in."""
    bad = _BAD_ASCII if ascii_only else _BAD
    parts: list[str] = []
    last = 0
    for match in bad.finditer(text):
        start = match.start()
        if start > last:
            parts.append(text[last:start])
            column += start - last
        mark = " " * (TAB - column % TAB) if match[0] == "\t" else _mark(match[0], ascii_only)
        parts.append(mark)
        column += len(mark)
        last = match.end()
    rest = text[last:]
    parts.append(rest)
    return "".join(parts), column + len(rest)


@lru_cache(maxsize=4096)
def _mark(character: str, ascii_only: bool) -> str:
    if len(character) > 1 or not _HIDDEN.match(character):
        return "?" if ascii_only else f"<+{len(character)}>"
    code = ord(character)
    if 0xFE00 <= code <= 0xFE0F:
        return ""  # a variation selector: it only asks for another drawing of what stands before it
    if code < 0x20:
        return f"^{chr(code + 64)}" if ascii_only else chr(0x2400 + code)
    if code == 0x7F:
        return "^?" if ascii_only else "\u2421"
    return f"<{code:02x}>" if code < 0x100 else f"<u+{code:04x}>"


_FLAGS = {"1": "bold", "2": "dim", "3": "italic", "4": "underline", "7": "reverse", "9": "strike"}
_OFF = {"22": ("bold", "dim"), "23": ("italic",), "24": ("underline",), "27": ("reverse",), "29": ("strike",)}


@lru_cache(maxsize=1024)
def _after(state: tuple[str, ...], codes: str) -> tuple[str, ...]:
    """The style words after some SGR codes; `fg ` and `bg ` words carry a colour, the others are flags."""
    words = list(state)
    numbers = codes.replace(":", ";").split(";")
    at = 0
    while at < len(numbers):
        code = numbers[at].lstrip("0") or "0"
        at += 1
        if code == "0":
            words = []
        elif code in _FLAGS:
            words = [*(word for word in words if word != _FLAGS[code]), _FLAGS[code]]
        elif code in _OFF:
            words = [word for word in words if word not in _OFF[code]]
        elif code in {"38", "48"}:
            colour, at = _extended(numbers, at)
            ground = "fg " if code == "38" else "bg "
            if colour:
                words = [*(word for word in words if not word.startswith(ground)), ground + colour]
        elif code in {"39", "49"}:
            words = [word for word in words if not word.startswith("fg " if code == "39" else "bg ")]
        elif (number := int(code)) in range(30, 38) or number in range(90, 98):
            words = [*(word for word in words if not word.startswith("fg ")), f"fg {_ansi(number, 30)}"]
        elif number in range(40, 48) or number in range(100, 108):
            words = [*(word for word in words if not word.startswith("bg ")), f"bg {_ansi(number, 40)}"]
    return tuple(words)


def _ansi(number: int, base: int) -> int:
    return number - base if number < base + 8 else number - base - 60 + 8


def _extended(numbers: list[str], at: int) -> tuple[str, int]:
    """The colour of `38;5;n` or `38;2;r;g;b`, and where the codes go on."""
    kind, rest = (numbers[at] if at < len(numbers) else ""), numbers[at + 1 : at + 4]
    values = [int(part) for part in rest if part and len(part) < 4]
    if kind == "5" and values and values[0] < 256:
        return str(values[0]), at + 2
    if kind == "2" and len(values) == 3 and max(values) < 256:
        return "#{:02x}{:02x}{:02x}".format(*values), at + 4
    return "", len(numbers)


@lru_cache(maxsize=1024)
def _style(state: tuple[str, ...]) -> Style:
    grounds: dict[str, Color] = {}
    flags: set[str] = set()
    for word in state:
        ground, _, colour = word.partition(" ")
        if colour:
            grounds[ground] = Color.parse(colour) if colour[0] == "#" else Color.from_ansi(int(colour))
        else:
            flags.add(word)
    front, back = grounds.get("fg"), grounds.get("bg")
    if front == back:
        back = None  # text in its own background's colour would be hidden
    return Style(
        color=front,
        bgcolor=back,
        bold="bold" in flags or None,
        dim="dim" in flags or None,
        italic="italic" in flags or None,
        underline="underline" in flags or None,
        reverse="reverse" in flags or None,
        strike="strike" in flags or None,
    )
