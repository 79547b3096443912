"""Fault F4: answers hold every member that the published schemas demand, whole, streamed and folded.

The names are those of `required` in OpenAI's and Anthropic's OpenAPI documents and in that of Open Responses, as of November 2026.
"""

import json

import pytest
from tests.wire.answers import ENVELOPE, written

from rightseat.chat import Finish, ReasoningDelta, TextDelta, ToolCall, ToolCallEvent, Usage, fold
from rightseat.wire.dialect import Envelope
from rightseat.wire.dialects import ALL, CHAT, MESSAGES, RESPONSES
from rightseat.wire.relay import events_in

EVENTS = [
    ReasoningDelta("Think."),
    TextDelta("Said."),
    ToolCallEvent(ToolCall("c1", "look", "{}")),
    Usage(3, 2, 1, reasoning_tokens=1),
    Finish("tool_calls"),
]
RESPONSE = """id object created_at completed_at status incomplete_details model previous_response_id instructions output error tools
    tool_choice truncation parallel_tool_calls text top_p presence_penalty frequency_penalty top_logprobs temperature reasoning usage
    max_output_tokens max_tool_calls store background service_tier metadata safety_identifier prompt_cache_key"""
ITEMS = {
    "message": "type id status role content",
    "function_call": "type id call_id name arguments status",
    "reasoning": "type id summary",
}
MESSAGE = "id type role content model stop_reason stop_sequence stop_details usage container"
USAGE = """cache_creation cache_creation_input_tokens cache_read_input_tokens inference_geo input_tokens output_tokens
    output_tokens_details server_tool_use service_tier"""
DELTA_USAGE = "cache_creation_input_tokens cache_read_input_tokens input_tokens output_tokens output_tokens_details server_tool_use"
BLOCKS = {
    "text": "citations text type",
    "thinking": "signature thinking type",
    "tool_use": "caller id input name type",
}


def has(value, names):
    assert set(names.split()) <= set(value), value
    return value


def of_kind(value, table):
    return has(value, table[value["type"]])


def is_response(value):
    has(value, RESPONSE)
    assert all(isinstance(value[name], (int, float)) for name in ("temperature", "top_p", "presence_penalty"))
    has(value["text"], "format")
    has(value["reasoning"], "effort summary")
    assert value["tools"] == [{"type": "function", "name": "look", "description": None, "parameters": None, "strict": False}]  # fmt: skip
    assert (value["max_output_tokens"], value["text"]["verbosity"]) == (99, "low")  # what was asked is told back
    for item in value["output"]:
        of_kind(item, ITEMS)
    return value


def is_completion(value):
    (choice,) = value["choices"]
    has(choice, "finish_reason index message logprobs")
    has(choice["message"], "role content refusal")


def is_message(value):
    has(value, MESSAGE)
    has(value["usage"], USAGE)
    for block in value["content"]:
        of_kind(block, BLOCKS)


WHOLE = {CHAT.name: is_completion, RESPONSES.name: is_response, MESSAGES.name: is_message}
BODY = {"model": "m", "tools": [{"type": "function", "name": "look"}], "text": {"verbosity": "low"}, "max_output_tokens": 99, "reasoning": {"effort": "low"}}  # fmt: skip
ASKED = Envelope("m", BODY, ENVELOPE.request)


@pytest.mark.parametrize("dialect", ALL, ids=lambda d: d.name)
def test_a_whole_answer_and_a_folded_one_have_all_members(dialect):
    whole = json.loads(dialect.encode_whole(fold(EVENTS), ASKED))
    WHOLE[dialect.name](whole)
    folded = dialect.fold()
    encoder = dialect.encoder(ASKED)
    folded.feed(encoder.start() + b"".join(encoder.encode(event) for event in EVENTS) + encoder.end())
    folded.feed_eof()
    WHOLE[dialect.name](folded.completion())


def test_a_stream_of_responses_has_all_members():
    encoder = RESPONSES.encoder(ASKED)
    said = events_in(encoder.start() + b"".join(encoder.encode(event) for event in EVENTS) + encoder.end())
    responses = [is_response(event["response"]) for event in said if "response" in event]
    assert [r["completed_at"] is None for r in responses] == [True, True, False]
    for event in said:
        if "item" in event:
            of_kind(event["item"], ITEMS)


def test_a_stream_of_chat_chunks_has_all_members():
    *chunks, usage, done = events_in(written(CHAT, [*EVENTS[:3], EVENTS[4], EVENTS[3]]))
    for chunk in chunks:
        has(chunk["choices"][0], "delta finish_reason index logprobs")
    assert usage["choices"] == []
    assert done == b"[DONE]"


def test_a_stream_of_messages_has_all_members():
    for event in events_in(written(MESSAGES, EVENTS)):
        match event["type"]:
            case "message_start":
                is_message(event["message"])
            case "content_block_start":
                of_kind(event["content_block"], BLOCKS)
            case "message_delta":
                has(event["delta"], "container stop_details stop_reason stop_sequence")
                assert has(event["usage"], DELTA_USAGE)["output_tokens_details"] == {"thinking_tokens": 1}
    refused = json.loads(MESSAGES.encode_whole(fold([Finish("content_filter")]), ENVELOPE))
    has(refused["stop_details"], "category explanation type")


def test_usage_with_null_details_is_read_as_it_is_meant():
    reader = MESSAGES.reader()
    events = [*reader.feed(written(MESSAGES, EVENTS)), *reader.feed_eof()]
    assert next(event for event in events if isinstance(event, Usage)) == EVENTS[3]
