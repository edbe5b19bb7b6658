"""The steps of a try: from the probe as it grows, from trajectories where there was none."""

import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from tests.pilot.tries import Probe, talking
from tui.glyphs import ASCII, UNICODE
from tui.job_files import JobFiles
from tui.reading import Row, folded
from tui.steps import MOST_ENTRIES, StepsReading
from tui.text import Span, width_of

SAMPLES = Path(__file__).parents[1] / "data" / "sample_logs"
COOP = SAMPLES / "sample/coop/toy_task/1/f1_f2"


def whole(reading: StepsReading, ticks: int = 1000) -> StepsReading:
    reading.advance()
    for _ in range(ticks):
        if reading.complete:
            break
        reading.advance()
    return reading


def said(rows: list[Row]) -> list[str]:
    return ["".join(span.text for span in row.line) for row in rows]


def live(folder: Path, speed: float = 1.0) -> StepsReading:
    return StepsReading(JobFiles(folder, speed=speed), UNICODE)


def test_steps_retries_and_what_they_cost(tmp_path: Path) -> None:
    talking(tmp_path)
    reading = whole(live(tmp_path))
    assert [(it.kind, it.agent, it.step) for it in reading.steps.entries] == [
        ("step", "agent1", 1), ("step", "agent2", 1), ("step", "agent1", 2), ("step", "agent2", 2),
        ("retry", "agent2", 0), ("step", "agent1", 3), ("step", "agent1", 4), ("step", "agent2", 3),
        ("step", "agent1", 5),
    ]  # fmt: skip
    first = said(reading.rows(0, unfolded=False))
    assert first[0] == "   00:04 a1     1  $0.010  3.2s Let me look around first."
    assert first[1].strip() == "ok       0.4s $ ls -la … 1 more"
    assert "exit 1    12s $ pytest" in said(reading.rows(5, unfolded=False))[1]
    assert "$?" in said(reading.rows(6, unfolded=False))[0]
    assert said(reading.rows(4, unfolded=False))[0].endswith("retry 3 of 10: RateLimitError, waits 8s")
    assert "running" in said(reading.rows(8, unfolded=False))[1]


def test_unfolded_it_shows_all_that_is_known(tmp_path: Path) -> None:
    talking(tmp_path)
    reading = whole(live(tmp_path))
    rows = said(reading.rows(0, unfolded=True))
    assert rows[1:] == [
        "    Let me look around first.", "    Then I plan.", "    $ ls -la", "      git log --oneline -5",
        "    ok in 0.4s", "      fine",
    ]  # fmt: skip
    assert said(reading.rows(1, unfolded=True))[-1].strip() == "… 20 more lines"
    assert "no remote" in reading.text(6)


def test_a_rehearsal_shows_recorded_time(tmp_path: Path) -> None:
    talking(tmp_path)
    assert "09:00 a1     2  $0.010    3m I ask" in said(whole(live(tmp_path, 60)).rows(2, unfolded=False))[0]


