"""What the agents said: sent, read, waited for, lost; pushes; live and from upstream's own files."""

import json
import tracemalloc
from pathlib import Path

import pytest

from tests.pilot.tries import Probe, talking
from tui.glyphs import ASCII, UNICODE
from tui.job_files import JobFiles
from tui.reading import Row
from tui.talk import MOST_ENTRIES, TalkReading

SAMPLES = Path(__file__).parents[1] / "data" / "sample_logs"
COOP = SAMPLES / "sample/coop/toy_task/1/f1_f2"
SOLO = SAMPLES / "sample/solo/toy_task/1/f1_f2"


def whole(reading: TalkReading) -> TalkReading:
    reading.advance()
    while not reading.complete:
        reading.advance()
    return reading


def said(rows: list[Row]) -> list[str]:
    return ["".join(span.text for span in row.line).strip() for row in rows]


def told(reading: TalkReading) -> list[list[str]]:
    return [said(reading.rows(entry, unfolded=False)) for entry in range(reading.count)]


def test_the_time_line_of_a_pair(tmp_path: Path) -> None:
    talking(tmp_path)
    reading = whole(TalkReading(JobFiles(tmp_path), UNICODE))
    first, answer, lost, push, request, last = told(reading)
    assert first[0].startswith("00:09 a1 → a2  I take the parser")
    assert first[1] == "read 4.5s later  a1 waited 7.2s for an answer"
    assert answer == ["00:15 a2 → a1  Yes.", "I only touch help.py and its tests.", "read 1.0s later"]
    assert lost == ["00:19 a2 → a9  LOST Is anybody there?", "was not delivered"]
    assert push[0] == "00:36 a1       push  exit 128"
    assert push[1] == "git commit -qam wip && git push origin HEAD:agent1"
    assert request[0] == "00:38 a2       pull request: create  ok"
    assert last[-1] == "not read yet"
    ended = TalkReading(JobFiles(tmp_path, ended=True), UNICODE)
    assert told(whole(ended))[-1][-1] == "never read"


