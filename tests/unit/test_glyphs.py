"""With or without Unicode: what the environment asks for."""

import pytest

from tui.glyphs import wants_ascii


@pytest.mark.parametrize(
    ("environ", "ascii_only"),
    [
        ({}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, False),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "POSIX"}, True),
        # As Python leaves it after it has coerced LANG=C.
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "dumb"}, True),
    ],
)
def test_the_locale_c_is_without_unicode(
    environ: dict[str, str], ascii_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: "UTF-8")
    monkeypatch.setattr("sys.__stderr__", _Utf8())
    assert wants_ascii(environ) is ascii_only


def test_another_encoding_is_without_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: "ISO-8859-1")
    assert wants_ascii({"LANG": "de_DE"})


class _Utf8:
    encoding = "utf-8"
