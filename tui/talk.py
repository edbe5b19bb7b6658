"""What a job's agents said to each other, and what they pushed, on one time line: pure reading."""

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from tui.format import short_agent
from tui.glyphs import Glyphs
from tui.growing import Record, Ref, number, words
from tui.job_files import JobFiles
from tui.reading import Row, block
from tui.steps import short
from tui.text import Line, Span, fit
from tui.told import AGENT_TONES, ToldReading

MOST_ENTRIES = 20_000
MOST_READS = 16
MOST_SENDS = 2000
MOST_AGENTS = 64
TEXT_LINES = 200
ALIKE = 200
"""Characters by which a message that was read is known to be the one that was sent."""
_TEXT_AT = 18
_SHARE = re.compile(r"\bgit(?:\s+-[cC]\s+\S{1,200}|\s+-\S{1,200}){0,8}\s+(push|pull|fetch)\b")
_REQUEST = re.compile(r"\bgh\s+pr\s+(create|merge|close|review|comment|edit|reopen|ready)\b")


@dataclass(slots=True)
class Letter:
    """A message, or a push or pull, by its place; its text is read when it is looked at."""

    kind: Literal["sent", "lost", "read", "push"]
    """`read`: somebody read what nobody was seen to send."""
    sender: str
    to: str
    at: float | None
    ref: Ref
    waits: bool = False
    waited: float | None = None
    """How long its sender waited for the answer; None as long as it waits."""
    reads: list[tuple[str, float | None]] = field(default_factory=list)
    ended: bool = False
    """Of a push: its command is over."""
    status: float | None = None


class Talk:
    """Folds records into letters."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.begun: float | None = None
        self.agents: list[str] = []
        self.more = 0
        self._unread: dict[tuple[str, str], deque[Letter]] = {}
        self._early: dict[tuple[str, str], deque[Letter]] = {}
        self._waiting: dict[str, Letter] = {}
        self._pushing: dict[str, list[Letter]] = {}
        self._sends: dict[str, list[tuple[float | None, str]]] = {}
        """By agent: when it ran which command that sends; conversation.json may know no times."""

    def __len__(self) -> int:
        return len(self.letters)

    def take(self, ref: Ref, record: Record) -> bool:
        at = number(record.get("at"))
        if self.begun is None and at is not None:
            self.begun = at
        agent = words(record.get("agent"), 64)
        kind = record.get("type")
        if kind == "step" and agent:
            return self._step(ref, record, agent, at)
        if kind in {"exec_end", "agent_end"} and agent:
            return self._over(agent, number(record.get("returncode")), at)
        if kind not in {"message_sent", "message_lost", "message_received"}:
            return False
        sender, to = words(record.get("from"), 64) or "?", words(record.get("to"), 64) or "?"
        text = words(record.get("text"))
        key = (sender, text.strip()[:ALIKE])
        if kind == "message_received":
            return self._received(ref, key, to, at)
        if at is None:
            at = self._when(sender, text)
        letter = Letter("sent" if kind == "message_sent" else "lost", sender, to, at, ref)
        letter.waits = record.get("wait") is True
        if letter.waits and len(self._waiting) < MOST_AGENTS:
            self._waiting[agent or sender] = letter
        early = self._early.get(key)
        if early and letter.kind == "sent":
            before = early.popleft()
            letter.reads = before.reads
            self.letters.remove(before)
        if self._add(letter) and letter.kind == "sent":
            self._unread.setdefault(key, deque(maxlen=MOST_READS)).append(letter)
        return True

    def sort(self) -> None:
        """In the order of their times; what has none stays behind what it followed."""
        last = self.begun or 0.0
        keys: dict[int, float] = {}
        for letter in self.letters:
            last = last if letter.at is None else letter.at
            keys[id(letter)] = last
        self.letters.sort(key=lambda letter: keys[id(letter)])

    def _step(self, ref: Ref, record: Record, agent: str, at: float | None) -> bool:
        self._over(agent, None, at)
        command = words(record.get("command"), 64 * 1024)
        known = agent in self._sends or len(self._sends) < MOST_AGENTS
        if "send_message" in command and known and len(sends := self._sends.setdefault(agent, [])) < MOST_SENDS:
            sends.append((at, command[:4096]))
        if not (_SHARE.search(command) or _REQUEST.search(command)):
            return False
        letter = Letter("push", agent, "", at, ref)
        if self._add(letter):
            self._pushing.setdefault(agent, []).append(letter)
        return True

    def _over(self, agent: str, status: float | None, at: float | None) -> bool:
        """The agent's command has ended: it does not wait any more, and what it pushed is pushed or not."""
        waiting, pushing = self._waiting.pop(agent, None), self._pushing.pop(agent, [])
        if waiting is not None and waiting.at is not None and at is not None:
            waiting.waited = max(0.0, at - waiting.at)
        for letter in pushing:
            letter.ended, letter.status = True, status
        return waiting is not None or bool(pushing)

    def _received(self, ref: Ref, key: tuple[str, str], to: str, at: float | None) -> bool:
        for letter in self._unread.get(key, ()):
            if len(letter.reads) < MOST_READS and all(who != to for who, _ in letter.reads):
                letter.reads.append((to, at))
                return True
        # Its reader may say so before its sender does.
        letter = Letter("read", key[0], to, at, ref, reads=[(to, at)])
        if self._add(letter):
            self._early.setdefault(key, deque(maxlen=MOST_READS)).append(letter)
        return True

    def _when(self, sender: str, text: str) -> float | None:
        start = text.strip().partition("\n")[0][:40]
        sends = self._sends.get(sender, [])
        for place, (at, command) in enumerate(sends):
            if start in command:
                del sends[place]
                return at
        return None

    def _add(self, letter: Letter) -> bool:
        for name in (letter.sender, letter.to):
            if name and name not in self.agents and len(self.agents) < MOST_AGENTS:
                self.agents.append(name)
        if len(self.letters) >= MOST_ENTRIES:
            self.more += 1
            return False
        self.letters.append(letter)
        return True


