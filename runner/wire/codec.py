"""Events and rows as JSON, and back. Shared by the ledger and the socket."""

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_args

import msgspec

from runner.model.events import Envelope, Event, ForeignEvent

ENVELOPE_VERSION = 1
Shape = TypeVar("Shape")


class _Typed(msgspec.Struct):
    """All that is read of a line before its shape is known."""

    type: str = ""


def by_type(union: Any) -> dict[str, type]:
    """The members of a union of dataclasses by the `type` that stands in their JSON."""
    return {member.__name__: member for member in get_args(union)}


_EVENTS = by_type(Event)


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def to_json(value: object) -> bytes:
    """The value as one line of JSON in UTF-8; half of a surrogate pair, which an error's text may hold, as `?`."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")


def from_json(shape: type[Shape], line: bytes | str) -> Shape:
    """The value of this shape in a line of JSON.

    Raises:
        ValueError: the line is no JSON, or of another shape.
    """
    decodes: Any = shape
    try:
        value: Shape = _decoder(decodes).decode(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def from_typed_json(shapes: Mapping[str, type[Any]], line: bytes | str) -> Any:
    """The value in a line of JSON whose `type` says which of the shapes it has; raises ValueError as `from_json`."""
    shape = shapes.get(from_json(_Typed, line).type)
    if shape is None:
        raise ValueError("its type is unknown")
    return from_json(shape, line)


def dump_event(event: Event) -> str:
    """The event as one line of JSON; an event of a later version as it came."""
    return event.body if isinstance(event, ForeignEvent) else to_json(event).decode()


def load_event(body: str) -> Event:
    """The event in a line of JSON.

    A line of a later version, with an unknown type or shape, becomes a ForeignEvent: an old coopdeck still
    opens a new ledger.

    Raises:
        ValueError: the line is not a JSON object at all.
    """
    try:
        event: Event = from_typed_json(_EVENTS, body)
    except ValueError:
        try:
            is_object = isinstance(json.loads(body), dict)
        except RecursionError:
            is_object = False
        if not is_object:
            raise ValueError("an event must be a JSON object") from None
        return ForeignEvent(body)
    return event


def dump_envelope(envelope: Envelope) -> dict[str, Any]:
    """The envelope as JSON values: `{v, seq, at, event}`."""
    if isinstance(envelope.event, ForeignEvent):
        event = json.loads(envelope.event.body)
    else:
        event = msgspec.to_builtins(envelope.event)
    return {"v": envelope.v, "seq": envelope.seq, "at": envelope.at, "event": event}


def load_envelope(values: dict[str, Any]) -> Envelope:
    """Raises ValueError for values that are no envelope."""
    try:
        seq, at, event = int(values["seq"]), float(values["at"]), values["event"]
        version = int(values.get("v", ENVELOPE_VERSION))
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"not an envelope: {error}") from None
    if not math.isfinite(at):
        raise ValueError("not an envelope: its time is no number")
    return Envelope(seq, at, load_event(json.dumps(event)), version)
