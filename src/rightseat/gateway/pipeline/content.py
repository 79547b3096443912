"""What the gateway does about secrets and injections in what passes: report, redact or block, for each direction apart.

Texts are looked at as they are meant, not as bytes: out of the decoded body on the way in, out of chat events on the way out. Encrypted
reasoning, signatures and images are left alone. Findings are reported by kind and number, never by their text.
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
from rightseat.masking import mask
from rightseat.masking.finder import Finder
from rightseat.masking.patterns import PATTERNS, SECRETS
from rightseat.security.redaction import StreamRedactor
from rightseat.security.screening import screen

Policy: TypeAlias = Literal["off", "report", "redact", "block"]
# More than this is no prompt that a model would take. What only reports looks no further; screening looks at the newest.
_REPORTED = 2 * 1024 * 1024  # characters
_SCREENED = 256 * 1024  # of which each can cost microseconds
_BATCH = 32 * 1024  # short texts are looked at together
_SHORTEST = 12  # that can hold an injection
_LONG_NAME = 16  # characters of a member's name that can hold a secret
_NAME_CHARS = 40  # of a member, where a place is named, of which
_MASKED = 400  # are looked at for secrets first
_DATA_HEAD = 128  # of a data URL, before its base64
# Members that hold no text: ids, what is encrypted, what is signed, pictures.
_OPAQUE = frozenset({
    "call_id", "data", "encrypted_content", "file_data", "id", "image_url", "item_id", "reasoning_opaque", "signature", "thinking_signature", "tool_call_id",
    "tool_use_id", "url",
})  # fmt: skip


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
        self._clean = _CleanTexts()
        self._finder = Finder(SECRETS if kinds == "secrets" else [p.kind for p in PATTERNS])

    @property
    def remembered(self) -> int:
        """How many texts are known to be clean."""
        return self._clean.count

    @property
    def changes_answers(self) -> bool:
        """Answers must be read event by event."""
        return self._answers != "off"

    @property
    def is_strict(self) -> bool:
        """What is found in requests must not go upstream."""
        return self._requests in ("redact", "block") or self._injections == "block"

    def inspect(self, body: JsonObject) -> Inspection:
        """Look at a request, and do what the policies say.

        Raises:
            ContentBlockedError: naming what was found and where, never showing it.
        """
        found = self._found(body)
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
        """The events of an answer, as the policy lets them through; `note` is called with what was found.

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

    def _found(self, body: JsonObject) -> Counter[str]:
        found: Counter[str] = Counter()
        if self._requests == "off":
            return found
        texts = self._clean.without(texts_in(body))
        for batch in _batches(texts, _REPORTED if self._requests == "report" else None):
            here = [one.kind for one in self._finder.find("\n".join(batch))]
            if not here:
                self._clean.add(batch)
            found.update(here)
            if found and self._requests == "block":
                break  # one is enough
        return found

    def _screened(self, body: JsonObject) -> tuple[str, ...]:
        """Signs of an injection in what is new. Short texts are looked at together first: without a sign in all there is none in any."""
        if self._injections == "off":
            return ()
        left, batch, size = _SCREENED, list[tuple[_Place, str]](), 0
        for place, text in _news(body):
            if size and size + len(text) > _BATCH:
                if signs := self._suspect(batch):
                    return signs
                batch, size = [], 0
            batch.append((place, text))
            size += len(text)
            left -= len(text)
            if left <= 0:
                break
        return self._suspect(batch)

    def _suspect(self, batch: list[tuple[_Place, str]]) -> tuple[str, ...]:
        if not batch or (len(batch) > 1 and not screen("\n".join(text for _, text in batch)).suspect):
            return ()
        for place, text in batch:
            verdict = screen(text)
            if verdict.suspect:
                signs = tuple(sign.name for sign in verdict.signs[:5])
                if self._injections == "block":
                    problem = f"looks like an injection ({', '.join(signs)}), which this gateway blocks"
                    raise ContentBlockedError(f"{place}: {problem}", field=str(place))
                return signs
        return ()

    def _place(self, body: JsonObject) -> str:
        return next((str(place) for place, text in _with_places(body) if self._finder.find(text)), "body")


