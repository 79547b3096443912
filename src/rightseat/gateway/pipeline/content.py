"""What the gateway does about secrets and injections in what passes: report, redact or block, for each direction apart.

Texts are looked at as they are meant, not as bytes: out of the decoded body on the way in, out of chat events on the way out. Encrypted
reasoning, signatures and images are left alone. What was found is told by kind and number, never by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

from rightseat.chat import ModelEvent, ReasoningDelta, TextDelta, ToolCallEvent
from rightseat.errors import CallerError, DeclinedError
from rightseat.json_types import JsonObject
from rightseat.masking.finder import Finder
from rightseat.masking.patterns import PATTERNS, SECRETS
from rightseat.security.redaction import StreamRedactor
from rightseat.security.screening import screen

Policy: TypeAlias = Literal["off", "report", "redact", "block"]
# Members that hold no text: ids, what is encrypted, what is signed, pictures.
_OPAQUE = frozenset({
    "call_id", "data", "encrypted_content", "file_data", "id", "image_url", "item_id", "reasoning_opaque", "signature", "thinking_signature", "tool_call_id",
    "tool_use_id", "url",
})  # fmt: skip


_LARGE_TEXT = 64 * 1024  # characters: looked through by itself, since putting it together with others copies it


def _joined(texts: list[str]) -> Iterator[str]:
    """Small texts together, which costs less, and large ones alone."""
    yield "\n".join(text for text in texts if len(text) <= _LARGE_TEXT)
    yield from (text for text in texts if len(text) > _LARGE_TEXT)


class ContentBlockedError(CallerError):
    """The request holds something that does not leave here."""

    status_hint = 400


class AnswerBlockedError(DeclinedError):
    """The answer holds something that does not leave here."""

    status_hint = 502


class Inspection(Struct, frozen=True):
    """What a request holds.

    Attributes:
        body: the same, or with what was found taken out.
        changed: it is not the same.
        found: kind -> how often.
        suspect: signs of an injection, where they are enough to be suspect.
    """

    body: JsonObject
    changed: bool = False
    found: Mapping[str, int] = field(default_factory=dict)
    suspect: tuple[str, ...] = ()


class Content:
    """The policies of one gateway.

    Args:
        requests, answers: what to do about sensitive data in each direction.
        injections: what to do about signs of injection in requests: "off", "report" or "block".
        kinds: "secrets", or "all" with personal data, too.
    """

    def __init__(
        self, requests: Policy = "report", answers: Policy = "off", injections: str = "report", kinds: str = "secrets"
    ) -> None:
        self._requests = requests
        self._answers = answers
        self._injections = injections
        self._finder = Finder(SECRETS if kinds == "secrets" else [p.kind for p in PATTERNS])

    @property
    def changes_answers(self) -> bool:
        """Answers must be read event by event."""
        return self._answers != "off"

    def inspect(self, body: JsonObject) -> Inspection:
        """Look at a request, and do what the policies say.

        Raises:
            ContentBlockedError: naming what was found and where, never showing it.
        """
        texts = list(texts_in(body)) if self._requests != "off" else []
        found: Counter[str] = Counter()
        if texts:
            found.update(one.kind for text in _joined(texts) for one in self._finder.find(text))
        if found and self._requests == "block":
            place = self._place(body)
            problem = f"{place}: holds {_named(found)}, which this gateway blocks"
            raise ContentBlockedError(problem, field=place)
        suspect = self._screened(body)
        if found and self._requests == "redact":
            return Inspection(_mapped(body, self._finder.redact), changed=True, found=found, suspect=suspect)
        return Inspection(body, found=found, suspect=suspect)

    async def events(
        self, events: AsyncIterator[ModelEvent], note: Callable[[Mapping[str, int]], None]
    ) -> AsyncIterator[ModelEvent]:
        """The events of an answer, as the policy lets them through; `note` is told what was found.

        Raises:
            AnswerBlockedError: naming what was found.
        """
        said, thought = StreamRedactor(self._finder), StreamRedactor(self._finder)
        calls: Counter[str] = Counter()
        changes = self._answers != "report"
        try:
            async for event in events:
                if isinstance(event, (TextDelta, ReasoningDelta)):
                    redactor = said if isinstance(event, TextDelta) else thought
                    text = redactor.feed(event.text)
                    self._check(redactor.found)
                    if not changes:
                        yield event
                    elif text:
                        yield type(event)(text)
                    continue
                # What was held back goes before what comes now.
                for kind, redactor in ((ReasoningDelta, thought), (TextDelta, said)):
                    text = redactor.end()
                    self._check(redactor.found)
                    if changes and text:
                        yield kind(text)
                if isinstance(event, ToolCallEvent):
                    here = Counter(one.kind for one in self._finder.find(event.call.arguments))
                    calls += here
                    self._check(calls)
                    if here and changes:
                        arguments = self._finder.redact(event.call.arguments)
                        yield ToolCallEvent(msgspec.structs.replace(event.call, arguments=arguments))
                        continue
                yield event
        finally:
            if total := calls + said.found + thought.found:
                note(total)

    def _check(self, found: Mapping[str, int]) -> None:
        if found and self._answers == "block":
            raise AnswerBlockedError(f"the answer holds {_named(found)}, which this gateway blocks")

    def _screened(self, body: JsonObject) -> tuple[str, ...]:
        if self._injections == "off":
            return ()
        for where, text in _news(body):
            verdict = screen(text)
            if verdict.suspect:
                signs = tuple(sign.name for sign in verdict.signs[:5])
                if self._injections == "block":
                    problem = f"looks like an injection ({', '.join(signs)}), which this gateway blocks"
                    raise ContentBlockedError(f"{where}: {problem}", field=where)
                return signs
        return ()

    def _place(self, body: JsonObject) -> str:
        return next((path for path, text in _with_paths(body, "") if self._finder.find(text)), "body")


def _named(found: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in sorted(found.items()))


def texts_in(value: object) -> Iterator[str]:
    """All texts of a body, in no order. No recursion: a body may be as deep as its reader allows."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, str):
                    if name not in _OPAQUE and not inner.startswith("data:"):
                        yield inner
                elif isinstance(inner, (dict, list)) and name != "image_url":
                    pending.append(inner)
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and not value.startswith("data:"):
            yield value


