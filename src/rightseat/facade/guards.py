"""What looks at the words of a conversation: checks of prompts, and redaction of what goes out and comes back.

Both are layers for chat, outside of all others, so that nothing is kept, counted or sent that was refused or taken out. What is looked for is
decided elsewhere (`security.screening`, `security.redaction`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import msgspec
from msgspec import Struct

from rightseat.chat import ChatRequest, Message, ModelEvent, ReasoningDelta, Reply, TextDelta
from rightseat.errors import InvalidOptionError
from rightseat.handler import Handler, Layer
from rightseat.layers.checks import number
from rightseat.log import logger
from rightseat.masking.finder import Finder
from rightseat.security.redaction import StreamRedactor
from rightseat.security.screening import MAX_CHARS, Policy, check_prompt

_POLICIES = ("off", "report", "block")
_OURS = frozenset({"system", "developer"})  # roles of whoever writes the program


class PromptChecks(Struct, frozen=True, kw_only=True):
    """What a prompt must not be; see `security.screening.check_prompt`.

    Attributes:
        max_chars: of a prompt; None: any number.
        injection: what to do about a prompt that looks like an injection: "block", "report" (to the log) or "off".
        scripts: the same about HTML with scripts.
        on_odd: told of what is reported, in words that hold nothing of the prompt; None: the log.
    """

    max_chars: int | None = MAX_CHARS
    injection: Policy = "block"
    scripts: Policy = "block"
    on_odd: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        if self.max_chars is not None:
            number("max_chars", self.max_chars, least=1, whole=True)
        for name, value in (("injection", self.injection), ("scripts", self.scripts)):
            if value not in _POLICIES:
                raise InvalidOptionError(f"{name}: must be one of {', '.join(_POLICIES)}, not {value!r}")

    def __call__(self, inner: Handler) -> Handler:
        """See Layer. The handler raises PromptError (a ValueError) for a prompt that is refused."""

        async def handler(request: ChatRequest) -> Reply:
            odd = check_prompt(
                request.last_user_text, max_chars=self.max_chars, injection=self.injection, scripts=self.scripts
            )
            for what in odd:
                if self.on_odd is not None:
                    self.on_odd(what)
                else:
                    logger.warning("a prompt is odd: %s", what)
            return await inner(request)

        return handler


class Redaction(Struct, frozen=True, kw_only=True):
    """Takes secrets and personal data out: `[REDACTED_EMAIL]` stands in the place of an address.

    Attributes:
        kinds: which, by the names of `masking.patterns`; None: all.
        prompts: of what is sent: what users, tools and the model said, and arguments of tools. System messages are left as they are.
        answers: of what comes back.
    """

    kinds: Collection[str] | None = None
    prompts: bool = True
    answers: bool = True

    def __post_init__(self) -> None:
        self._finder()

    def __call__(self, inner: Handler) -> Handler:
        """See Layer."""
        finder = self._finder()

        async def handler(request: ChatRequest) -> Reply:
            if self.prompts:
                messages = tuple(_redacted(message, finder) for message in request.messages)
                request = msgspec.structs.replace(request, messages=messages)
            reply = await inner(request)
            if self.answers:
                reply.through(lambda events: _redacted_answer(events, finder))
            return reply

        return handler

    def _finder(self) -> Finder:
        try:
            return Finder(self.kinds)
        except ValueError as e:
            raise InvalidOptionError(str(e)) from None


def guards(prompt_checks: PromptChecks | bool | None, redaction: Redaction | bool | None) -> tuple[Layer, ...]:
    """The layers for what was asked for; True is all of it. Raises InvalidOptionError for what is neither."""
    found: list[Any] = []
    for name, given, kind in (("prompt_checks", prompt_checks, PromptChecks), ("redaction", redaction, Redaction)):
        if given is True:
            found.append(kind())
        elif isinstance(given, kind):
            found.append(given)
        elif given not in (None, False):
            raise InvalidOptionError(f"{name}: must be True, False, None or a {kind.__name__}, not {given!r}")
    return tuple(found)


def _redacted(message: Message, finder: Finder) -> Message:
    if message.role in _OURS:
        return message
    parts = tuple(finder.redact(part) if isinstance(part, str) else part for part in message.parts)
    calls = tuple(msgspec.structs.replace(call, arguments=finder.redact(call.arguments)) for call in message.tool_calls)
    return msgspec.structs.replace(message, content=finder.redact(message.content), parts=parts, tool_calls=calls)


async def _redacted_answer(events: AsyncIterator[ModelEvent], finder: Finder) -> AsyncIterator[ModelEvent]:
    """The same events: of one kind of text after another, what may still become a secret is held back until it is none."""
    kind: type[TextDelta | ReasoningDelta] = TextDelta
    redactor = StreamRedactor(finder)
    try:
        async for event in events:
            if type(event) is kind:
                if text := redactor.feed(event.text):
                    yield kind(text)
                continue
            if text := redactor.end():
                yield kind(text)
            redactor = StreamRedactor(finder)
            if isinstance(event, (TextDelta, ReasoningDelta)):
                kind = type(event)
                if text := redactor.feed(event.text):
                    yield kind(text)
            else:
                yield event
    except Exception:
        if text := redactor.end():
            yield kind(text)
        raise
    if text := redactor.end():
        yield kind(text)
