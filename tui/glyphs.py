"""The characters that the screens draw with: one set with Unicode, one without."""

import locale
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from runner.model.rows import JobState


@dataclass(frozen=True, slots=True)
class Glyphs:
    states: Mapping[JobState, str]
    stuck: str
    """In the place of a running job's, when it hangs."""
    done: str
    failed: str
    active: str
    rest: str
    eighths: str
    """Parts of a bar's cell, from one eighth to seven; empty where there are none."""
    rule: str
    more: str
    cursor: str
    ascii_only: bool


UNICODE = Glyphs(
    states={
        "queued": "·", "starting": "▹", "running": "▶", "delivering": "▷", "retrying": "↻",
        "done": "✓", "failed": "✗", "skipped": "=", "cancelled": "⊘",
    },
    stuck="!",
    done="█", failed="▓", active="▒", rest="·", eighths="▏▎▍▌▋▊▉", rule="─", more="…", cursor="▌",
    ascii_only=False,
)  # fmt: skip
ASCII = Glyphs(
    states={
        "queued": ".", "starting": "-", "running": ">", "delivering": "-", "retrying": "~",
        "done": "+", "failed": "x", "skipped": "=", "cancelled": "/",
    },
    stuck="!",
    done="#", failed="x", active="~", rest=".", eighths="", rule="-", more="..", cursor=">",
    ascii_only=True,
)  # fmt: skip


def wants_ascii(environ: Mapping[str, str] = os.environ) -> bool:
    """No Unicode where the terminal's encoding is not UTF-8, or the terminal draws nothing at all."""
    if environ.get("TERM") == "dumb" or _plain_c(environ):
        return True
    encodings = (getattr(sys.__stderr__, "encoding", None), locale.getpreferredencoding(False))
    return any((encoding or "ascii").lower().replace("-", "") != "utf8" for encoding in encodings)


def _plain_c(environ: Mapping[str, str]) -> bool:
    """Whether the user asks for the locale C, which Python takes for UTF-8 (PEP 540; PEP 538 sets LC_CTYPE)."""
    ctype, lang = environ.get("LC_CTYPE"), environ.get("LANG")
    if ctype == "C.UTF-8" and lang in {"C", "POSIX"}:
        ctype = None
    return (environ.get("LC_ALL") or ctype or lang) in {"C", "POSIX"}
