"""Request bodies: whatever JSON comes, the answer is a request or one error that names the field. Never another exception."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.amounts import amount

from rightseat.accounts.selection import conversation_of
from rightseat.backends.registry import Model
from rightseat.gateway.endpoints.embeddings import sent_body
from rightseat.gateway.pipeline.content import Inspection
from rightseat.gateway.pipeline.intake import Taken
from rightseat.gateway.pipeline.plan import Options, Relay, plan
from rightseat.wire.body import BadRequestError, object_with_model
from rightseat.wire.dialects import ALL
from rightseat.wire.openai_chat.request import decode_body, encode_request


def read_embeddings(data):
    return sent_body(object_with_model(data))


KEYS = st.sampled_from(
    ["role", "content", "type", "text", "tool_calls", "id", "function", "custom", "name", "arguments", "input", "tool_use_id",
     "source", "data", "media_type", "url", "image_url", "thinking", "call_id", "output", "summary", "encrypted_content", "parameters", "tools", "signature", "is_error", "tool_call_id", "user_id"]
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
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "input_text",
        "input_image",
        "namespace",
        "additional_tools",
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
    {"role": WORDS, "content": VALUE},
    optional=dict.fromkeys(
        ("tool_calls", "tool_call_id", "type", "call_id", "name", "output", "summary", "tools"), VALUE
    ),
)
BODY = st.fixed_dictionaries(
    {"model": st.just("m") | VALUE, "messages": st.lists(MESSAGE, max_size=4) | VALUE},
    optional=dict.fromkeys(("tools", "system", "stream", "max_tokens", "temperature", "stop_sequences", "tool_choice", "thinking", "output_config", "metadata", "user", "prompt_cache_key", "input", "encoding_format", "reasoning", "text", "instructions", "max_output_tokens", "n", "logprobs", "response_format"), VALUE),
)  # fmt: skip


@settings(max_examples=amount(75, 300), deadline=None)
@given(BODY)
def test_any_openai_request_is_read_or_refused_by_name(body):
    data = json.dumps(body).encode()
    try:
        request = decode_body(data)
    except BadRequestError as e:
        assert str(e)
    else:
        json.loads(encode_request(request))
        assert request.prompt is not None


MODELS = [None, *(Model("gpt-5", max_output_tokens=3, endpoints=(d.path,), streaming=True) for d in ALL)]


@pytest.mark.parametrize("client", ALL, ids=lambda d: d.name)
@settings(max_examples=amount(50, 200), deadline=None)
@given(body=BODY, model=st.sampled_from(MODELS), plain=st.booleans())
def test_any_request_is_planned_or_refused_by_name(client, body, model, plain):
    if client.name == "responses" and "messages" in body:
        body = {**body, "input": body.pop("messages")}
    raw = json.dumps(body).encode()
    try:
        taken = Taken(raw, object_with_model(raw), model, Inspection({}))
        made = plan(client, taken, Options(plain_tools=plain, drop_tools=True))
    except BadRequestError as e:
        assert str(e)
    else:
        if isinstance(made.how, Relay):
            json.loads(made.how.data)
        assert made.began.initiator in ("user", "agent")
        conversation_of({}, body)


@settings(max_examples=amount(75, 300), deadline=None)
@given(BODY)
def test_any_embeddings_request_is_read_or_refused_by_name(body):
    try:
        read_embeddings(json.dumps(body).encode())
    except BadRequestError as e:
        assert str(e)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b'{"model":"m"', b"null"])
def test_what_is_no_json_object_is_said(data):
    for read in (decode_body, object_with_model, read_embeddings):
        with pytest.raises(BadRequestError, match="the body"):
            read(data)