class TalkReading(ToldReading[Talk]):
    """A message a few rows: who to whom, its text, when it was read."""

    def __init__(self, files: JobFiles, glyphs: Glyphs) -> None:
        super().__init__(files, glyphs, talk=True, kept=64)

    def _fresh(self) -> Talk:
        return Talk()

    @property
    def talk(self) -> Talk:
        return self._fold

    @property
    def says(self) -> str:
        if self.files.says and self.files.results is None:
            return self.files.says
        if self.files.alone:
            return "one agent works alone here: there is nobody to talk to"
        if self.files.silent:
            return "in this setting the agents may not talk, and nothing was pushed" + self._yet
        return "no message was sent and nothing was pushed" + self._yet

    @property
    def _yet(self) -> str:
        return "" if self.files.ended else " yet"

    def rows(self, entry: int, *, unfolded: bool) -> list[Row]:
        if entry >= len(self.talk.letters):
            return self._beyond()
        it = self.talk.letters[entry]
        records = self._read(it.ref)
        if it.kind == "push":
            return self._push(it, next((one for one in records if one.get("type") == "step"), {}))
        record = next((one for one in records if str(one.get("type", "")).startswith("message_")), {})
        lost: Line = (Span("LOST ", "alarm"),) if it.kind == "lost" else ()
        arrow = " > " if self.glyphs.ascii_only else " → "
        head = (*self._when(it.at), *self._name(it.sender), Span(arrow, "muted"), *self._name(it.to, 4), *lost)
        text = words(record.get("text"), 64 * 1024).strip() or "(nothing)"
        rows = block(self, text, _TEXT_AT, "text", TEXT_LINES, head)
        fate = self._fate(it)
        return [*rows, Row((Span(" " * _TEXT_AT), *fate), _TEXT_AT)] if fate else rows

    # -- an entry -----------------------------------------------------------------------------------------------

    def _when(self, at: float | None) -> Line:
        return (Span(f" {'':>7} ") if at is None else self._since(at),)

    def _name(self, agent: str, width: int = 2) -> Line:
        tone = AGENT_TONES[self.talk.agents.index(agent) % len(AGENT_TONES)] if agent in self.talk.agents else "text"
        name = self.said(short_agent(agent))
        return (Span(fit(name, max(width, len(name))), tone),)

    def _fate(self, it: Letter) -> Line:
        """What became of a message."""
        if it.kind == "lost":
            return (Span("was not delivered", "error"),)
        parts: list[Span] = []
        for who, at in it.reads:
            later = ""
            if it.kind == "sent" and at is not None and it.at is not None:
                later = f" {short(max(0.0, at - it.at) * self._evidence.speed)} later"
            of = f" by {self.said(short_agent(who))}" if who != it.to else ""
            parts.append(Span(f"read{of}{later}  ", "ok"))
        if not it.reads:
            parts.append(Span("never read  " if self.files.ended else "not read yet  ", "warn"))
        if it.waits:
            name = self.said(short_agent(it.sender))
            if it.waited is not None:
                parts.append(Span(f"{name} waited {short(it.waited * self._evidence.speed)} for an answer", "muted"))
            elif self.live:
                parts.append(Span(f"{name} waits for an answer", "run"))
            else:
                parts.append(Span(f"{name} waited for an answer", "muted"))
        return tuple(parts)

    def _push(self, it: Letter, step: Record) -> list[Row]:
        command = words(step.get("command"), 64 * 1024)
        asked = _REQUEST.search(command)
        verbs = dict.fromkeys(found[1] for found in _SHARE.finditer(command))
        verb = ", ".join([*verbs, *([f"pull request: {asked[1]}"] if asked else [])])
        if not it.ended:
            mark = Span("  under way" if self.live else "", "run")
        elif it.status is None:
            mark = Span("")
        else:
            mark = Span(f"  exit {it.status:.0f}", "error") if it.status else Span("  ok", "ok")
        head = Row((*self._when(it.at), *self._name(it.sender, _TEXT_AT - 9), Span(verb, "key"), mark), _TEXT_AT)
        lines = [line for line in command.split("\n") if _SHARE.search(line) or _REQUEST.search(line)]
        return [head, *block(self, "\n".join(lines), _TEXT_AT, "muted", 5)]
