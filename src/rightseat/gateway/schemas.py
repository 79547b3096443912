"""JSON Schemas of what requests hold, for the OpenAPI document: strict where the gateway is, and open where it passes on what it does not know."""

from __future__ import annotations

from rightseat.json_types import JsonObject
from rightseat.state.key_record import SCOPES

_TEXT: JsonObject = {"type": "string", "minLength": 1}
_LIMIT: JsonObject = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1_000_000_000_000}
_BUDGET: JsonObject = {"type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000_000_000}


def _turns(kind: str) -> JsonObject:
    """What was said, in a dialect that has this kind of text parts."""
    part = {"type": "object", "required": ["type", "text"], "properties": {"type": {"enum": [kind]}, "text": _TEXT}}
    turn = {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"enum": ["user", "assistant", "system"]},
            "content": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": part}]},
        },
    }
    return {"type": "array", "minItems": 1, "maxItems": 10_000, "items": turn}


_TOOLS: JsonObject = {"type": "array", "maxItems": 1024, "items": {"type": "object"}}
_FIELDS: JsonObject = {
    "model": {"type": "string", "minLength": 1, "maxLength": 256},
    "messages": _turns("text"),
    "input": {"anyOf": [_TEXT, _turns("input_text")]},
    "prompt": _TEXT,
    "tools": _TOOLS,
    "max_tokens": {"type": "integer", "minimum": 1},
    "commands": {"type": "object", "minProperties": 1, "properties": {"search_query": {"type": "array", "minItems": 1}}, "required": ["search_query"]},
    "name": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[ -~]+$"},
    "scopes": {"type": ["array", "null"], "items": {"enum": [*SCOPES]}},
    "models": {"type": ["array", "null"], "items": {"type": "string", "pattern": "^[A-Za-z0-9._*-]{1,64}$"}},
    "requests_per_minute": _LIMIT,
    "tokens_per_minute": _LIMIT,
    "daily_tokens": _BUDGET,
    "monthly_tokens": _BUDGET,
    "expires_in": _LIMIT,
    "grace_seconds": {"type": "number", "minimum": 0, "maximum": 1_000_000_000_000},
}  # fmt: skip
_CLOSED = frozenset({"account_add", "key_create"})  # other fields are refused by name
_OF_ROUTE: JsonObject = {
    "embeddings": {"input": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {"type": "string"}}]}}
}


def body_schema(name: str, fields: dict[str, tuple[str, bool]]) -> JsonObject:
    """The schema of a request's body.

    Args:
        name: of the operation.
        fields: field -> (JSON type, whether it must be there).
    """
    known = {**_FIELDS, **_OF_ROUTE.get(name, {})}
    return {
        "type": "object",
        "properties": {field: known.get(field, {"type": kind} if kind else {}) for field, (kind, _) in fields.items()},
        "required": [field for field, (_, must) in fields.items() if must],
        **({"additionalProperties": False} if name in _CLOSED else {}),
    }