class _CleanTexts:
    """Longer texts in which nothing was found, by their hashes: a client sends its whole conversation again at each turn.

    The hashes are keyed by the process (PYTHONHASHSEED), so nobody can write a text that passes for another. Safe for threads: a text that
    one forgets or adds twice is looked at once more, no more than that.
    """

    SHORTEST = 128  # characters: a shorter text is looked at as fast
    MOST = 16_384  # hashes that are known for sure, and as many older ones, about

    def __init__(self) -> None:
        self._new: set[int] = set()
        self._old: set[int] = set()

    @property
    def count(self) -> int:
        """Texts that are known."""
        return len(self._new) + len(self._old)

    def without(self, texts: list[str]) -> list[str]:
        """The texts that are to be looked at."""
        new, old = self._new, self._old
        used = {key for text in texts if len(text) >= self.SHORTEST and ((key := hash(text)) in new or key in old)}
        if len(new) + len(used) <= self.MOST:  # what is still sent is not forgotten
            new |= used
        return [text for text in texts if len(text) < self.SHORTEST or hash(text) not in used]

    def add(self, texts: list[str]) -> None:
        """Nothing is in these."""
        if len(self._new) >= self.MOST:
            self._old, self._new = self._new, set()
        self._new.update(hash(text) for text in texts if len(text) >= self.SHORTEST)


def _named(found: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in sorted(found.items()))


def texts_in(value: object) -> list[str]:
    """All texts of a body, long names of members among them, in no order. No recursion: a body may be as deep as its reader allows."""
    texts: list[str] = []
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if len(name) >= _LONG_NAME:
                    texts.append(name)
                if isinstance(inner, str):
                    if name not in _OPAQUE and not (inner.startswith("data:") and _is_data_url(inner)):
                        texts.append(inner)
                elif isinstance(inner, (dict, list)) and name != "image_url":
                    pending.append(inner)
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, str) and not _is_data_url(value):
            texts.append(value)
    return texts


def _is_data_url(text: str) -> bool:
    """An image or a file (RFC 2397), and no text that begins in the same way."""
    return text.startswith("data:") and ";base64," in text[:_DATA_HEAD]


def _batches(texts: list[str], most: int | None) -> Iterator[list[str]]:
    """The texts, short ones together; no more than so many characters."""
    batch: list[str] = []
    size, left = 0, most
    for text in texts:
        length = len(text)
        if size and size + length > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(text if left is None else text[:left])
        size += length
        if left is not None and (left := left - length) <= 0:
            break
    if batch:
        yield batch


def _mapped(value: object, change: Callable[[str], str]) -> Any:
    """The same with every text changed. Shallow enough: what is too deep was refused when it was decoded."""
    if isinstance(value, dict):
        changed: dict[str, Any] = {}
        for name, inner in value.items():
            opaque = (name in _OPAQUE and isinstance(inner, str)) or name == "image_url"
            changed[_renamed(name, change, changed)] = inner if opaque else _mapped(inner, change)
        return changed
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    if isinstance(value, str) and not _is_data_url(value):
        return change(value)
    return value


def _renamed(name: str, change: Callable[[str], str], taken: Mapping[str, Any]) -> str:
    """A member's name, changed: never to that of another one, which would be lost."""
    if len(name) < _LONG_NAME or (said := change(name)) == name:
        return name
    while said in taken:
        said += "_"
    return said


class _Place(Struct, frozen=True):
    """Where a text is. Written out only where it is reported: there may be many texts under one long name."""

    name: str | int
    within: _Place | None = None

    def __str__(self) -> str:
        names: list[str] = []
        place: _Place | None = self
        while place is not None:
            name = place.name
            names.append(f"[{name}]" if isinstance(name, int) else f".{mask(name[:_MASKED])[:_NAME_CHARS]}")
            place = place.within
        return "".join(reversed(names)).removeprefix(".")


def _with_places(value: object, place: _Place | None = None) -> Iterator[tuple[_Place, str]]:
    """All texts and where they are, in order; long names of members are texts, too."""
    pending: list[tuple[Any, _Place | None]] = [(value, place)]
    while pending:
        value, place = pending.pop()
        if isinstance(value, dict):
            yield from ((_Place(name, place), name) for name in value if len(name) >= _LONG_NAME)
            inner = [
                (one, _Place(str(name), place))
                for name, one in value.items()
                if not (name in _OPAQUE and isinstance(one, str))
            ]
            pending += reversed(inner)
        elif isinstance(value, list):
            pending += [(value[i], _Place(i, place)) for i in range(len(value) - 1, -1, -1)]
        elif isinstance(value, str):
            yield place or _Place("body"), value


def _news(body: JsonObject) -> Iterator[tuple[_Place, str]]:
    """The texts that came since the model last spoke: what was before has been looked at. The owner's system prompt is trusted."""
    name = next((one for one in ("messages", "prompt") if one in body), "input")
    said, root = body.get(name), _Place(name)
    if isinstance(said, str):
        yield root, said
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
            found = _with_places(item, _Place(i, root))
            yield from ((place, text) for place, text in found if len(text) >= _SHORTEST)
