"""Events and rows as JSON, and back. Shared by the ledger and the socket."""

import json
import math
from functools import cache
from typing import Annotated, Any

from pydantic import Discriminator, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from runner.model.events import Envelope, Event, ForeignEvent

ENVELOPE_VERSION = 1
_AnyEvent = Annotated[Event, Discriminator("type")]


@cache
def adapter(shape: Any) -> TypeAdapter[Any]:
    """The validator of a type, built once: building one costs milliseconds, using it microseconds."""
    return TypeAdapter(shape)


def to_json(shape: Any, value: object) -> bytes:
    """The value as one line of JSON in UTF-8; half of a surrogate pair, which an error's text may hold, as `?`."""
    try:
        line: bytes = adapter(shape).dump_json(value)
    except PydanticSerializationError:
        values = adapter(shape).dump_python(value, mode="json")
        return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
    return line


def dump_event(event: Event) -> str:
    """The event as one line of JSON; an event of a later version as it came."""
    return event.body if isinstance(event, ForeignEvent) else to_json(_AnyEvent, event).decode()


def load_event(body: str) -> Event:
    """The event in a line of JSON.

    A line of a later version, with an unknown type or shape, becomes a ForeignEvent: an old coopdeck still
    opens a new ledger.

    Raises:
        ValueError: the line is not a JSON object at all.
    """
    try:
        event: Event = adapter(_AnyEvent).validate_json(body)
    except ValidationError:
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
        event = adapter(_AnyEvent).dump_python(envelope.event, mode="json")
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
