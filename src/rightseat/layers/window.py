"""A conversation that is too long, made to fit: what matters stays, in its order. For chat.

`fit` is the decision, a pure function. Messages go in units that are never torn: a call of tools and its results are one. System
messages and the current question are never left out. What else there is goes by priority, the old before the new: exchanges
become less important as they age. Left-out messages may leave a summary.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from rightseat.chat import ChatRequest, Image, Message, Reply, ToolSpec
from rightseat.errors import ContextTooLargeError, InvalidOptionError
from rightseat.handler import Handler
from rightseat.layers.checks import number
from rightseat.tokens import count as count_tokens

# What a message costs beside its words, and an image: about, as OpenAI's models count.
_PER_MESSAGE = 4
_PER_CALL = 8
_PER_IMAGE = 1000
_PER_REQUEST = 3


class Priority(enum.IntEnum):
    """How much a message matters."""

    LOW = 1
    HIGH = 2
    CRITICAL = 3
    SYSTEM = 4


MessagePriority = Priority  # the name that guides use

Counter: TypeAlias = Callable[[str], int]
Summariser: TypeAlias = Callable[[tuple[Message, ...]], Awaitable[str]]


class PrioritizedMessage(Struct, frozen=True):
    """A message of a ContextWindow with what decides on it.

    Attributes:
        role, content: the message.
        priority: of it, now: answers become less important as they age.
        token_count: its tokens, about.
    """

    role: str
    content: str
    priority: Priority
    token_count: int


class Fitted(Struct, frozen=True):
    """What fits.

    Attributes:
        messages: what stays, in order.
        left_out: what does not, in order.
        tokens: what stays has so many, about.
    """

    messages: tuple[Message, ...]
    left_out: tuple[Message, ...]
    tokens: int


def tokens_of(message: Message, count: Counter = count_tokens) -> int:
    """The tokens of a message."""
    n = _PER_MESSAGE + count(message.content) + count(message.reasoning)
    n += sum(_PER_CALL + count(call.name) + count(call.arguments) for call in message.tool_calls)
    for part in message.parts:
        if isinstance(part, Image):
            n += _PER_IMAGE
        elif not isinstance(part, str):  # texts are in the content
            n += count(str(part))
    return n


def tokens_of_tools(tools: Sequence[ToolSpec], count: Counter = count_tokens) -> int:
    """The tokens of the definitions of tools."""
    return sum(_PER_CALL + count(msgspec.json.encode(tool).decode()) for tool in tools)


def fit(
    messages: Sequence[Message],
    limit: int,
    *,
    count: Counter = count_tokens,
    recent: int = 6,
    priority: Callable[[Message], Priority | None] | None = None,
    critical_stays: bool = True,
) -> Fitted:
    """What of a conversation fits into `limit` tokens.

    Args:
        messages: the conversation, oldest first.
        limit: tokens.
        count: counts tokens.
        recent: so many units at the end are HIGH, those before LOW.
        priority: says otherwise for some messages. SYSTEM and CRITICAL are never left out.
        critical_stays: False: of CRITICAL only the current question is never left out, and others go last.

    Raises:
        ContextTooLargeError: what is never left out does not fit.
    """
    sizes = [tokens_of(message, count) for message in messages]
    total = sum(sizes) + _PER_REQUEST
    if total <= limit:
        return Fitted(tuple(messages), (), total)
    units = _units(messages)
    ranks, current = _ranks(messages, units, recent, priority)
    stays = Priority.CRITICAL if critical_stays else Priority.SYSTEM
    pinned = current | {i for i, rank in enumerate(ranks) if rank >= stays}
    gone: set[int] = set()
    for i in sorted(set(range(len(units))) - pinned, key=lambda i: (ranks[i], i)):
        if total <= limit:
            break
        gone.add(i)
        total -= sum(sizes[n] for n in units[i])
    if total > limit:
        raise ContextTooLargeError(total, limit)
    gone |= _headless(messages, units, ranks, gone)
    left_out = {n for i in gone for n in units[i]}
    kept = [n for n in range(len(messages)) if n not in left_out]
    return Fitted(
        tuple(messages[n] for n in kept),
        tuple(messages[n] for n in sorted(left_out)),
        sum(sizes[n] for n in kept) + _PER_REQUEST,
    )


def _units(messages: Sequence[Message]) -> list[list[int]]:
    """Indices of messages that belong together: one each, but for a call of tools with its results."""
    units: list[list[int]] = []
    by_call: dict[str, list[int]] = {}
    for n, message in enumerate(messages):
        unit = by_call.get(message.tool_call_id or "") if message.role == "tool" else None
        if unit is None:
            unit = []
            units.append(unit)
        unit.append(n)
        for call in message.tool_calls:
            by_call[call.id] = unit
    return units


def _ranks(
    messages: Sequence[Message],
    units: list[list[int]],
    recent: int,
    priority: Callable[[Message], Priority | None] | None,
) -> tuple[list[Priority], set[int]]:
    """The priority of each unit, and which are about the current question."""
    ranks, current = [], set()
    question = max((n for n, message in enumerate(messages) if message.role == "user"), default=-1)
    for i, unit in enumerate(units):
        given = [p for n in unit if priority is not None and (p := priority(messages[n])) is not None]
        if any(messages[n].role in ("system", "developer") for n in unit):
            rank = Priority.SYSTEM
        elif question in unit or (i == len(units) - 1 and unit[0] > question):
            current.add(i)
            rank = Priority.CRITICAL  # the current question, and what was done last to answer it
        elif given:
            rank = max(given)
        else:
            rank = Priority.HIGH if i >= len(units) - recent or unit[0] > question else Priority.LOW
        ranks.append(rank)
    return ranks, current


def _headless(messages: Sequence[Message], units: list[list[int]], ranks: list[Priority], gone: set[int]) -> set[int]:
    """Answers at the beginning whose question is gone: some models refuse to begin with them."""
    found: set[int] = set()
    for i, unit in enumerate(units):
        if i in gone or ranks[i] is Priority.SYSTEM:
            continue
        if messages[unit[0]].role == "user" or ranks[i] is Priority.CRITICAL or not gone:
            break
        found.add(i)
    return found


async def extract(left_out: tuple[Message, ...]) -> str:
    """The plainest summary, without a model: what was asked, a line each."""
    lines = []
    for message in left_out:
        if message.role == "user" and (said := message.content.strip()):
            first = said.splitlines()[0]
            lines.append("- " + (first if len(first) <= 120 else first[:117] + "..."))
    return "Asked earlier in this conversation (shortened):\n" + "\n".join(lines) if lines else ""


class Window(Struct, frozen=True, kw_only=True):
    """The layer.

    Attributes:
        limit: tokens of a prompt, or (model's name) -> tokens.
        summarise: messages that were left out -> a summary; if it fails, the call fails. None: no summary.
        summary_tokens: kept free for it; a longer one is cut.
        count, recent, priority: see `fit`.
        on_left_out: told what was left out.
    """

    limit: int | Callable[[str], int] = 64_000
    summarise: Summariser | None = None
    summary_tokens: int = 512
    count: Counter = count_tokens
    recent: int = 6
    priority: Callable[[Message], Priority | None] | None = None
    on_left_out: Callable[[tuple[Message, ...]], None] | None = None

    def __post_init__(self) -> None:
        if not callable(self.limit):
            number("limit", self.limit, least=1, whole=True)
            if self.summarise is not None and self.summary_tokens >= self.limit:
                raise InvalidOptionError(
                    f"summary_tokens: must be less than limit ({self.limit}), not {self.summary_tokens}"
                )
        number("summary_tokens", self.summary_tokens, least=1, whole=True)
        number("recent", self.recent, least=0, whole=True)

    def __call__(self, inner: Handler) -> Handler:
        """See Layer."""

        async def handler(request: ChatRequest) -> Reply:
            messages = await self.fitted(request)
            if messages is not request.messages:
                request = msgspec.structs.replace(request, messages=messages)
            return await inner(request)

        return handler

    async def fitted(self, request: ChatRequest) -> tuple[Message, ...]:
        """The messages that are sent: the request's own if they fit. Raises ContextTooLargeError."""
        limit = self.limit(request.model) if callable(self.limit) else self.limit
        limit -= tokens_of_tools(request.tools, self.count)
        how: dict[str, Any] = {"count": self.count, "recent": self.recent, "priority": self.priority}
        fitted = fit(request.messages, limit, **how)
        if not fitted.left_out:
            return request.messages
        summary: list[Message] = []
        if self.summarise is not None:
            fitted, summary = await self._with_summary(request, limit, fitted, how)
        if self.on_left_out is not None:
            self.on_left_out(fitted.left_out)
        head = next((i for i, m in enumerate(fitted.messages) if m.role not in ("system", "developer")), 0)
        return (*fitted.messages[:head], *summary, *fitted.messages[head:])

    async def _with_summary(
        self, request: ChatRequest, limit: int, without: Fitted, how: dict[str, Any]
    ) -> tuple[Fitted, list[Message]]:
        assert self.summarise is not None
        try:
            fitted = fit(request.messages, limit - self.summary_tokens, **how)
        except ContextTooLargeError:
            return without, []  # no room for a summary
        text = self._cut(await self.summarise(fitted.left_out), self.summary_tokens - _PER_MESSAGE)
        return fitted, [Message("system", text)] if text else []

    def _cut(self, text: str, most: int) -> str:
        while text and self.count(text) > most:
            text = text[: len(text) * most // (self.count(text) + 1)]
        return text


class ContextWindow:
    """A conversation that is kept within a limit as it grows.

    window = ContextWindow(max_tokens=4000)
    window.add_message("system", "You are a helpful assistant.")
    window.add_message("user", "What is Python?")
    messages = window.get_messages()

    Args:
        max_tokens: of all messages.
        count: counts tokens.
        recent: see `fit`.
    """

    def __init__(self, max_tokens: int = 4000, *, count: Counter = count_tokens, recent: int = 6) -> None:
        number("max_tokens", max_tokens, least=1, whole=True)
        number("recent", recent, least=0, whole=True)
        self.max_tokens = max_tokens
        self._count = count
        self._recent = recent
        self._messages: list[Message] = []
        self._given: dict[int, Priority] = {}  # id of a message -> its priority

    def add_message(self, role: str, content: str, priority: Priority | None = None) -> None:
        """Add a message; what does not fit any more is left out.

        Args:
            role: "system", "user", "assistant" or "tool".
            content: its text.
            priority: None: by its role and age. SYSTEM is never left out, nor is the current question.

        Raises:
            ContextTooLargeError: the message, and what is never left out, do not fit; nothing was added.
        """
        self.add(Message(role, content), priority)

    def add(self, message: Message, priority: Priority | None = None) -> None:
        """The same for a message with tool calls, images and the like."""
        given = dict(self._given)
        if priority is not None:
            given[id(message)] = priority
        fitted = fit(
            [*self._messages, message],
            self.max_tokens,
            count=self._count,
            recent=self._recent,
            priority=lambda m: given.get(id(m)),
            critical_stays=False,  # whoever gives it to every question asks many of them
        )
        self._messages = list(fitted.messages)
        kept = {id(m) for m in self._messages}
        self._given = {n: p for n, p in given.items() if n in kept}

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that are kept."""
        return tuple(self._messages)

    @property
    def prioritized(self) -> tuple[PrioritizedMessage, ...]:
        """The same with their priorities and tokens."""
        units = _units(self._messages)
        ranks, _ = _ranks(self._messages, units, self._recent, lambda m: self._given.get(id(m)))
        by_place = {n: rank for unit, rank in zip(units, ranks, strict=True) for n in unit}
        return tuple(
            PrioritizedMessage(m.role, m.content, by_place[n], tokens_of(m, self._count))
            for n, m in enumerate(self._messages)
        )

    @property
    def tokens(self) -> int:
        """Their tokens, about."""
        return sum(tokens_of(m, self._count) for m in self._messages) + _PER_REQUEST

    def get_messages(self) -> list[dict[str, str]]:
        """The messages as plain dicts with `role` and `content`."""
        return [{"role": m.role, "content": m.content} for m in self._messages]
