"""Numbers, bars and texts as people read them, in so many cells."""

import pytest

from tests.pilot.boards import said
from tui import format as fmt
from tui.glyphs import ASCII, UNICODE, Glyphs
from tui.screens.sweep import COLUMNS
from tui.text import fit, fit_middle, width_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (372.9, "06:12"), (3723, "1:02:03"), (90_000, "1d 01:00"), (-5, "00:00"), (86_399, "23:59:59")],
)
def test_clock(seconds: float, text: str) -> None:
    assert fmt.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45s"), (2280, "38m"), (7800, "2h10m"), (275_000, "3d4h"), (5999, "1h40m"), (0, "0s")]
)
def test_about(seconds: float, text: str) -> None:
    assert fmt.about(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(372, "06:12"), (3599.9, "59:59"), (3720, "1h02m"), (35_999, "9h59m"), (36_000, "10.0h"), (359_999, "99.9h"),
     (360_000, "4d"), (8_000_000, "92d")],
)  # fmt: skip
def test_a_time_fits_its_column(seconds: float, text: str) -> None:
    assert fmt.tight_clock(seconds) == text
    assert len(text) <= next(column.width for column in COLUMNS if column.title == "time")


def test_money_that_is_not_known_is_never_nothing() -> None:
    assert fmt.cost(1.2, 0) == "$1.20"
    assert fmt.cost(1.2, 1) == "$1.20+?"
    assert fmt.cost(0.0, 2) == "$?"
    assert fmt.cost(0.4123, 0, fine=True) == "$0.412"
    assert fmt.money(1234.5) == "$1,234.50"


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("width", [4, 10, 33])
def test_a_bar_is_as_wide_as_it_is_told_and_hides_nothing(width: int, glyphs: Glyphs) -> None:
    for failed in (0, 1, 50, 100):
        for done in (0, 1, 50, 100 - failed):
            line = fmt.bar(((failed, glyphs.failed, "error"), (done, glyphs.done, "ok")), 100, width, glyphs)
            assert width_of(line) == width
            if failed:
                assert glyphs.failed in said(line)
            if done:
                assert glyphs.done in said(line)
            assert said(line).isascii() or glyphs is UNICODE


def test_a_full_bar_is_full() -> None:
    assert said(fmt.bar(((100, "█", "ok"),), 100, 7, UNICODE)) == "█" * 7
    assert said(fmt.bar((), 0, 7, UNICODE)) == "·" * 7


def test_text_fits_in_cells() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abc", 5, right=True) == "  abc"
    assert fit("abcdef", 4) == "abc…"
    assert fit("abcdef", 4, more="..") == "ab.."
    assert fit("日本語", 4) == "日 …"
    assert fit_middle("react_hook_form/153 f1 f3", 22) == "react_hook_…/153 f1 f3"
    assert fit_middle("no slash at all", 5) == "no s…"
