"""Patches: counted as a patch program would, files of both marked, large ones bit by bit."""

import json
import tracemalloc
from pathlib import Path

import pytest

from tests.pilot.tries import PATCHES, patched
from tui.glyphs import ASCII, UNICODE
from tui.job_files import JobFiles
from tui.patch import Counts, PatchReading
from tui.reading import Row

COOP = Path(__file__).parents[1] / "data" / "sample_logs" / "sample/coop/toy_task/1/f1_f2"


def whole(reading: PatchReading) -> PatchReading:
    reading.advance()
    while not reading.complete:
        reading.advance()
    return reading


def said(rows: list[Row]) -> str:
    return "\n".join("".join(span.text for span in row.line) for row in rows)


def text(reading: PatchReading) -> list[str]:
    return [said(reading.rows(entry, unfolded=False)) for entry in range(reading.count)]


def test_a_head_per_agent_its_files_and_its_diff(tmp_path: Path) -> None:
    patched(tmp_path)
    reading = whole(PatchReading(JobFiles(None, tmp_path, ended=True), UNICODE))
    lines = text(reading)
    assert lines[0] == " agent1  agent1.patch  2 files  +4 -2"
    assert lines[1] == "       +2    -2  src/click/core.py  both agents"
    assert lines[2] == "       +2    -0  tests/test_core.py"
    assert lines[3] == ""
    assert lines[4].endswith("b/src/click/core.py  both agents")
    second = lines.index(" agent2  agent2.patch  1 file  +1 -1")
    assert reading.path(0) == tmp_path / "agent1.patch"
    assert reading.path(second) == tmp_path / "agent2.patch"
    rows = [row for entry in range(reading.count) for row in reading.rows(entry, unfolded=False) if row.line]
    tones = {said([row]): row.line[0].tone for row in rows}
    assert tones[" --- a line that begins with dashes"] == "error"
    assert tones[" --- a/src/click/core.py"] == "muted"
    assert tones[" +    return value"] == "ok"
    for line in PATCHES["agent2.patch"].splitlines()[1:]:
        assert f" {line}" in lines


def test_whose_patch_it_is_when_named_by_the_feature(tmp_path: Path) -> None:
    patched(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps({"agents": {"bob": {"feature_id": 2}, "x": 7, "y": {}}}))
    reading = whole(PatchReading(JobFiles(None, tmp_path, ended=True), UNICODE))
    assert " bob  feature 2  agent2.patch  1 file  +1 -1" in text(reading)


@pytest.mark.parametrize("result", ["", "[]", '{"agents": 7}', '{"agents": [1]}', "{" * 5000])
def test_a_result_that_tells_nothing(tmp_path: Path, result: str) -> None:
    patched(tmp_path)
    (tmp_path / "result.json").write_text(result)
    assert whole(PatchReading(JobFiles(None, tmp_path, ended=True), UNICODE)).count


def test_the_sample_of_upstream() -> None:
    reading = whole(PatchReading(JobFiles(None, COOP, ended=True), UNICODE))
    assert text(reading)[:2] == [
        " agent1  feature 1  agent1.patch  1 file  +2 -0",
        "       +2    -0  calc.py  both agents",
    ]


def test_nothing_yet_then_a_patch_then_another(tmp_path: Path) -> None:
    reading = PatchReading(JobFiles(tmp_path, tmp_path / "staged"), UNICODE)
    assert not reading.advance()
    assert (reading.count, reading.says) == (0, "no patch yet: it is there when an agent has ended")
    patched(tmp_path / "staged")
    assert any(reading.advance() for _ in range(10))
    assert reading.count > 10
    patched(tmp_path / "delivered")
    (tmp_path / "delivered" / "agent2.patch").write_text("")
    reading.files = JobFiles(tmp_path, tmp_path / "delivered", ended=True)
    assert reading.advance()
    whole(reading)
    assert any("empty: it changes nothing" in line for line in text(reading))
    reading.close()


def test_hostile_patches(tmp_path: Path) -> None:
    junk = b"diff --git \n+++ \n--- \n@@ -999999999,999999999 +1 @@\n\xff\x00\x1b]52;c;eA==\x07\n+x\n" + b"+" * 100_000
    (tmp_path / "agent1.patch").write_bytes(junk)
    (tmp_path / "b.patch").mkdir()
    reading = PatchReading(JobFiles(None, tmp_path, ended=True), ASCII)
    whole(reading)
    lines = text(reading)
    assert len(lines) > 5
    for line in lines:
        assert line.isascii()
        assert line.isprintable()


def test_counts_quoted_renamed_and_deleted_files() -> None:
    counts = Counts()
    for line in (
        'diff --git "a/\\303\\251.py" "b/\\303\\251.py"', "@@ -1 +0,0 @@", "-x",
        "diff --git a/old b/new", "rename from old", "rename to new",
        "diff --git a/a b/c.py b/a b/c.py", "deleted file mode 100644", "--- a/a b/c.py", "+++ /dev/null",
        "@@ -1,2 +0,0 @@", "--- x", "-y",
    ):  # fmt: skip
        counts.take(line)
    assert [(change.name, change.added, change.removed) for change in counts.changes] == [
        ("\\303\\251.py", 0, 1), ("new", 0, 0), ("c.py", 0, 2),
    ]  # fmt: skip


def test_without_a_git_head_the_names_are_those_of_the_plus_lines() -> None:
    counts = Counts()
    for line in ("--- a/x.py", "+++ b/x.py\t2026", "@@ -1 +1 @@", "-a", "+b"):
        counts.take(line)
    assert [(change.name, change.added, change.removed) for change in counts.changes] == [("x.py", 1, 1)]


def test_a_large_patch_is_read_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "solo.patch"
    with path.open("w") as out:
        for number in range(30):
            out.write(f"diff --git a/f{number} b/f{number}\n@@ -0,0 +1,1000 @@\n" + f"+{'x' * 999}\n" * 1000)
    assert path.stat().st_size > 30_000_000
    reading = PatchReading(JobFiles(None, tmp_path, ended=True), UNICODE)
    tracemalloc.start()
    ticks = 0
    while not ticks or not reading.complete:
        reading.advance()
        ticks += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ticks > 20
    assert text(reading)[0] == " solo  solo.patch  30 files  +30000 -0"
    assert peak < 8_000_000
    reading.close()
