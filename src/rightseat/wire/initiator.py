"""Who began a turn: a person, or an agent that goes on by itself. What counts as a person's costs more, and limits are counted by it.

A client that says it itself is believed. Else the first rule that fits decides, and what fits none is a person's if the last word is the user's.
The rules are facts of unmodified clients; each is narrow, so that no person's words are taken for an agent's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from rightseat.json_types import Json, JsonObject

_SUBAGENT_HEADERS = (
    "x-claude-code-agent-id",
    "x-claude-code-parent-agent-id",
    "x-openai-subagent",
    "x-codex-parent-thread-id",
)
_REMINDERS = ("<system-reminder>", "<task-notification>")
_SUMMARY = ("text only", "detailed summary of the conversation")  # both, of a long order: Claude Code's compaction
_ORDER_CHARS = 1000
SAID = "said by the client"  # which is believed before all rules


class Began(Struct, frozen=True):
    """Who began a turn.

    Attributes:
        initiator: "user" or "agent".
        because: why, in a word or two; a small fixed set, which metrics count by.
    """

    initiator: str
    because: str


def began(turns: Sequence[object], body: JsonObject, headers: Mapping[str, str]) -> Began:
    """Who began the turn.

    Args:
        turns: what was said, oldest first.
        body: the request's.
        headers: by lower-case name.
    """
    if (explicit := headers.get("x-initiator", "").lower()) in ("user", "agent"):
        return Began(explicit, SAID)
    if (
        any(headers.get(name) for name in _SUBAGENT_HEADERS)
        or "subagent_kind" in headers.get("x-codex-turn-metadata", "")[:4096]
    ):
        return Began("agent", "subagent")
    if headers.get("x-app") == "cli-bg":
        return Began("agent", "background")
    last = turns[-1] if turns else None
    if not isinstance(last, Mapping) or last.get("role") != "user":
        return Began("agent", "goes on") if last is not None else Began("user", "user's words")
    texts, others = _texts(last.get("content"))
    if others and all(text.startswith(_REMINDERS) for text in texts):
        return Began("agent", "tool results")
    if not others and texts and all(text.startswith(_REMINDERS) for text in texts):
        return Began("agent", "reminders")
    if texts and (why := _of_client(turns, body, texts[-1], last)) is not None:
        return Began("agent", why)
    return Began("user", "user's words")


def _of_client(turns: Sequence[object], body: JsonObject, text: str, last: Mapping[str, object]) -> str | None:
    """What a client asks for by itself."""
    if len(text) > _ORDER_CHARS and all(words in text.lower() for words in _SUMMARY):
        return "compaction"
    if len(turns) == 1 and text == "Warmup" and _is_marked(last.get("content")):
        return "warm-up"
    if len(turns) == 1 and text == "quota" and body.get("max_tokens") == 1:
        return "quota"
    if not body.get("tools") and _asks_for_title(body):
        return "title"
    return None


def _texts(content: object) -> tuple[list[str], bool]:
    """The texts of a message, and whether it holds results of tools."""
    if isinstance(content, str):
        return [content.strip()], False
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    texts = [str(part.get("text", "")).strip() for part in parts if part.get("type") in ("text", "input_text")]
    return texts, any(part.get("type") == "tool_result" for part in parts)


def _is_marked(content: object) -> bool:
    return isinstance(content, list) and any(isinstance(part, Mapping) and "cache_control" in part for part in content)


def _asks_for_title(body: JsonObject) -> bool:
    """The answer shall be an object with a title and nothing else."""
    forms: list[Json] = [body.get("output_format")]
    for name in ("output_config", "text"):
        holder = body.get(name)
        forms.append(holder.get("format") if isinstance(holder, dict) else None)
    given = body.get("response_format")
    forms.append(given.get("json_schema") if isinstance(given, dict) else None)
    return any(_properties(form) == ["title"] for form in forms)


def _properties(form: Json) -> list[str]:
    schema = form.get("schema") if isinstance(form, dict) else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return list(properties) if isinstance(properties, dict) else []
