"""Request bodies: whatever JSON comes, the answer is a request or one error that names the field. Never another exception."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightseat.gateway.chat import read_body, sent_body
from rightseat.gateway.embeddings import read_body as read_embeddings
from rightseat.gateway.messages import fitted
from rightseat.upstream.accounts import conversation_of
from rightseat.upstream.headers import has_image, initiator_of
from rightseat.upstream.models import Model
from rightseat.wire import anthropic
from rightseat.wire.body import BadRequestError, object_with_model
from rightseat.wire.openai_chat import decode_request, encode_request

KEYS = st.sampled_from(
    ["role", "content", "type", "text", "tool_calls", "id", "function", "custom", "name", "arguments", "input", "tool_use_id",
     "source", "data", "media_type", "url", "image_url", "thinking", "signature", "is_error", "tool_call_id", "user_id"]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "tool",
        "text",
        "image",
        "tool_use",
        "tool_result",
        "thinking",
        "base64",
        "function",
        "any",
    ]
)
VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
MESSAGE = st.fixed_dictionaries(
    {"role": WORDS, "content": VALUE}, optional={"tool_calls": VALUE, "tool_call_id": VALUE}
)
BODY = st.fixed_dictionaries(
    {"model": st.just("m") | VALUE, "messages": st.lists(MESSAGE, max_size=4) | VALUE},
    optional=dict.fromkeys(("tools", "system", "stream", "max_tokens", "temperature", "stop_sequences", "tool_choice", "thinking", "output_config", "metadata", "user", "prompt_cache_key", "input", "encoding_format"), VALUE),
)  # fmt: skip
LIMITED = Model("gpt-5", max_output_tokens=3)


@settings(max_examples=300, deadline=None)
@given(BODY)
def test_any_openai_request_is_read_or_refused_by_name(body):
    data = json.dumps(body).encode()
    try:
        request = decode_request(data)
    except BadRequestError as e:
        assert str(e)
    else:
        json.loads(encode_request(request))
        assert request.prompt is not None


@settings(max_examples=300, deadline=None)
@given(BODY)
def test_any_anthropic_request_is_read_or_refused_by_name(body):
    try:
        request = anthropic.decode_request(object_with_model(json.dumps(body).encode()))
        json.loads(encode_request(fitted(request, LIMITED, stream=True)))
        assert anthropic.estimate_tokens(request) > 0
    except BadRequestError as e:
        assert str(e)


@settings(max_examples=300, deadline=None)
@given(BODY)
def test_what_the_gateway_looks_at_in_passing_is_never_in_the_way(body):
    data = json.dumps(body).encode()
    try:
        known = read_body(data)
    except BadRequestError:
        known = None
    if known is not None:
        assert initiator_of(known["messages"]) in ("user", "agent")
        has_image(known["messages"])
        conversation_of({}, known)
        json.loads(sent_body(data, known, LIMITED, stream=True))
    try:
        read_embeddings(data)
    except BadRequestError as e:
        assert str(e)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b'{"model":"m"', b"null"])
def test_what_is_no_json_object_is_said(data):
    for read in (decode_request, object_with_model, read_body, read_embeddings):
        with pytest.raises(BadRequestError, match="the body"):
            read(data)
