"""Conversations that model APIs refuse, mended: every tool call has its result right behind it, and no result is without call."""

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
        settle()
        if not (message.content.strip() or message.parts or message.tool_calls):
            continue
        waiting.update(dict.fromkeys(call.id for call in message.tool_calls))
        done.append(message)
    settle()
    if done and done[-1].role == "assistant" and done[-1].content:
        done[-1] = msgspec.structs.replace(done[-1], content=done[-1].content.rstrip())
    return tuple(done)
