"""Messages requests that pass, without what Copilot is known to refuse. Unknown fields are kept."""

from __future__ import annotations

from collections.abc import Callable

from rightseat.json_types import Json
from rightseat.wire.anthropic.request import BILLING
from rightseat.wire.body import differs
from rightseat.wire.opaque import MARK
from rightseat.wire.sanitizing import Body, is_blank_text, trimmed

_THINKING = ("thinking", "redacted_thinking")


def sanitize(body: Body) -> Body:
    """Without blank blocks, the billing line of Claude Code, blanks at the end, and thinking without signature."""
    changes = {**_messages(body.get("messages")), **_system(body.get("system"))}
    return {**body, **changes} if changes else body


def _messages(messages: object) -> Body:
    if not isinstance(messages, list):
        return {}
    kept = [_kept(message, lambda block: not _useless(block)) for message in messages]
    kept = trimmed([m for m in kept if not (isinstance(m, dict) and m.get("content") == [])])
    return {"messages": kept} if differs(kept, messages) else {}


def _system(system: object) -> Body:
    if isinstance(system, list):
        kept = [block for block in system if not (isinstance(block, dict) and _useless(block))]
        return {"system": kept} if len(kept) != len(system) else {}
    if isinstance(system, str) and system.startswith(BILLING):
        return {"system": system.partition("\n")[2]}
    return {}


def own_reasoning(body: Body) -> Body:
    """Without thinking that was encrypted in another dialect, which a model would refuse; the very same body if there is none."""
    kept = [_kept(message, lambda block: not _is_foreign(block)) for message in body["messages"]]
    return {**body, "messages": kept} if differs(kept, body["messages"]) else body


def without_reasoning(body: Body) -> Body:
    """Without any thinking, and without messages that held nothing else."""
    messages = [_kept(message, lambda block: block.get("type") not in _THINKING) for message in body["messages"]]
    return {**body, "messages": [m for m in messages if not (isinstance(m, dict) and m.get("content") == [])]}


def _is_foreign(block: Body) -> bool:
    return block.get("type") == "thinking" and str(block.get("signature")).startswith(MARK)


def _kept(message: Json, keep: Callable[[Body], bool]) -> Json:
    """A message with those of its blocks that are kept; the very same one if all are."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    kept = [block for block in content if not isinstance(block, dict) or keep(block)]
    return message if len(kept) == len(content) else {**message, "content": kept}


def _useless(block: Body) -> bool:
    if block.get("type") == "thinking":
        return not block.get("signature")
    return is_blank_text(block) or (block.get("type") == "text" and str(block.get("text")).startswith(BILLING))
