"""A log of any size is read through a window."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui import log_file
from tui.log_file import SHOWN, STRIDE, LogFile


def read(path: Path) -> LogFile:
    file = LogFile(path)
    while file.advance() or not file.complete:
        pass
    return file


def texts(file: LogFile, first: int = 0, count: int = 100) -> list[str]:
    return [line.text for line in file.window(first, count)]


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    file = LogFile(path)
    assert not file.advance()
    assert not file.exists
    assert texts(file) == []
    path.write_text("one\ntwo")
    assert file.advance()
    assert texts(file) == ["one", "two"]
    assert file.lines == 2


def test_it_follows_what_is_added(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("one\ntw")
    file = read(path)
    with path.open("a") as out:
        out.write("o\nthree\n")
    assert file.advance()
    assert texts(file) == ["one", "two", "three"]
    assert not file.advance()


@pytest.mark.parametrize("new", ["x\n", "another text that is much longer than the first one was\nand a line\n"])
def test_a_file_that_was_written_anew(tmp_path: Path, new: str) -> None:
    path = tmp_path / "output.log"
    path.write_text("first\nsecond\nthird\n")
    file = read(path)
    path.write_text(new)
    file.advance()
    assert texts(file) == new.splitlines()


def test_a_file_that_was_replaced_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("first\nsecond\n")
    file = read(path)
    other = tmp_path / "other"
    other.write_text("first\nsecond\nreplaced\n")
    other.replace(path)
    file.advance()
    assert texts(file) == ["first", "second", "replaced"]
    path.unlink()
    assert file.advance()
    assert texts(file) == []


def test_a_line_of_a_hundred_megabytes_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    with path.open("wb") as out:
        out.write(b"before\n")
        for _ in range(100):
            out.write(b"x" * 1_000_000)
        out.write(b"\nafter\n")
    file = read(path)
    before, long, after = file.window(0, 10)
    assert (before.text, after.text) == ("before", "after")
    assert len(long.text) == SHOWN
    assert long.cut
    assert not after.cut
    assert file.index_bytes < 1000


def test_the_index_is_sparse(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    with path.open("w") as out:
        for number in range(200_000):
            out.write(f"line {number}\n")
    file = read(path)
    assert file.lines == 200_000
    assert file.index_bytes < 16 * (path.stat().st_size / STRIDE + 2)
    assert texts(file, 123_456, 2) == ["line 123456", "line 123457"]
    assert texts(file, 199_999, 5) == ["line 199999"]


def test_reading_on_costs_a_bounded_part_each_time(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("0123456789\n" * 10_000)
    file = LogFile(path)
    file.advance(1000)
    assert file.indexed == 1000
    assert not file.complete
    assert [line.text for line in file.tail(2)] == ["0123456789", "0123456789"]


def test_the_end_is_there_before_the_index(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_text("first\n" + "x" * 200_000 + "\nlast but one\nlast")
    file = LogFile(path)
    file.advance(10)
    assert [line.text for line in file.tail(2)] == ["last but one", "last"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    path.write_bytes(b"\xff\xfe\x00\r\nwindows\r\n")
    assert texts(read(path)) == ["\ufffd\ufffd\x00", "windows"]


def test_a_pipe_in_the_place_of_a_log_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "output.log"
    os.mkfifo(path)
    file = LogFile(path)
    file.advance()
    assert texts(file) == []
    file.close()


lines = st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=60)


@settings(max_examples=60, deadline=None)
@given(lines, st.integers(1, 7), st.booleans())
def test_any_file_in_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], step: int, ended: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "output.log"
    data = b"\n".join(parts) + (b"\n" if ended and parts else b"")
    path.write_bytes(data)
    wanted = data.split(b"\n")
    if wanted[-1] == b"":
        wanted.pop()
    old, log_file.STRIDE = log_file.STRIDE, 16
    try:
        file = LogFile(path)
        while not file.complete or not file.exists:
            file.advance(step * 13)
        assert file.lines == len(wanted)
        for first in range(len(wanted)):
            line = file.window(first, 1)[0]
            assert line.text == wanted[first].removesuffix(b"\r").decode("utf-8", "replace")
            assert file.number_at(file.offset(first)) == first
        assert [line.number for line in file.window(0, 1000)] == list(range(len(wanted)))
    finally:
        log_file.STRIDE = old
        file.close()


def hits(file: LogFile, needle: str, start: int, *, back: bool = False) -> list[int]:
    return [number for number in file.search(needle, start, back=back) if number is not None]


def test_search_goes_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "output.log"
    path.write_text("".join(f"line {n} {'ERROR' if n % 10 == 3 else 'ok'}\n" for n in range(100)))
    file = read(path)
    for chunk in (log_file.CHUNK, 64, 9):
        monkeypatch.setattr(log_file, "CHUNK", chunk)
        assert hits(file, "error", 0) == list(range(3, 100, 10))
        assert hits(file, "error", 44) == [53, 63, 73, 83, 93]
        assert hits(file, "error", 53, back=True) == [43, 33, 23, 13, 3]
        assert hits(file, "nowhere", 0) == []
    assert hits(file, "", 0) == []