def test_several_commands_of_a_step(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    probe.step("solo", 1, 1, "true\nfalse", ended=(0, 0.1, "one"))
    probe.tell("exec_end", "solo", 2, returncode=1, seconds=0.2, output="two")
    reading = whole(live(tmp_path))
    assert "exit 1" in said(reading.rows(0, unfolded=False))[1]
    assert [row.strip() for row in said(reading.rows(0, unfolded=True))[3:]] == [
        "ok in 0.1s", "one", "exit 1 in 0.2s", "two",
    ]  # fmt: skip


def test_the_cost_of_a_step_is_that_of_all_calls_since_the_last(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    probe.tell("llm_end", "solo", 1, cost_usd=0.25, latency_s=9, status="ok", counted=False)
    probe.tell("llm_end", "solo", 1, cost_usd=0.0, latency_s=60, status="RateLimitError", counted=False)
    probe.step("solo", 1, 2, "ls", cost=0.5)
    probe.tell("agent_end", "solo", 3, status="Error", **{"class": "AuthenticationError", "error": "no key\nat all"})
    reading = whole(live(tmp_path))
    assert "$0.750  3.2s" in said(reading.rows(0, unfolded=False))[0]
    assert said(reading.rows(1, unfolded=False))[0].endswith("Error  no key")


def test_it_grows_shrinks_and_is_replaced(tmp_path: Path) -> None:
    reading = whole(live(tmp_path))
    assert (reading.count, reading.says, reading.path(0)) == (0, "no step yet", None)
    probe = Probe(tmp_path)
    probe.step("solo", 1, 1, "one")
    assert reading.advance()
    assert not reading.advance()
    whole_line = probe.path.read_bytes()
    line = json.dumps({"v": 1, "at": 5, "type": "step", "agent": "solo", "step": 2, "command": "two"}).encode()
    for cut in (1, 20, len(line)):
        probe.path.write_bytes(whole_line + line[:cut])
        whole(reading)
        assert reading.count == 1
    with probe.path.open("ab") as out:
        out.write(b"\n")
    assert whole(reading).count == 2
    assert "two" in reading.text(1)
    assert reading.path(0) == probe.path
    probe.path.write_bytes(line.replace(b"two", b"new") + b"\n")
    assert whole(reading).count == 1
    assert "new" in reading.text(0)
    probe.path.unlink()
    assert whole(reading).count == 0
    reading.close()


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[1]", b"null", b"\xff\xfe", b'{"type":"step"}', b'{"type":"step","agent":7}', b"{" * 30_000,
        b'{"type":"step","agent":"a","step":1e999,"command":[],"thought":{},"at":"x"}', b"9" * 5000,
        b'{"type":"exec_end","agent":"a","returncode":"no","seconds":-1,"output":7}', b"x" * 200_000,
        b'{"type":"llm_end","agent":"a","cost_usd":NaN,"latency_s":Infinity,"status":"ok"}', b"\x00" * 70_000,
        b'{"type":["step"],"agent":"a"}', b'{"type":"llm_retry","agent":"a","attempt":null,"of":true}',
        b'{"type":"agent_end","agent":"a","status":null,"error":[1]}',
    ],
    ids=range(17),
)  # fmt: skip
def test_hostile_lines_are_passed_over(tmp_path: Path, line: bytes) -> None:
    probe = Probe(tmp_path)
    probe.step("solo", 1, 1, "before")
    with probe.path.open("ab") as out:
        out.write(line + b"\n")
    probe.step("solo", 2, 2, "after")
    reading = whole(live(tmp_path))
    text = "\n".join(reading.text(entry) for entry in range(reading.count))
    for entry in range(reading.count):
        reading.rows(entry, unfolded=False)
    assert "before" in text
    assert "after" in text


def test_what_is_hidden_is_shown(tmp_path: Path) -> None:
    talking(tmp_path)
    reading = StepsReading(JobFiles(tmp_path), ASCII)
    whole(reading)
    for entry in range(reading.count):
        text = reading.text(entry)
        assert text.replace("\n", "").isprintable()
        assert text.isascii()
    assert "[red]markup[/] ^[]52;c;" in reading.text(7)


@pytest.mark.parametrize("kind", ["folder", "fifo", "missing"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "probe.jsonl"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    assert whole(live(tmp_path)).count == 0


def test_a_large_file_is_read_in_bounded_memory(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    line = json.dumps(
        {"v": 1, "at": 1.0, "type": "step", "agent": "solo", "step": 1, "command": "x" * 3000, "thought": "y" * 3000}
    )
    with probe.path.open("w") as out:
        for _ in range(100):
            out.write(f"{line}\n" * 170)
    assert probe.path.stat().st_size > 100_000_000
    reading = live(tmp_path)
    tracemalloc.start()
    ticks = 0
    while not reading.complete or not ticks:
        reading.advance()
        ticks += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ticks > 500
    assert reading.count == 17_000
    assert peak < 12_000_000
    reading.close()


def test_more_entries_than_are_kept_are_counted(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    line = json.dumps({"at": 1.0, "type": "step", "agent": "solo", "step": 1})
    probe.path.write_text(f"{line}\n" * (MOST_ENTRIES + 7))
    reading = whole(live(tmp_path))
    assert reading.count == MOST_ENTRIES + 1
    assert "and 7 more" in said(reading.rows(MOST_ENTRIES, unfolded=False))[0]


# -- trajectories ---------------------------------------------------------------------------------------------------


def test_a_run_without_a_probe_is_read_from_its_trajectories() -> None:
    reading = whole(StepsReading(JobFiles(None, COOP, ended=True, says="a result was there already"), UNICODE))
    entries = reading.steps.entries
    assert [it.kind for it in entries].count("step") == 12
    assert [it.at for it in entries] == sorted(it.at for it in entries)
    assert {it.agent for it in entries} == {"agent1", "agent2"}
    text = "\n".join(reading.text(entry) for entry in range(reading.count))
    assert "I will append sub() at the end of calc.py" in text
    assert "Submitted" in text
    assert "drwxr-xr-x" in text
    assert not reading.live
    assert reading.path(0) == COOP


def test_the_probe_is_preferred_to_the_trajectories(tmp_path: Path) -> None:
    Probe(tmp_path).step("agent1", 1, 1, "live")
    reading = whole(StepsReading(JobFiles(tmp_path, COOP, ended=True), UNICODE))
    assert reading.count == 1


def test_a_probe_that_saw_no_step_yields_to_the_trajectories(tmp_path: Path) -> None:
    Probe(tmp_path).tell("probe_begin", None, 0, pid=1)
    reading = StepsReading(JobFiles(tmp_path, COOP), UNICODE)
    assert whole(reading).count == 0
    reading.files = JobFiles(tmp_path, COOP, ended=True)
    assert whole(reading).count > 12


def _trajectory(folder: Path, messages: object, name: str = "solo") -> Path:
    path = folder / f"{name}_traj.json"
    path.write_text(json.dumps({"agent_id": name, "cost": 1.5, "messages": messages}, ensure_ascii=False, indent=1))
    return path


def _message(number: int, command: str, thought: str = "") -> dict[str, object]:
    extra = {"actions": [{"command": command}], "cost": 0.5, "timestamp": 100.0 + number}
    return {"role": "assistant", "content": thought, "extra": extra}


def test_texts_beyond_ascii_and_windows_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [_message(number, f"echo é{number} 漢字 " + "z" * (number * 37 % 900)) for number in range(50)]
    _trajectory(tmp_path, messages)
    for window in (7, 64, 1000, 10_000):
        monkeypatch.setattr("tui.trajectory.WINDOW", window)
        reading = whole(StepsReading(JobFiles(None, tmp_path, ended=True), UNICODE), 10_000)
        assert reading.count == 50
        assert "echo é49 漢字" in reading.text(49)


def test_truncated_and_hostile_trajectories(tmp_path: Path) -> None:
    path = _trajectory(tmp_path, [_message(number, f"echo {number}") for number in range(20)])
    data = path.read_bytes()
    random.seed(1)
    for cut in [0, 1, 5, *random.sample(range(len(data)), 40)]:
        path.write_bytes(data[:cut])
        reading = whole(StepsReading(JobFiles(None, tmp_path, ended=True), UNICODE))
        assert reading.complete
        assert reading.count <= 20
    for junk in (b"[]", b"{}", b"null", b'{"messages": 7}', b'{"messages": [[[', b"[" * 100_000, b'{"a":' * 50_000):
        path.write_bytes(junk)
        assert whole(StepsReading(JobFiles(None, tmp_path, ended=True), UNICODE)).count == 0
    odd: list[object] = [
        None, 7, [], {"role": "assistant"},
        {"role": "assistant", "extra": 7, "content": [{"text": 5}, {"text": "x"}]},
        {"role": "exit"}, {"role": "tool", "extra": {"returncode": {}, "raw_output": 7}},
    ]  # fmt: skip
    _trajectory(tmp_path, odd)
    reading = whole(StepsReading(JobFiles(None, tmp_path, ended=True), UNICODE))
    assert [it.kind for it in reading.steps.entries] == ["step", "step", "end"]
    for entry in range(reading.count):
        reading.text(entry)


def test_a_large_trajectory_is_read_bit_by_bit(tmp_path: Path) -> None:
    _trajectory(tmp_path, [_message(number, "x" * 100_000) for number in range(300)])
    reading = StepsReading(JobFiles(None, tmp_path, ended=True), UNICODE)
    tracemalloc.start()
    ticks = 0
    while not ticks or not reading.complete:
        reading.advance()
        ticks += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.count == 300
    assert ticks > 100
    assert peak < 8_000_000


# -- folding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 5, 19, 20, 33, 80])
@pytest.mark.parametrize("text", ["", "a", "one two three four five six seven", "x" * 50, "漢字" * 30, "é word " * 9])
def test_a_folded_row_fits_and_loses_nothing(width: int, text: str) -> None:
    lines = folded(Row((Span("head ", "key"), Span(text)), 4), width)
    for line in lines:
        assert width_of(line) <= max(width, 2)
    shown = "".join("".join(span.text for span in line) for line in lines)
    assert shown.replace(" ", "") == f"head {text}".replace(" ", "")
