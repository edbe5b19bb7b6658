"""The tokens: what each tone of text looks like in each theme, and which theme a terminal gets."""

from collections.abc import Mapping
from typing import Literal, get_args

from rich.style import Style
from textual.theme import Theme

Tone = Literal[
    "text", "strong", "muted", "faint", "title", "ok", "soft", "warn", "error", "run", "money", "key", "good", "loud",
    "alarm", "cursor", "shade", "match", "bar",
]  # fmt: skip
TONES: tuple[Tone, ...] = get_args(Tone)

_DARK: dict[Tone, str] = {
    "text": "#c5ccd6",
    "strong": "bold #e8edf4",
    "muted": "#8a95a5",
    "faint": "#4d5766",
    "title": "bold #8fb8e8",
    "ok": "#86b88b",
    "soft": "#a9b88a",
    "warn": "#d8a657",
    "error": "#e67e80",
    "run": "#7fb4e6",
    "money": "#c5ccd6",
    "key": "bold #d8a657",
    "good": "bold #14181f on #86b88b",
    "loud": "bold #14181f on #d8a657",
    "alarm": "bold #14181f on #e67e80",
    "cursor": "on #2b3f57",
    "shade": "on #212833",
    "match": "bold #14181f on #d8a657",
    "bar": "#2f3947",
}
_LIGHT: dict[Tone, str] = {
    "text": "#2b323b",
    "strong": "bold #11161d",
    "muted": "#5c6773",
    "faint": "#a3adb8",
    "title": "bold #0a5aa8",
    "ok": "#22763a",
    "soft": "#59701a",
    "warn": "#955f00",
    "error": "#c0242f",
    "run": "#0a64bc",
    "money": "#2b323b",
    "key": "bold #955f00",
    "good": "bold #ffffff on #22763a",
    "loud": "bold #ffffff on #955f00",
    "alarm": "bold #ffffff on #c0242f",
    "cursor": "on #cfe1f5",
    "shade": "on #e8ecf1",
    "match": "bold #ffffff on #955f00",
    "bar": "#d0d7de",
}
# Without colour a state is told by its glyph and word alone; bold and reverse are in every terminal.
_PLAIN: dict[Tone, str] = {
    "strong": "bold",
    "title": "bold",
    "error": "bold",
    "key": "bold",
    "good": "bold reverse",
    "loud": "bold reverse",
    "alarm": "bold reverse",
    "cursor": "reverse",
    "shade": "underline",
    "match": "reverse",
}

DARK = "coopdeck-dark"
LIGHT = "coopdeck-light"
PLAIN = "coopdeck-plain"

THEMES: dict[str, Theme] = {
    DARK: Theme(
        name=DARK,
        primary="#7fb4e6",
        secondary="#4d5766",
        accent="#d8a657",
        warning="#d8a657",
        error="#e67e80",
        success="#86b88b",
        foreground="#c5ccd6",
        background="#14181f",
        surface="#14181f",
        panel="#1d232c",
        variables={"rule": "#3a4452", "input-cursor-text-style": "reverse"},
    ),
    LIGHT: Theme(
        name=LIGHT,
        primary="#0a64bc",
        secondary="#a3adb8",
        accent="#955f00",
        warning="#955f00",
        error="#c0242f",
        success="#22763a",
        foreground="#2b323b",
        background="#f8f9fb",
        surface="#f8f9fb",
        panel="#eef1f5",
        dark=False,
        variables={"rule": "#b9c2cc", "input-cursor-text-style": "reverse"},
    ),
    PLAIN: Theme(
        name=PLAIN,
        ansi=True,
        primary="ansi_default",
        secondary="ansi_default",
        accent="ansi_default",
        warning="ansi_default",
        error="ansi_default",
        success="ansi_default",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        variables={
            "rule": "ansi_default",
            "ansi-background": "ansi_black",
            "ansi-foreground": "ansi_white",
            "border-blurred": "ansi_default",
            "screen-selection-background": "ansi_default",
            "screen-selection-foreground": "ansi_default",
            "block-cursor-foreground": "ansi_black",
            "block-cursor-background": "ansi_white",
            "block-cursor-text-style": "none",
            "block-cursor-blurred-foreground": "ansi_black",
            "block-cursor-blurred-background": "ansi_white",
            "block-cursor-blurred-text-style": "none",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
            "input-cursor-text-style": "reverse",
            "input-selection-background": "ansi_default",
            "input-selection-foreground": "ansi_default",
        },
    ),
}

_STYLES: dict[str, Mapping[Tone, Style]] = {
    name: {tone: Style.parse(table[tone]) if tone in table else Style() for tone in TONES}
    for name, table in ((DARK, _DARK), (LIGHT, _LIGHT), (PLAIN, _PLAIN))
}


def tone_styles(theme: str) -> Mapping[Tone, Style]:
    """What each tone looks like; a theme of Textual's own gets the dark table."""
    return _STYLES.get(theme, _STYLES[DARK])


def theme_for(environ: Mapping[str, str], ascii_only: bool) -> str:
    """Plain where colour is unwanted or unlikely, light where the terminal says that its background is."""
    if ascii_only or "NO_COLOR" in environ or environ.get("TERM") in {"dumb", "vt100", "vt220"}:
        return PLAIN
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if background in {"7", "15"} else DARK
