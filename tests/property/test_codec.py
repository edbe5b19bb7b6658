import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.events import Envelope, Event, ForeignEvent, RunnerStopped
from runner.wire.codec import dump_envelope, dump_event, load_envelope, load_event
from runner.wire.frames import Refusal, decode, encode
from tests.property.strategies import events, histories

anything: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(events)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    line = dump_event(event)
    assert "\n" not in line
    assert load_event(line) == event


@given(histories())
def test_an_envelope_comes_back_through_json(history: list[Envelope]) -> None:
    for envelope in history:
        assert load_envelope(json.loads(json.dumps(dump_envelope(envelope)))) == envelope


@given(st.text())
def test_garbage_is_a_value_error_or_a_foreign_event(line: str) -> None:
    with suppress(ValueError):
        load_event(line)


@given(st.dictionaries(st.text(max_size=8), anything, max_size=4))
def test_an_event_of_a_later_version_is_kept_as_it_came(body: dict[str, object]) -> None:
    line = json.dumps(body)
    event = load_event(line)
    assert isinstance(event, ForeignEvent)
    assert dump_event(event) == line


@given(
    st.fixed_dictionaries(
        {"seq": st.just(1) | anything, "at": st.just(1.0) | anything, "event": st.just({}) | anything},
        optional={"v": anything, "more": anything},
    ),
    st.sampled_from(["", "seq", "at", "event"]),
)
def test_values_that_are_no_envelope_are_a_value_error(values: dict[str, object], missing: str) -> None:
    values.pop(missing, None)
    with suppress(ValueError):
        assert isinstance(load_envelope(values), Envelope)


@given(st.text(st.characters(), max_size=8))
def test_half_a_surrogate_pair_reaches_neither_ledger_nor_wire(text: str) -> None:
    shown = text.encode("utf-8", "replace").decode()
    assert load_event(dump_event(RunnerStopped(text))) == RunnerStopped(shown)
    assert decode(encode(Refusal(text))) == Refusal(shown)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_json_without_a_bottom_is_a_value_error(opening: str) -> None:
    with pytest.raises(ValueError, match="an event must be a JSON object"):
        load_event(opening * 100_000)
    with pytest.raises(ValueError, match="not a frame"):
        decode(opening.encode() * 100_000)


@given(st.binary(max_size=200) | anything.map(lambda value: json.dumps(value).encode()))
def test_garbage_on_the_wire_is_a_value_error(line: bytes) -> None:
    with suppress(ValueError):
        decode(line)
