"""The Peer: two of them back to back hold a conversation, under any split; nothing that is fed to it raises."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rightseat import EncodeError, ProtocolError
from rightseat.wire.events import EventParams
from rightseat.wire.framing import encode_frame
from rightseat.wire.jsonrpc import Answered, Called, Cancelled, Notified, Peer, Refused

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def frame(value: object) -> bytes:
    return encode_frame(json.dumps(value).encode())


def value(raw: object) -> object:
    return json.loads(bytes(raw))


@given(st.text(min_size=1).filter(lambda m: m != "$/cancelRequest"), JSON, JSON, st.integers(1, 7))
def test_a_call_and_its_answer_cross_whole_whatever_the_split(method, params, result, step):
    one, two = Peer(), Peer()
    call_id, data = one.call(method, params)
    (called,) = [m for i in range(0, len(data), step) for m in two.feed(data[i : i + step])]
    assert (call_id, method, params) == (called.id, called.method, value(called.params))
    data = two.answer(called.id, result)
    (answered,) = [m for i in range(0, len(data), step) for m in one.feed(data[i : i + step])]
    assert isinstance(answered, Answered)
    assert result == value(answered.result)
    assert not one.open_calls


def test_an_error_answer_names_the_method():
    one, two = Peer(), Peer()
    _, data = one.call("a.b", {})
    (called,) = two.feed(data)
    assert [Refused(1, "a.b", -32601, "no", {"x": 1})] == one.feed(two.refuse(called.id, -32601, "no", {"x": 1}))


def test_both_sides_can_call_at_the_same_time():
    one, two = Peer(), Peer()
    _, from_one = one.call("to.two", {})
    _, from_two = two.call("to.one", {})
    (at_two,), (at_one,) = two.feed(from_one), one.feed(from_two)
    assert (at_two.method, at_one.method) == ("to.two", "to.one")
    assert isinstance(one.feed(two.answer(at_two.id, 1))[0], Answered)
    assert isinstance(two.feed(one.answer(at_one.id, 2))[0], Answered)


def test_a_call_is_answered_once():
    one, two = Peer(), Peer()
    (called,) = two.feed(one.call("m", {})[1])
    assert two.answer(called.id, 1)
    assert two.answer(called.id, 2) == b""
    assert two.refuse(called.id, 1, "x") == b""


def test_a_cancelled_call_is_told_and_its_late_answer_dropped():
    one, two = Peer(), Peer()
    call_id, data = one.call("m", {})
    (called,) = two.feed(data)
    late = two.answer(called.id, 1)
    assert two.feed(one.cancel(call_id)) == []
    assert one.feed(late) == []
    call_id, data = one.call("m", {})
    (called,) = two.feed(data)
    assert [Cancelled(called.id)] == two.feed(one.cancel(call_id))
    assert two.answer(called.id, 1) == b""


@pytest.mark.parametrize("params", [{"id": {}}, {"id": [1]}, {"id": None}, {}, [], 5, None])
def test_a_cancellation_of_nonsense_is_read_over(params):
    peer = Peer()
    assert peer.feed(frame({"method": "$/cancelRequest", "params": params})) == []
    assert peer.failure is None


def test_a_missing_result_is_null():
    one = Peer()
    call_id, _ = one.call("m", {})
    (answered,) = one.feed(frame({"jsonrpc": "2.0", "id": call_id}))
    assert value(answered.result) is None


def test_a_typed_notification_is_the_same_as_its_json():
    event = {
        "type": "assistant.message_delta",
        "data": {"messageId": "m", "deltaContent": "hi"},
        "id": "1",
        "timestamp": "t",
    }
    params = {"sessionId": "s", "event": event}
    typed = Peer(params_types={"session.event": EventParams})
    for text in (json.dumps({"jsonrpc": "2.0", "method": "session.event", "params": params}),
                 json.dumps({"params": params, "method": "session.event"}, indent=2)):  # fmt: skip
        (told,) = typed.feed(encode_frame(text.encode()))
        if isinstance(told.params, EventParams):
            assert told.params.event.data.delta_content == "hi"
        else:  # the hint looks at the first bytes only; the rest is decoded the long way
            assert value(told.params) == params


def test_the_name_of_a_typed_notification_inside_another_message_does_not_confuse():
    typed = Peer(params_types={"session.event": EventParams})
    (told,) = typed.feed(frame({"method": "other", "params": {"x": "session.event"}}))
    assert told.method == "other"


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\ude00", r"x\ud83dy"])
def test_half_an_emoji_does_not_break_the_conversation(half):
    peer = Peer()
    (told,) = peer.feed(encode_frame(b'{"method":"m","params":{"text":"%s"}}' % half.encode()))
    text = value(told.params)["text"]
    assert text.encode()  # no lone surrogate is left
    assert peer.failure is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\xff\xfe", "not UTF-8 (byte 0)"),
        (b'{"method":"m","params":"\xff"}', "not UTF-8 (byte 24)"),
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not a JSON-RPC message"),
        (b'"text"', "not a JSON-RPC message"),
        (b'{"method":5}', "not a JSON-RPC message"),
        (b"{}", "neither a call nor an answer"),
        (
            b'{"id":null,"error":{"code":-32700,"message":"Parse error"}}',
            "could not read one of our messages: Parse error",
        ),
        (b"[" * 100_000, "not a JSON-RPC message"),
        (b'{"method":"m","params":' + b"[" * 100_000, "not JSON"),
    ],
)
def test_a_broken_message_ends_the_conversation_and_says_why(body, says):
    peer = Peer()
    assert [Notified] == [
        type(m) for m in peer.feed(frame({"method": "fine"}) + encode_frame(body) + frame({"method": "late"}))
    ]
    assert isinstance(peer.failure, ProtocolError)
    assert says in str(peer.failure)
    assert peer.feed(frame({"method": "later"})) == []


def test_a_broken_message_is_quoted_without_secrets():
    peer = Peer()
    peer.feed(encode_frame(b'{"token":"gho_abcdefghijklmnopqrstuvwxyz012345"'))
    assert "abcdefghijklmnop" not in str(peer.failure)


MESSAGES = [
    {"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": [1, {"b": None}]}},
    {"jsonrpc": "2.0", "id": "x", "result": {"r": "\u00e9"}},
    {"jsonrpc": "2.0", "id": 2, "error": {"code": 1, "message": "e", "data": [1]}},
    {
        "jsonrpc": "2.0",
        "method": "session.event",
        "params": {"sessionId": "s", "event": {"type": "session.idle", "data": {}}},
    },
    {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}},
]


@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 255)), max_size=6),
    st.integers(1, 50),
)
def test_no_mutation_of_a_frame_raises(message, changes, step):
    data = bytearray(frame(message))
    for place, byte in changes:
        data[place % len(data)] = byte
    peer = Peer(params_types={"session.event": EventParams}, max_frame_bytes=10_000)
    for start in range(0, len(data), step):
        peer.feed(bytes(data[start : start + step]))
    peer.feed_eof()


@given(st.binary(max_size=300))
def test_no_garbage_raises(data):
    peer = Peer(max_frame_bytes=10_000)
    peer.feed(data)
    peer.feed(encode_frame(data))
    peer.feed_eof()


class Point(BaseModel):
    x: int


def test_what_users_bring_is_written():
    one, two = Peer(), Peer()
    _, data = one.call("m", {"model": Point(x=1), "path": Path("/a"), "set": (1, 2)})
    (called,) = two.feed(data)
    assert value(called.params) == {"model": {"x": 1}, "path": "/a", "set": [1, 2]}


@pytest.mark.parametrize("bad", [object(), {"x": {1, object()}}, "\ud800", {"deep": lambda: 1}])
def test_what_json_cannot_hold_is_refused_by_name_and_opens_no_call(bad):
    peer = Peer()
    with pytest.raises(EncodeError, match="params of the.method cannot be written as JSON"):
        peer.call("the.method", bad)
    assert not peer.open_calls
    call_id, _ = peer.call("the.method", {})
    assert call_id == 1


def test_a_notification_is_not_a_call():
    one, two = Peer(), Peer()
    (told,) = two.feed(one.notify("m", {"a": 1}))
    assert isinstance(told, Notified)
    assert not isinstance(told, Called)
