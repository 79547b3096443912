"""Session events: nothing is lost, whatever kind of event comes, and nothing is decoded before somebody looks."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat import ProtocolError, Record, SessionEvent, SessionEventType
from rightseat.wire.events import EventParams, event_from_dict, event_params_from_raw
from rightseat.wire.session_events import DATA_CLASSES


def event(kind: str, data: dict, **envelope) -> SessionEvent:
    return event_from_dict({"type": kind, "data": data, "id": "e", "timestamp": "2026-01-02T03:04:05.678Z", **envelope})


def test_a_delta_is_typed():
    delta = event("assistant.message_delta", {"messageId": "m", "deltaContent": "hi"}, ephemeral=True)
    assert delta.type is SessionEventType.ASSISTANT_MESSAGE_DELTA
    assert delta.type == "assistant.message_delta"
    assert delta.data.delta_content == "hi"
    assert delta.data is delta.data
    assert delta.timestamp.year == 2026
    assert delta.ephemeral is True


def test_the_names_of_the_first_guides_work_too():
    call = event("tool.execution_start", {"toolCallId": "1", "toolName": "calculate", "arguments": {"x": 1}})
    assert call.type == SessionEventType.TOOL_CALL == SessionEventType.TOOL_EXECUTION_START
    assert call.data.name == call.data.tool_name == "calculate"
    result = event("tool.execution_complete", {"toolCallId": "1", "success": True})
    assert result.type == SessionEventType.TOOL_RESULT


def test_an_unknown_kind_is_kept_whole():
    odd = event("brand.new", {"someField": {"inner": [1]}}, newEnvelope=1)
    assert odd.type is SessionEventType.UNKNOWN
    assert odd.raw_type == "brand.new"
    assert odd.data.some_field.inner == [1]
    assert odd.to_dict()["data"] == {"someField": {"inner": [1]}}


def test_a_known_kind_with_odd_data_is_kept_as_a_record():
    odd = event("assistant.message_delta", {"deltaContent": 5, "extra": True})
    assert isinstance(odd.data, Record)
    assert odd.data.delta_content == 5
    assert odd.data.extra is True


def test_fields_the_catalogue_does_not_know_are_in_raw():
    newer = event("session.idle", {"aborted": False, "brandNew": 7})
    assert newer.data.aborted is False
    assert newer.raw.brand_new == 7


@pytest.mark.parametrize("kind", sorted(DATA_CLASSES))
def test_every_kind_of_the_catalogue_can_be_decoded(kind):
    required = {
        f.encode_name: msgspec.json.decode(_example(f.type))
        for f in msgspec.structs.fields(DATA_CLASSES[kind])
        if f.required
    }
    assert type(event(kind, required).data) in (DATA_CLASSES[kind], Record)


def _example(hint: object) -> bytes:
    return {str: b'"x"', int: b"1", float: b"1.5", bool: b"true"}.get(hint, b"[]" if "list" in str(hint) else b"{}")


@given(
    st.text(),
    st.dictionaries(st.text(), st.none() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text()), max_size=5),
)
def test_any_kind_with_any_data_comes_back_as_it_was(kind, data):
    wire = {"type": kind, "data": data, "id": "e", "timestamp": "t", "parentId": None}
    came = event_params_from_raw(msgspec.Raw(json.dumps({"sessionId": "s", "event": wire}).encode()))
    assert came.session_id == "s"
    assert came.event.to_dict() == wire
    assert came.event.raw == data
    _ = came.event.data


@given(st.binary())
def test_garbage_is_one_typed_error(raw):
    try:
        event_params_from_raw(msgspec.Raw(raw))
    except ProtocolError as e:
        assert "session.event" in str(e)


def test_the_fast_way_and_the_long_way_agree():
    wire = {
        "sessionId": "s",
        "event": {
            "type": "session.idle",
            "data": {"aborted": True},
            "id": "i",
            "timestamp": "t",
            "parentId": "p",
            "agentId": "a",
        },
    }
    raw = json.dumps(wire).encode()
    fast, slow = msgspec.json.decode(raw, type=EventParams), event_params_from_raw(msgspec.Raw(raw))
    assert fast.event.to_dict() == slow.event.to_dict() == {**wire["event"]}
    assert fast.event.data == slow.event.data


def test_a_record_answers_to_both_spellings_and_says_what_it_has():
    record = Record({"tokensRemoved": 3, "plain": 1})
    assert record.tokens_removed == record.tokensRemoved == record["tokensRemoved"] == 3
    with pytest.raises(AttributeError, match="no field 'missing'; this record has: plain, tokensRemoved"):
        _ = record.missing
