"""The protocol between runner and clients: one JSON object a line, each at most MAX_FRAME bytes.

A client connects and sends `Hello`; the runner answers with `Welcome`, then the board in `BoardPart` frames,
then `Happened` frames for ever. `Ask` frames are answered by `Answer` frames with the same number. A client
that is too slow is sent the board again: that is the only way to resynchronise.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
from msgspec import Struct
from pyrsistent import pmap

from runner.model.board import Board, Hold, RunnerRow
from runner.model.commands import Command, Reply
from runner.model.events import StopMode
from runner.model.plan import Plan
from runner.model.reduce import with_rows
from runner.model.rows import JobRow
from runner.model.supplies import Supply
from runner.wire.codec import by_type, from_typed_json, to_json

PROTOCOL = 1
MAX_FRAME = 4 * 1024 * 1024
ROWS_A_PART = 500
WEIGHT_A_PART = 4 * ROWS_A_PART
"""Rows, their attempts and containers: each is some hundred bytes of JSON, seldom a thousand."""


class Hello(Struct, frozen=True):
    protocol: int
    version: str
    type: Literal["Hello"] = "Hello"


class Welcome(Struct, frozen=True):
    protocol: int
    version: str
    pid: int
    sweep: str
    sweep_dir: str
    type: Literal["Welcome"] = "Welcome"


class Refusal(Struct, frozen=True):
    """The runner will not talk to this client; `says` is the sentence to show."""

    says: str
    type: Literal["Refusal"] = "Refusal"


@dataclass(frozen=True, slots=True)
class BoardHead:
    """A board without its rows; the tallies are counted again from the rows."""

    seq: int
    at: float
    plan: Plan | None
    slots: int
    paused: bool
    holds: tuple[Hold, ...]
    stopping: StopMode | None
    runner: RunnerRow | None
    ran_s: float
    finished_at: float | None
    supplies: tuple[Supply, ...] = ()


class BoardPart(Struct, frozen=True):
    """Some of the board's rows, in order; `more` tells that others follow."""

    head: BoardHead
    rows: tuple[JobRow, ...]
    more: bool
    type: Literal["BoardPart"] = "BoardPart"


class Happened(Struct, frozen=True):
    """Consecutive envelopes, as `codec.dump_envelope` writes them."""

    envelopes: tuple[dict[str, Any], ...]
    attached: int
    """Dashboards and headless clients now, this one included."""
    type: Literal["Happened"] = "Happened"


class Ask(Struct, frozen=True):
    number: int
    command: Command
    type: Literal["Ask"] = "Ask"


class Answer(Struct, frozen=True):
    number: int
    reply: Reply
    type: Literal["Answer"] = "Answer"


Frame = Hello | Welcome | Refusal | BoardPart | Happened | Ask | Answer


class _RawAsk(Struct, frozen=True):
    """As it comes: which command it is shows only inside."""

    number: int
    command: msgspec.Raw


_FRAMES = {**by_type(Frame), "Ask": _RawAsk}
_COMMANDS = by_type(Command)


def encode(frame: Frame) -> bytes:
    """One line, newline included."""
    return to_json(frame) + b"\n"


def decode(line: bytes) -> Frame:
    """Raises ValueError, with a sentence, for anything that is not a frame of this protocol."""
    if len(line) > MAX_FRAME:
        raise ValueError(f"a frame of {len(line)} bytes is over the limit of {MAX_FRAME}")
    try:
        frame: Frame | _RawAsk = from_typed_json(_FRAMES, line)
        if isinstance(frame, _RawAsk):
            return Ask(frame.number, from_typed_json(_COMMANDS, bytes(frame.command)))
    except ValueError as error:
        raise ValueError(f"not a frame: {error}") from None
    return frame


def board_parts(board: Board) -> Iterator[BoardPart]:
    """The board as frames, at least one."""
    head = BoardHead(
        board.seq,
        board.at,
        board.plan,
        board.slots,
        board.paused,
        board.holds,
        board.stopping,
        board.runner,
        board.ran_s,
        board.finished_at,
        tuple(board.supplies.values()),
    )
    part: list[JobRow] = []
    weight = 0
    for job in board.order:
        row = board.jobs[job]
        weight += _weight(row)
        if part and (len(part) >= ROWS_A_PART or weight > WEIGHT_A_PART):
            yield BoardPart(head, tuple(part), more=True)
            part, weight = [], _weight(row)
        part.append(row)
    yield BoardPart(head, tuple(part), more=False)


def _weight(row: JobRow) -> int:
    return 1 + len(row.attempts) + len(row.agents) + sum(len(attempt.containers) for attempt in row.attempts)


def board_of(parts: list[BoardPart]) -> Board:
    """The board that `board_parts` took apart."""
    head = parts[-1].head
    rows = tuple(row for part in parts for row in part.rows)
    return replace(
        with_rows(Board(), rows),
        seq=head.seq,
        at=head.at,
        plan=head.plan,
        slots=head.slots,
        paused=head.paused,
        holds=head.holds,
        stopping=head.stopping,
        runner=head.runner,
        ran_s=head.ran_s,
        finished_at=head.finished_at,
        supplies=pmap({supply.key: supply for supply in head.supplies}),
    )
