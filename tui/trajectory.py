"""Upstream's trajectories, told as the probe would have told them; one message at a time, however large the file."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui.growing import GrowingFile, Record, Ref, number, words

WINDOW = 128 * 1024
MESSAGE_LIMIT = 8 * 1024 * 1024
"""A larger message ends the reading of its file."""
TEXT_LIMIT = 64 * 1024
"""Characters that are kept of one text."""
MOST_FILES = 16
SUFFIX = "_traj.json"

_decoder = json.JSONDecoder()
_BLANK = " \t\r\n,"
_RECEIVED = re.compile(r"\[Message from (\w{1,64})[^\]]{0,400}\]: ?(.*)", re.DOTALL)


class Elements:
    """The elements of a JSON file's list: of the file itself, or of the list `key` in its object.

    Decoded as latin-1, so that places in the text are places in the file; texts are decoded again if they need it.
    """

    def __init__(self, path: Path, key: str | None) -> None:
        self.file = GrowingFile(path)
        self._key = key
        self._at = 0
        self._window = WINDOW
        self._inside = False
        self.members: dict[str, object] = {}
        """What stood in the object before the list: small values alone."""
        self.complete = False

    @property
    def done(self) -> float:
        return 1.0 if self.complete or not self.file.size else self._at / self.file.size

    def advance(self) -> list[tuple[int, int, object]]:
        """Some elements more: offset, length, value."""
        if self.complete:
            return []
        if not self.file.exists:
            self.file.look()
        text = self.file.read(self._at, self._window).decode("latin-1")
        found: list[tuple[int, int, object]] = []
        used = 0
        for end, element in self._decoded(text, whole=self._at + len(text) >= self.file.size):
            if element is not None:
                start, value = element
                found.append((self._at + start, end - start, value))
            used = end
        self._at += used
        if not used and not self.complete:
            self._window *= 4
            if self._window > MESSAGE_LIMIT or self._at + len(text) >= self.file.size:
                self.complete = True
        elif used:
            self._window = WINDOW
        return found

    def read(self, offset: int, length: int) -> object:
        """An element once more."""
        if length > MESSAGE_LIMIT:
            return None
        try:
            return json.loads(self.file.read(offset, length).decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None

    def _decoded(self, text: str, *, whole: bool) -> Iterator[tuple[int, tuple[int, object] | None]]:
        """Where the reading has come to, again and again, and the elements in between."""
        at = 0
        while not self.complete:
            while at < len(text) and text[at] in _BLANK:
                at += 1
            if at >= len(text):
                return
            if self._inside and text[at] == "]":
                self.complete = True
                yield at + 1, None
                return
            if not self._inside and self._at + at == 0:
                if text[at] != ("[" if self._key is None else "{"):
                    self.complete = True
                    return
                self._inside = self._key is None
                at += 1
                yield at, None
                continue
            if not self._inside and text[at] == "}":
                self.complete = True
                return
            try:
                at, element = self._element(text, at, whole) if self._inside else self._member(text, at, whole)
            except (ValueError, RecursionError):
                return
            yield at, element

    def _element(self, text: str, at: int, whole: bool) -> tuple[int, tuple[int, object] | None]:
        value, end = _decode(text, at, whole)
        if not text.isascii() and not (raw := text[at:end]).isascii():
            value = json.loads(raw.encode("latin-1").decode("utf-8", "replace"))
        return end, (at, value)

    def _member(self, text: str, at: int, whole: bool) -> tuple[int, tuple[int, object] | None]:
        """One key of the object; the list that is looked for is entered, any other value passed over."""
        name, end = _decode(text, at, whole)
        while end < len(text) and text[end] in " \t\r\n:":
            end += 1
        if end >= len(text):
            raise ValueError("cut")
        if name == self._key and text[end] == "[":
            self._inside = True
            end += 1
        else:
            value, end = _decode(text, end, whole)
            if isinstance(name, str) and isinstance(value, str | int) and len(self.members) < 64:
                self.members[name] = words(value, 200) or value
        return end, None


def _decode(text: str, at: int, whole: bool) -> tuple[object, int]:
    value, end = _decoder.raw_decode(text, at)
    if end >= len(text) and not whole:
        raise ValueError("may go on")  # a number, cut by the window
    return value, end


@dataclass(frozen=True, slots=True)
class _Teller:
    """What is known of an agent before its next message."""

    agent: str
    named: bool = False
    steps: int = 0
    at: float | None = None


class Trajectories:
    """The messages of all agents of a finished job, one file after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = sorted(folder.glob("*" + SUFFIX))[:MOST_FILES]
        self._files = [Elements(path, "messages") for path in paths]
        self._tellers = [_Teller(path.name.removesuffix(SUFFIX)) for path in paths]

    @property
    def complete(self) -> bool:
        return all(file.complete for file in self._files)

    @property
    def done(self) -> float:
        return sum(file.done for file in self._files) / len(self._files) if self._files else 1.0

    def close(self) -> None:
        for file in self._files:
            file.file.close()

    def advance(self) -> list[tuple[Ref, Record]]:
        found: list[tuple[Ref, Record]] = []
        place = next((place for place, file in enumerate(self._files) if not file.complete), None)
        if place is None:
            return found
        file = self._files[place]
        for offset, length, message in file.advance():
            if not self._tellers[place].named:
                # The file is named by the feature, or by the agent.
                name = words(file.members.get("agent_id"), 64) or self._tellers[place].agent
                self._tellers[place] = replace(self._tellers[place], agent=name, named=True)
            records, self._tellers[place] = told(message, self._tellers[place])
            ref = Ref(place, offset, length)
            found.extend((ref, record) for record in records)
        return found

    def read(self, ref: Ref) -> list[Record]:
        """What a message says, once more; numbers of steps are not known any more."""
        message = self._files[ref.file].read(ref.offset, ref.length)
        return told(message, _Teller(self._tellers[ref.file].agent))[0]


