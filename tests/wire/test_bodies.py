"""What a dialect knows of a request body: its limits, what must change before it goes upstream, what is lost in another dialect."""

import json

import pytest

from rightseat.wire.abilities import Abilities
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialects import ALL, CHAT, MESSAGES, RESPONSES, spoken_by
from rightseat.wire.facts import expressible

ASKED = [{"role": "user", "content": "hi"}]


def relayed(dialect, body, *, model="m", most=None, stream=None):
    raw = json.dumps({"model": "m", **body}).encode()
    given = json.loads(raw)
    stream = bool(body.get("stream")) if stream is None else stream
    passed = dialect.relayed(raw, given, Abilities(model), max_output=most, stream=stream)
    return json.loads(passed.data), passed.dropped, passed.data is raw


@pytest.mark.parametrize(
    ("dialect", "body", "limit"),
    [
        (CHAT, {"max_tokens": 5}, 5),
        (CHAT, {"max_tokens": 1, "max_completion_tokens": 300_000}, 300_000),
        (CHAT, {"max_tokens": 300_000, "max_completion_tokens": 1}, 300_000),
        (CHAT, {"max_output_tokens": 5}, None),
        (RESPONSES, {"max_output_tokens": 7}, 7),
        (RESPONSES, {"max_completion_tokens": 1, "max_tokens": 1}, None),
        (MESSAGES, {"max_tokens": 9, "max_completion_tokens": 900}, 9),
        (CHAT, {"max_tokens": True}, None),
        (CHAT, {"max_tokens": "5"}, None),
        (CHAT, {"max_tokens": 0}, None),
        (CHAT, {"max_tokens": 4.5}, 5),
        (CHAT, {"max_tokens": float("inf")}, None),
    ],
)
def test_the_limit_is_that_of_the_fields_that_upstream_honours_the_largest_of_several(dialect, body, limit):
    assert dialect.output_limit(body) == limit


def test_each_limit_is_capped_and_named_as_the_model_takes_it():
    body = {"messages": ASKED, "max_tokens": 5, "max_completion_tokens": 500}
    assert relayed(CHAT, body, most=100)[0] == {"model": "m", **body, "max_completion_tokens": 100}
    sent = relayed(CHAT, {"messages": ASKED, "max_tokens": 500}, model="gpt-5", most=100)[0]
    assert sent == {"model": "gpt-5", "messages": ASKED, "max_completion_tokens": 100}
    assert relayed(CHAT, {"messages": ASKED, "max_tokens": 5}, most=100)[2]


@pytest.mark.parametrize("options", [{"include_usage": False}, {}, {"include_usage": None, "x": 1}, "odd"])
def test_a_client_cannot_keep_upstream_from_telling_usage(options):
    sent = relayed(CHAT, {"messages": ASKED, "stream": True, "stream_options": options})[0]
    assert sent["stream_options"]["include_usage"] is True
    assert sent["stream_options"].get("x") == (options.get("x") if isinstance(options, dict) else None)
    asked = CHAT.decode({"model": "m", "messages": ASKED, "stream": True, "stream_options": options})
    assert json.loads(CHAT.encode(asked))["stream_options"]["include_usage"] is True


def test_options_of_streams_go_with_streams_alone():
    body = {"messages": ASKED, "stream": True, "stream_options": {"include_usage": True}}
    assert relayed(CHAT, body)[2]
    assert "stream_options" not in relayed(CHAT, body, stream=False)[0]
    assert relayed(CHAT, {"messages": ASKED}, stream=True)[0]["stream"] is True


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
def test_where_nothing_must_change_the_clients_own_bytes_pass(dialect):
    said = {"input": "hi"} if dialect is RESPONSES else {"messages": ASKED}
    assert relayed(dialect, {**said, "brand_new": {"a": 1.50}})[2]
    sent, dropped, _ = relayed(dialect, {**said, "service_tier": "flex", "brand_new": 1})
    assert dropped == ("service_tier",)
    assert sent == {"model": "m", **said, "brand_new": 1}


def test_what_another_dialect_does_not_have_is_named_once_it_says_something():
    body = {"model": "m", "temperature": 1, "seed": 3, "n": 1, "logprobs": False, "top_k": None, "user": "me"}
    assert CHAT.lost(body, MESSAGES) == ("seed",)
    assert MESSAGES.lost({"stop_sequences": ["x"], "top_k": 4}, RESPONSES) == ("stop_sequences", "top_k")
    assert MESSAGES.lost({"stop_sequences": ["x"], "top_k": 4}, CHAT) == ("top_k",)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\x00", "é", "\x7f"])
def test_a_header_that_would_go_upstream_is_checked_where_it_enters(value):
    with pytest.raises(BadRequestError) as caught:
        MESSAGES.passed_headers({"anthropic-beta": value})
    assert caught.value.field == "anthropic-beta"


def test_only_known_betas_go_upstream():
    given = {"anthropic-beta": "interleaved-thinking-2025-05-14, claude-code-2025, context-management-x", "cookie": "c"}
    assert MESSAGES.passed_headers(given) == {"anthropic-beta": "interleaved-thinking-2025-05-14,context-management-x"}
    assert CHAT.passed_headers(given) == RESPONSES.passed_headers(given) == {}


@pytest.mark.parametrize("kind", ["a\r\nb", "x" * 65, ["x"], "é", "a b"])
def test_the_kind_of_a_tool_that_is_named_in_a_header_is_a_name(kind):
    with pytest.raises(BadRequestError) as caught:
        expressible({"tools": [{"type": "function"}, {"type": kind}]})
    assert caught.value.field == "tools[1].type"
    kept = {"tools": [{"type": "web_search"}, {"name": "t", "input_schema": {}}, {"type": "function"}]}
    assert expressible(kept) == ({"tools": kept["tools"][1:]}, ("tool web_search",))


def test_a_model_is_asked_in_the_clients_dialect_else_in_the_richest():
    every = [dialect.path for dialect in ALL]
    for dialect in ALL:
        assert spoken_by(every, dialect) is dialect
    assert spoken_by([CHAT.path, RESPONSES.path], MESSAGES) is RESPONSES
    assert spoken_by([CHAT.path]) is CHAT
    assert spoken_by(["/embeddings"], CHAT) is None


def test_what_is_only_added_leaves_the_bytes_of_the_body_alone():
    raw = b' {"messages": [{"role": "user", "content": "caf\\u00e9 1.50"}], "x": 1.50, "model": "m" } \n'
    passed = CHAT.relayed(raw, json.loads(raw), Abilities("m"), stream=True)
    sent, dropped = passed.data, passed.dropped
    assert sent.startswith(raw[: raw.rindex(b"}")])
    assert json.loads(sent) == {**json.loads(raw), "stream": True}
    assert dropped == ()
