"""How errors are told to clients: in their dialect, with a type that is right there, in words that are ours."""

import json

import pytest

from rightseat.errors import (
    ConnectError,
    ConnectionLostError,
    ContextTooLargeError,
    HttpTimeoutError,
    KeyDatabaseError,
    NotLoggedInError,
    RateLimitedError,
    UpstreamError,
)
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialects import ALL, CHAT, MESSAGES, RESPONSES
from rightseat.wire.errors import cut, status_of
from rightseat.wire.sse import SseDecoder

BY_NAME = pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
ADDRESS = "https://api.githubcopilot.test:443"


def body(dialect, error) -> dict:
    return json.loads(dialect.error_body(error, "r1"))["error"]


def event(dialect, error) -> dict:
    (found,) = SseDecoder().feed(dialect.error_event(error))
    assert found.event == (b"" if dialect is CHAT else b"error")
    return json.loads(found.data)["error"]


@BY_NAME
@pytest.mark.parametrize(
    "error",
    [
        ConnectError(f"{ADDRESS}: Cannot connect to host ssl:default [Connect call failed ('10.0.0.1', 443)]"),
        ConnectionLostError(f"{ADDRESS}: Response payload is not completed: <TransferEncodingError: 400>"),
        HttpTimeoutError(f"{ADDRESS}: nothing came for 60 s"),
        KeyDatabaseError("postgresql://user@10.0.0.2/keys: server closed the connection"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_no_address_and_no_words_of_a_library_reach_a_client(dialect, error):
    for told in (body(dialect, error), event(dialect, error)):
        assert told["message"]
        for word in ("http", "10.0.0", "Cannot connect", "payload", "Transfer", "postgres"):
            assert word not in told["message"]


@BY_NAME
@pytest.mark.parametrize("error", [ConnectionLostError(f"{ADDRESS}: reset"), ConnectError("x"), cut()])
def test_a_connection_that_is_lost_inside_a_stream_says_so(dialect, error):
    told = event(dialect, error)
    assert told["message"] == "stream disconnected before completion"
    assert told["type"] == "api_error"
    if dialect is not MESSAGES:
        assert told["code"] == "stream_disconnected"


@pytest.mark.parametrize(
    ("error", "status", "openai", "anthropic"),
    [
        (
            BadRequestError.at("messages[0].role", "must be a string"),
            400,
            "invalid_request_error",
            "invalid_request_error",
        ),
        (UpstreamError(401, "token expired"), 502, "api_error", "api_error"),
        (UpstreamError(402, "pay"), 402, "insufficient_quota", "billing_error"),
        (UpstreamError(404, "no model", code="model_not_found"), 404, "not_found_error", "not_found_error"),
        (UpstreamError(413, "large"), 413, "invalid_request_error", "request_too_large"),
        (UpstreamError(422, "odd"), 422, "invalid_request_error", "invalid_request_error"),
        (RateLimitedError("slow", 3.2), 429, "rate_limit_error", "rate_limit_error"),
        (UpstreamError(500, "boom"), 500, "api_error", "api_error"),
        (UpstreamError(503, "busy"), 503, "overloaded_error", "overloaded_error"),
        (HttpTimeoutError("x"), 504, "timeout_error", "timeout_error"),
    ],
)
def test_the_type_is_that_of_the_dialect(error, status, openai, anthropic):
    assert status_of(error) == status
    assert body(CHAT, error)["type"] == body(RESPONSES, error)["type"] == openai
    assert body(MESSAGES, error)["type"] == anthropic
    assert json.loads(MESSAGES.error_body(error, "r1"))["request_id"] == "r1"


def test_the_field_is_told_and_never_guessed_out_of_the_words():
    assert body(CHAT, BadRequestError.at("tools[1].name", "must be a string"))["param"] == "tools[1].name"
    assert body(CHAT, BadRequestError("note: this names no field"))["param"] is None
    assert body(CHAT, ContextTooLargeError(5, 3))["param"] is None


def test_trouble_with_our_own_token_is_not_the_clients():
    told = body(CHAT, UpstreamError(401, "bad credentials", code="unauthorized"))
    assert told["code"] == "upstream_authentication"
    assert "bad credentials" not in told["message"]


def test_names_for_programs():
    assert body(CHAT, NotLoggedInError("no account: run `rightseat login`"))["code"] == "not_logged_in"
    assert body(CHAT, UpstreamError(404, "no", code="model_not_found"))["code"] == "model_not_found"
    assert body(CHAT, KeyDatabaseError("x"))["code"] == "key_database"


def test_a_secret_in_an_error_of_upstreams_is_masked():
    secret = "ghu_" + "a1B2" * 9
    assert secret not in str(body(CHAT, UpstreamError(400, f"bad token {secret}")))


@BY_NAME
def test_the_headers_say_the_id_and_whether_to_ask_again(dialect):
    headers = dict(dialect.error_headers(RateLimitedError("slow", 3.2), "r1"))
    assert headers[b"retry-after"] == b"4"
    assert headers[dialect.id_header] == b"r1"
    assert b"x-should-retry" not in headers
    assert dict(dialect.error_headers(BadRequestError("no"), "r1"))[b"x-should-retry"] == b"false"