def test_who_waits_is_seen_while_it_waits(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    probe.letter("message_sent", "agent1", "agent2", 1, "well?", wait=True)
    reading = whole(TalkReading(JobFiles(tmp_path), UNICODE))
    assert told(reading)[0][-1] == "not read yet  a1 waits for an answer"
    probe.tell("exec_end", "agent1", 31, returncode=0)
    assert reading.advance()
    assert told(reading)[0][-1] == "not read yet  a1 waited 30s for an answer"


def test_a_reader_may_say_so_before_the_sender(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    probe.letter("message_received", "agent1", "agent2", 2.0, "hello")
    reading = whole(TalkReading(JobFiles(tmp_path), UNICODE))
    assert [letter.kind for letter in reading.talk.letters] == ["read"]
    probe.letter("message_sent", "agent1", "agent2", 1.0, "hello", wait=False)
    whole(reading)
    assert [letter.kind for letter in reading.talk.letters] == ["sent"]
    assert told(reading)[0][-1] == "read 1.0s later"


def test_the_same_words_twice_are_two_messages(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    for at in (1, 2):
        probe.letter("message_sent", "agent1", "agent2", at, "ok", wait=False)
    probe.letter("message_received", "agent1", "agent2", 5, "ok")
    reading = whole(TalkReading(JobFiles(tmp_path), UNICODE))
    assert [rows[-1] for rows in told(reading)] == ["read 4.0s later", "not read yet"]
    probe.letter("message_received", "agent1", "agent2", 9, "ok")
    whole(reading)
    assert [rows[-1] for rows in told(reading)] == ["read 4.0s later", "read 7.0s later"]


@pytest.mark.parametrize(
    ("command", "seen"),
    [
        ("git push", True), ("git -C /w push -u origin x", True), ("cd x && git --no-pager push", True),
        ("git stash push", False), ("echo pushing git", False), ("git pushy", False), ("gh pr create -t x", True),
        ("git fetch -q origin && git log", True), ("git pull --rebase", True), ("git pulls", False),
        ("gh pr list", False), ("git commit -m 'push it'", False), ("git -c a=b push", True),
    ],
)  # fmt: skip
def test_pushes_pulls_and_pull_requests(tmp_path: Path, command: str, seen: bool) -> None:
    Probe(tmp_path).step("agent1", 1, 1, command)
    assert bool(whole(TalkReading(JobFiles(tmp_path), UNICODE)).count) == seen


def test_a_long_hostile_command_is_looked_through_at_once(tmp_path: Path) -> None:
    for number, command in enumerate(("git -c " * 1000, "git " * 1500, "git" + " -x" * 2000, "gh  pr " * 1000)):
        Probe(tmp_path).step("agent1", number, 1, command)
    assert whole(TalkReading(JobFiles(tmp_path), UNICODE)).count == 0


def test_nobody_to_talk_to(tmp_path: Path) -> None:
    assert "nobody to talk to" in TalkReading(JobFiles(tmp_path, alone=True), UNICODE).says
    assert "may not talk" in TalkReading(JobFiles(tmp_path, silent=True), UNICODE).says
    assert TalkReading(JobFiles(tmp_path), UNICODE).says.endswith("yet")
    assert not TalkReading(JobFiles(tmp_path, ended=True), UNICODE).says.endswith("yet")
    assert TalkReading(JobFiles(says="not started yet"), UNICODE).says == "not started yet"


def test_a_conversation_without_times_is_placed_by_the_trajectories() -> None:
    reading = whole(TalkReading(JobFiles(None, COOP, ended=True), UNICODE))
    kinds = [letter.kind for letter in reading.talk.letters]
    assert kinds.count("sent") == 2
    sent = [letter for letter in reading.talk.letters if letter.kind == "sent"]
    assert all(letter.at is not None for letter in sent)
    assert all(letter.reads for letter in sent)
    text = "\n".join("\n".join(rows) for rows in told(reading))
    assert "a1 → a2  I will append sub() at the end of calc.py" in text
    assert reading.path(0) == COOP / "conversation.json"
    ats = [letter.at for letter in reading.talk.letters if letter.at is not None]
    assert ats == sorted(ats)


def test_a_solo_run_shows_its_pushes() -> None:
    reading = whole(TalkReading(JobFiles(None, SOLO, ended=True, alone=True), UNICODE))
    assert [letter.kind for letter in reading.talk.letters] == ["push", "push"]
    assert told(reading)[0][0].endswith("push  ok")
    assert "pull request: create" in told(reading)[1][0]


@pytest.mark.parametrize("text", ["", "{}", "[", "[1, null, [], {}]", '[{"from": 7, "message": ["x"]}]', "[" * 9000])
def test_hostile_conversations(tmp_path: Path, text: str) -> None:
    (tmp_path / "conversation.json").write_text(text)
    reading = whole(TalkReading(JobFiles(None, tmp_path, ended=True), UNICODE))
    told(reading)
    assert reading.count <= 4


def test_hostile_words_are_inert(tmp_path: Path) -> None:
    talking(tmp_path)
    Probe(tmp_path).letter("message_sent", "\x1b[2J" + "n" * 500, "\u202e", 50, "\x9b31m\x1bP evil", wait=False)
    reading = whole(TalkReading(JobFiles(tmp_path), ASCII))
    assert "evil" in reading.text(reading.count - 1)
    for entry in range(reading.count):
        assert reading.text(entry).replace("\n", "").isprintable()
        assert reading.text(entry).isascii()


def test_growth_costs_what_is_new(tmp_path: Path) -> None:
    probe = talking(tmp_path)
    reading = whole(TalkReading(JobFiles(tmp_path), UNICODE))
    before = reading.count
    with probe.path.open("a") as out:
        for number in range(5000):
            line = {"at": 1.0, "type": "message_sent", "agent": "a", "from": "a", "to": "b", "text": f"m {number}"}
            out.write(json.dumps(line) + "\n")
    whole(reading)
    assert reading.count == before + 5000
    assert not reading.advance()


def test_any_number_of_messages_and_agents_is_bounded(tmp_path: Path) -> None:
    probe = Probe(tmp_path)
    with probe.path.open("w") as out:
        for number in range(150_000):
            name = f"n{number}"
            kind = ("message_sent", "message_received", "step")[number % 3]
            line = {"at": 1.0, "type": kind, "agent": name, "from": name, "to": "b", "text": f"{number}" * 60,
                    "wait": True, "command": "send_message b 'x'; git push"}  # fmt: skip
            out.write(json.dumps(line) + "\n")
    reading = TalkReading(JobFiles(tmp_path), UNICODE)
    tracemalloc.start()
    whole(reading)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.count == MOST_ENTRIES + 1
    assert "more" in told(reading)[-1][0]
    assert peak < 60_000_000
