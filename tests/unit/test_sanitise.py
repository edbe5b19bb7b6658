"""Nothing that an agent prints may act on the terminal."""

import re
import sys
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color

from runner.model.hidden import MARKS, plain
from tests.hostile import LINE, corpus
from tui.sanitise import clean, styled

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
hostile = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(list("\x1b\x9b\x9d\x07\x08\r\n\t\x00\x7f\u202e\u2066\u200b\u200d\ufeff[]0123456789;:mHJ\\")),
    ),
    max_size=200,
)


def shown(text: str) -> str:
    return "".join(run.text for run in styled(text))


def harmless(text: str) -> bool:
    return not any(unicodedata.category(character) in HIDDEN for character in text)


@given(hostile)
def test_no_control_character_survives(text: str) -> None:
    assert harmless(clean(text))
    assert harmless(shown(text))


@given(hostile)
def test_ascii_output_is_printable_ascii(text: str) -> None:
    for out in (clean(text, ascii_only=True), "".join(run.text for run in styled(text, ascii_only=True))):
        assert out.isascii()
        assert out == "" or out.isprintable()


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


@given(hostile)
def test_plain_and_coloured_say_the_same(text: str) -> None:
    if "\t" not in text:
        assert clean(text) == shown(text)


def test_every_hidden_character_of_unicode_is_covered() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if unicodedata.category(character) in HIDDEN and character != "\t":
            assert clean(character) != character, f"u+{code:04x}"
            assert harmless(clean(character))


PIECES = ("\x1b", "\x1b[", "\x1b[1;", "\x1b[31m", "\u202e", "\x1b]52;", "\t", "[a", "1;")


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("\x1b]52;c;ZXZpbA==\x07", "␛]52;c;ZXZpbA==␇"),
        ("\x1b]0;title\x1b\\", "␛]0;title␛\\"),
        ("\x1bP1$r\x1b\\", "␛P1$r␛\\"),
        ("\x1b[2J\x1b[H", "␛[2J␛[H"),
        ("\x9b2J", "<9b>2J"),
        ("a\rb", "a␍b"),
        ("user\u202etxt.exe", "user<u+202e>txt.exe"),
        ("zero\u200bwidth", "zero<u+200b>width"),
        ("[red]markup[/]", "[red]markup[/]"),
        ("a\tb", "a       b"),
        ("heart\u2764\ufe0f", "heart\u2764"),
    ],
)
def test_escapes_are_shown(text: str, picture: str) -> None:
    assert shown(text) == picture
    assert clean(text) == picture


def test_escapes_are_shown_in_ascii() -> None:
    assert clean("\x1b[2Jé\x07\x7f", ascii_only=True) == "^[[2J?^G^?"


def test_colours_become_styles() -> None:
    red, plain, deep, true = styled("\x1b[1;31mred\x1b[0m plain \x1b[38;5;208mdeep\x1b[48;2;1;2;3mtrue")
    assert red.style.bold
    assert red.style.color == Color.from_ansi(1)
    assert plain.style.color is None
    assert not plain.style.bold
    assert deep.style.color == Color.from_ansi(208)
    assert true.style.bgcolor == Color.from_rgb(1, 2, 3)


def test_text_in_its_own_background_stays_readable() -> None:
    (run,) = styled("\x1b[30;40mhidden")
    assert run.style.bgcolor is None
    (run,) = styled("\x1b[8mconcealed")
    assert not run.style.conceal


@pytest.mark.parametrize(
    "codes", ["38", "38;5", "38;5;999", "38;2;1;2", "999999", ";;", "38;2;300;0;0", "4:3", "00001"]
)
def test_odd_codes_do_no_harm(codes: str) -> None:
    assert shown(f"\x1b[{codes}mtext") == "text"


@pytest.mark.parametrize("piece", PIECES)
def test_work_is_linear(piece: str) -> None:
    """Counted in calls, which repeat exactly; tests/bench has the seconds."""

    def calls(count: int) -> int:
        number = 0

        def counted(*_: object) -> None:
            nonlocal number
            number += 1

        sys.setprofile(counted)
        try:
            styled(piece * count)
        finally:
            sys.setprofile(None)
        return number

    # Eight times the text: quadratic would be 64 times the calls.
    assert calls(8_000) < 10 * calls(1_000) + 100


def test_a_line_ends_its_own_colours() -> None:
    styled("\x1b[31mred for ever")
    (run,) = styled("next line")
    assert run.style.color is None


def test_no_escape_is_ever_in_the_text_of_a_colour() -> None:
    assert not re.search("\x1b", shown("\x1b[31m\x1b[32m\x1b[m\x1b[" + "1;" * 200 + "m"))


HEAP = re.compile(f"[{MARKS}]{{4,}}")


@given(st.text(st.sampled_from("a\u0301\u0489\ufe0f\u20dd\u034f\x1b[1m\u200d"), max_size=60))
def test_marks_are_not_heaped_on_a_character(text: str) -> None:
    for out in (clean(text), shown(text)):
        assert not HEAP.search(out)
    assert not HEAP.search(plain(text))


def test_what_marks_mean_stays() -> None:
    for text in ("ệ ǘ ñ", "n\u0303", "שָׁלוֹם", "กำลัง", "हिन्दी", "e\u0323\u0302\u0301"):
        assert clean(text) == text == shown(text) == plain(text)


def test_the_work_grows_with_the_text_and_no_faster() -> None:
    """Counted, not timed: calls of Python and C for four times the text."""
    line = LINE.decode("utf-8", "replace")
    for act in (clean, styled, plain):
        one, four = (calls(act, line * times) for times in (10, 40))
        assert four < 4.2 * one, act


def calls(act: Callable[[str], object], text: str) -> int:
    act(text)  # fills the caches
    counted = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        act(text)
    finally:
        sys.setprofile(None)
    return counted


@given(st.binary(max_size=200), st.integers(0, 200))
def test_what_is_cut_anywhere_is_inert_on_both_sides(data: bytes, at: int) -> None:
    for part in (data[:at], data[at:]):
        assert harmless(shown(part.decode("utf-8", "replace")))


def test_every_sequence_of_the_corpus_is_inert_wherever_it_is_cut() -> None:
    for line in corpus().split(b"\n"):
        for ascii_only in (False, True):
            out = "".join(run.text for run in styled(line.decode("utf-8", "replace"), ascii_only=ascii_only))
            assert harmless(out)
            assert not HEAP.search(out)