def told(message: object, teller: _Teller) -> tuple[list[Record], _Teller]:
    """A message of a trajectory as the probe's records."""
    if not isinstance(message, dict):
        return [], teller
    role, extra = message.get("role"), message.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    stamp = number(extra.get("timestamp"))
    at = teller.at if stamp is None else stamp
    head: Record = {"at": at, "agent": teller.agent}
    records: list[Record] = []
    if role == "assistant":
        latency = stamp - teller.at if stamp is not None and teller.at is not None else None
        cost = number(extra.get("cost"))
        ended = {"type": "llm_end", "latency_s": latency, "cost_usd": cost or None, "status": "ok"}
        step = {
            "type": "step", "step": teller.steps + 1, "command": _command(message, extra),
            "thought": content(message.get("content")) or words(message.get("reasoning_content"), TEXT_LIMIT),
        }  # fmt: skip
        records = [{**head, **ended}, {**head, **step}]
        teller = replace(teller, steps=teller.steps + 1)
    elif role == "exit":
        failed = "exception_str" in extra
        status = words(extra.get("exit_status"))
        ended = {
            "type": "agent_end", "status": "Error" if failed else status,
            "class": status if failed else None, "error": words(extra.get("exception_str"), TEXT_LIMIT),
        }  # fmt: skip
        records = [{**head, **ended}]
    elif "returncode" in extra:
        seconds = stamp - teller.at if stamp is not None and teller.at is not None else None
        done = {"type": "exec_end", "returncode": extra.get("returncode"), "seconds": seconds}
        records = [{**head, **done, "output": words(extra.get("raw_output"), TEXT_LIMIT)}]
    elif role == "user" and (found := _RECEIVED.match(content(message.get("content")))):
        letter = {"type": "message_received", "from": found[1], "to": teller.agent, "text": found[2]}
        records = [{**head, **letter}]
    return records, replace(teller, at=at)


def _command(message: dict[str, Any], extra: dict[str, Any]) -> str:
    actions = extra.get("actions")
    if isinstance(actions, list):
        commands = [words(one.get("command"), TEXT_LIMIT) for one in actions if isinstance(one, dict)]
        return "\n".join(command for command in commands if command)
    calls = message.get("tool_calls")
    names: list[str] = []
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            names.append(f"{words(function.get('name'))} {words(function.get('arguments'), TEXT_LIMIT)}")
    return "\n".join(names)


def content(value: object) -> str:
    """The text of a message's content, which may come in parts."""
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))[:TEXT_LIMIT]
    return words(value, TEXT_LIMIT)
