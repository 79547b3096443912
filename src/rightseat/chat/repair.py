"""Conversations that model APIs refuse, mended: every tool call has its result right behind it, and no result is without call.

`merged` is for dialects in which an answer is one message, whatever the model did in between.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rightseat.chat.message import Message

MISSING = "(no result)"


def repaired(messages: Iterable[Message]) -> tuple[Message, ...]:
    """The same conversation in a form that every API takes.

    A tool result without its call becomes a message of the user; a call without result gets one that says so; empty messages go;
    the text of a last assistant message loses trailing blanks, which some models refuse.
    """
    done: list[Message] = []
    waiting: dict[str, None] = {}  # calls without results, in order

    def settle() -> None:
        done.extend(Message("tool", MISSING, tool_call_id=call_id) for call_id in waiting)
        waiting.clear()

    for message in messages:
        if message.role == "tool":
            if message.tool_call_id in waiting:
                del waiting[message.tool_call_id]
                done.append(message)
            elif message.content.strip() or message.parts:
                settle()
                done.append(Message("user", message.content, parts=message.parts))
            continue
        if message.role != "assistant":
            settle()
        if not (message.content.strip() or message.parts or message.tool_calls or message.reasoning_opaque):
            continue
        waiting.update(dict.fromkeys(call.id for call in message.tool_calls))
        done.append(message)
    settle()
    if done and done[-1].role == "assistant" and done[-1].content:
        done[-1] = msgspec.structs.replace(done[-1], content=done[-1].content.rstrip())
    return tuple(done)


def merged(messages: Iterable[Message]) -> list[Message]:
    """The same conversation with every answer as one message; of encrypted reasoning the last is kept."""
    done: list[Message] = []
    for message in messages:
        before = done[-1] if done else None
        if before is None or message.role != "assistant" or before.role != "assistant":
            done.append(message)
            continue
        done[-1] = Message(
            "assistant",
            before.content + message.content,
            before.tool_calls + message.tool_calls,
            parts=_parts(before) + _parts(message) if before.parts or message.parts else (),
            reasoning=before.reasoning + message.reasoning,
            reasoning_opaque=message.reasoning_opaque or before.reasoning_opaque,
        )
    return done


def _parts(message: Message) -> tuple[object, ...]:
    return message.parts or ((message.content,) if message.content else ())
