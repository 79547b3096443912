"""What a question gets: pieces while it is answered, and the answer. Values, and how they are made of a model's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Generic

from msgspec import Struct

from rightseat.chat import Completion, Message, Reasoning, ToolCall, Usage
from rightseat.sdk.tools import ToolResult

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T_co = TypeVar("T_co", covariant=True, default=None)
else:
    from typing import TypeVar

    T_co = TypeVar("T_co", covariant=True)


class ChatResponse(Struct, Generic[T_co], frozen=True):
    """An answer.

    Attributes:
        text: what was said.
        model: who said it.
        finish_reason: "stop", "length", "tool_calls" (with calls of tools that are not registered) or "content_filter".
        usage: tokens and cost of all steps together; None: not reported.
        tool_calls: calls of the last step that were not run here.
        reasoning: what the model thought, as far as it tells.
        steps: how many times the model was asked.
        messages: what was added to the conversation.
        parsed: the answer as a value of the type that `response_format=` asked for; else None.
        warnings: what was asked for and not done, or done otherwise, by the option's name: a model has no such option, say.
    """

    text: str
    model: str
    finish_reason: str = "stop"
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    steps: int = 1
    messages: tuple[Message, ...] = ()
    parsed: T_co = None  # type: ignore[assignment]  # where no type was asked for, it is None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


class ChatChunk(Struct, frozen=True, gc=False):
    """A piece of an answer.

    Attributes:
        text: the next piece of what is said.
        reasoning: the next piece of what is thought; then `text` is "".
    """

    text: str
    reasoning: str = ""


def messages_of(done: Completion) -> list[Message]:
    """An answer as messages of the assistant: what was thought goes before what was said because of it."""
    found: list[Message] = []
    text: list[str] = []
    calls: list[ToolCall] = []
    thought = Reasoning()

    def settle() -> None:
        nonlocal thought
        if text or calls or thought.text or thought.opaque:
            found.append(
                Message(
                    "assistant",
                    "".join(text),
                    tuple(calls),
                    reasoning=thought.text,
                    reasoning_opaque=thought.opaque,
                )
            )
        text.clear()
        calls.clear()
        thought = Reasoning()

    for block in done.blocks:
        if isinstance(block, Reasoning):
            settle()
            thought = block
        elif isinstance(block, ToolCall):
            calls.append(block)
        else:
            if calls:
                settle()
            text.append(block)
    settle()
    return found or [Message("assistant", "")]


def told(result: ToolResult) -> str:
    """What the model reads of a result; of a failure, in a form that programs can tell."""
    if result.result_type == "success":
        return result.text_result_for_llm
    try:
        told = json.loads(result.text_result_for_llm)
        if isinstance(told, dict) and told.get("success") is False:
            return result.text_result_for_llm  # the tool's own
    except ValueError:
        pass
    failure = {"success": False, "error": result.text_result_for_llm, "error_type": result.error_type or "error"}
    return json.dumps(failure)