def _mapped(value: object, change: Callable[[str], str]) -> Any:
    """The same with every text changed. Shallow enough: what is too deep was refused when it was decoded."""
    if isinstance(value, dict):
        return {
            name: inner
            if (name in _OPAQUE and isinstance(inner, str)) or name == "image_url"
            else _mapped(inner, change)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    if isinstance(value, str) and not value.startswith("data:"):
        return change(value)
    return value


def _with_paths(value: object, path: str) -> Iterator[tuple[str, str]]:
    """All texts and where they are, in order."""
    pending = [(value, path)]
    while pending:
        value, path = pending.pop()
        if isinstance(value, dict):
            inner = [
                (one, f"{path}.{name}" if path else str(name))
                for name, one in value.items()
                if not (name in _OPAQUE and isinstance(one, str))
            ]
            pending += reversed(inner)
        elif isinstance(value, list):
            pending += [(value[i], f"{path}[{i}]") for i in range(len(value) - 1, -1, -1)]
        elif isinstance(value, str):
            yield path, value


def _news(body: JsonObject) -> Iterator[tuple[str, str]]:
    """The texts that came since the model last spoke: what was before has been looked at. The owner's system prompt is trusted."""
    name = "messages" if "messages" in body else "input"
    said = body.get(name)
    if isinstance(said, str):
        yield name, said
        return
    if not isinstance(said, list):
        return
    for i in range(len(said) - 1, -1, -1):
        item = said[i]
        role = item.get("role") if isinstance(item, dict) else None
        kind = item.get("type") if isinstance(item, dict) else None
        if role == "assistant" or kind in ("function_call", "custom_tool_call", "reasoning"):
            return
        if role not in ("system", "developer"):
            yield from ((path, text) for path, text in _with_paths(item, f"{name}[{i}]") if len(text) >= 12)
