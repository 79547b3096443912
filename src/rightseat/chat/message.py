"""A request to a model: messages, tools, and what else was asked."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from rightseat.json_types import JsonObject

_OPENS = re.compile(r"<([a-z_]+)\b")
_CLOSES = re.compile(r"</([a-z_]+)>\s*")


class ToolCall(Struct, frozen=True):
    """The model wants a tool to run.

    Attributes:
        arguments: JSON text, as models write it; with kind "custom": free text.
        kind: "function", or "custom" for a tool that takes text instead of JSON.
        namespace: the group that the tool belongs to, where the dialect has groups.
    """

    id: str
    name: str
    arguments: str = "{}"
    kind: str = "function"
    namespace: str = ""


class Image(Struct, frozen=True):
    """A picture: an https address, or a `data:` URL that holds it."""

    url: str


class Message(Struct, frozen=True):
    """One message.

    Attributes:
        role: "system", "user", "assistant" or "tool".
        content: its text.
        tool_calls: with role "assistant": what the model called.
        tool_call_id: with role "tool": the call that this answers.
        parts: empty when the message is text alone; else all of it in order: texts, images, and parts of unknown kinds, unchanged.
        reasoning: with role "assistant": what it thought before it said the rest, as text.
        reasoning_opaque: the same, encrypted by who made it; goes back byte for byte.

    What a model thought between two of its sayings makes the second a message of its own: an answer may be several messages of
    the assistant in a row.
    """

    role: str
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    parts: tuple[Any, ...] = ()
    reasoning: str = ""
    reasoning_opaque: str = ""


class ToolSpec(Struct, frozen=True):
    """A tool that the model may call.

    Attributes:
        parameters: a JSON Schema; a tool of kind "custom" has none and takes text.
        namespace: see ToolCall.
        strict: arguments shall keep to the schema exactly; None: not said.
        format: with kind "custom": the grammar of the text, as it came.
    """

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=dict)
    kind: str = "function"
    namespace: str = ""
    strict: bool | None = None
    format: JsonObject | None = None


class Estimate(Struct, frozen=True, gc=False):
    """What a request may use, in tokens, reckoned before it is sent.

    Attributes:
        input_tokens: about what it says.
        most: what it can use at most, the answer included.
    """

    input_tokens: int
    most: int


class Meta(Struct, frozen=True, gc=False):
    """What is not for the model: for the layers between who asks and who answers.

    Attributes:
        priority: more is more urgent; 0 is usual.
        deadline: when the answer is worth nothing any more, on the clock of the layers; None: never.
        caller: who asks, for limits that are counted apart.
        request_id: the same in every log.
        conversation: what ties requests together; they are kept to one account.
        estimate: what the request may use; None: not estimated.
        initiator: who began the turn, "user" or "agent"; "": the backend decides.
        headers: more headers for upstream, such as `anthropic-beta`; checked where they came in.
        on_sent: called each time right before the bytes of a request for this one go out; from then on it may cost something.
    """

    priority: int = 0
    deadline: float | None = None
    caller: str = ""
    request_id: str = ""
    conversation: str = ""
    estimate: Estimate | None = None
    initiator: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    on_sent: Callable[[], None] | None = None


USUAL = Meta()


class ChatRequest(Struct, frozen=True):
    """What a model is asked.

    Attributes:
        model: the model's id.
        messages: the conversation, oldest first.
        tools: the tools it may call.
        stream: whether the caller wants the answer in pieces.
        extra: every other field of the request, under OpenAI's name for it (max_tokens, temperature, tool_choice ...).
        meta: see Meta.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    stream: bool = False
    extra: JsonObject = field(default_factory=dict)
    meta: Meta = USUAL

    @property
    def last_user_text(self) -> str:
        """The text of the last message of the user, or ""."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def prompt(self) -> str:
        """The same without what an agent wrapped around it, such as `<current_datetime>` blocks."""
        text = self.last_user_text
        return _unwrapped(text).strip() or text.strip()

    @property
    def tool_results(self) -> tuple[Message, ...]:
        """The tool results that came after the last message of the user, oldest first."""
        found = []
        for message in reversed(self.messages):
            if message.role == "user":
                break
            if message.role == "tool":
                found.append(message)
        return tuple(reversed(found))


def _unwrapped(text: str) -> str:
    """Without what agents wrap around a prompt: `<current_datetime>...</current_datetime>`, `<reminder>...</reminder>` and the like.

    By hand, because a pattern that looks for the end of each tag costs the square of the tags that have none.
    """
    closings: dict[str, list[tuple[int, int]]] = {}
    for closes in _CLOSES.finditer(text):
        closings.setdefault(closes[1], []).append(closes.span())
    kept, at, bracket = [], 0, -1
    for opens in _OPENS.finditer(text) if closings else ():
        if bracket < opens.end():
            bracket = text.find(">", opens.end())
        if bracket < 0:
            break
        behind = closings.get(opens[1], [])
        nearest = bisect.bisect(behind, (bracket, len(text)))
        if opens.start() >= at and nearest < len(behind):
            kept.append(text[at : opens.start()])
            at = behind[nearest][1]
    return "".join([*kept, text[at:]])
