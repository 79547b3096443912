"""What an answer shall look like, in words: for those who answer and know no `response_format`. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from rightseat.chat.message import ChatRequest, Message
from rightseat.json_types import JsonObject


def in_words(form: object) -> str:
    """OpenAI's `response_format` as an instruction; "" where it asks for nothing."""
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind == "json_object":
        return "Answer with one JSON object and nothing else: no explanation, no code fence."
    if not isinstance(form, Mapping) or kind != "json_schema":
        return ""
    named = form.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    return (
        "Answer with one JSON value that fits this JSON Schema, and with nothing else: no explanation, no code fence.\n"
        + json.dumps(schema or {}, ensure_ascii=False)
    )


def instructed(request: ChatRequest, *, keep: bool = True) -> ChatRequest:
    """The request with its `response_format` in words, as a system message. The same object where it has none.

    Args:
        request: any request.
        keep: `response_format` stays in `extra`, too.
    """
    words = in_words(request.extra.get("response_format"))
    if not words:
        return request
    at = next((i for i, m in enumerate(request.messages) if m.role != "system"), len(request.messages))
    messages = (*request.messages[:at], Message("system", words), *request.messages[at:])
    extra: JsonObject = dict(request.extra)
    if not keep:
        del extra["response_format"]
    return msgspec.structs.replace(request, messages=messages, extra=extra)
