"""Answers of an API as chat events, streamed or whole; what broke is an error, never an end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import msgspec

from rightseat.backends.asking import already_sent
from rightseat.backends.base import RelayAnswer
from rightseat.backends.refusals import too_long
from rightseat.chat import ModelEvent, ReasoningDelta, ReasoningOpaque, Reply, TextDelta, ToolCallEvent
from rightseat.chat.plain import PlainTools
from rightseat.errors import ProtocolError, TransportError, UpstreamError
from rightseat.wire.dialect import Dialect
from rightseat.wire.errors import cut
from rightseat.wire.reading import ChunkError

BYTES_A_TOKEN = 4  # about; of an answer that broke off before it told


def reply_of(dialect: Dialect, answer: RelayAnswer, plain: PlainTools, *, streamed: bool) -> Reply:
    """An answer as a reply: its events with the tools as the caller knows them, and what it has told so far for booking.

    Args:
        dialect: what it is in.
        answer: the answer, whose head is there.
        plain: the tools.
        streamed: it was asked for as a stream. One that says it is JSON is read whole all the same.

    Reading it raises UpstreamError: it held an error, or ended in the middle (408, "stream_disconnected"), or is not of its kind.
    """
    if not streamed or answer.is_json:
        reply = Reply(_nothing(), answer.aclose)
        reply.through(lambda _: _told(_read_whole(dialect, answer, reply), plain, answer.aclose))
    else:
        reading = _Reading(dialect, answer)
        reading.reply = reply = Reply(_nothing(), reading.aclose)
        reply.through(lambda _: _told(reading.events(), plain, reading.aclose))
    reply.account = answer.account
    return reply


class _Reading:
    """A stream that is read: its events, and what it tells, noted on the reply for its booking.

    Attributes:
        reply: what it becomes.
    """

    def __init__(self, dialect: Dialect, answer: RelayAnswer) -> None:
        self._answer = answer
        self._reader = dialect.reader()
        self.reply: Reply
        self._size = self._count = 0

    async def events(self) -> AsyncGenerator[ModelEvent, None]:
        """All events. Raises UpstreamError."""
        reader = self._reader
        try:
            async for chunk in self._answer:
                for event in self._feed(chunk):
                    yield event
                if reader.failure is not None:  # what came before it has been said
                    raise inside(reader.failure)
            left = self._left()
        except ChunkError as e:
            raise inside(e) from e
        except TransportError as e:
            if not reader.complete:
                raise cut() from e
            left = self._left()
        for event in left:
            yield event

    async def aclose(self) -> None:
        """Close the answer, and note what it used: what came and nobody took, too. May be called twice."""
        try:
            await self._answer.aclose()
        finally:
            if (rest := self._answer.untaken()) and not self._reader.complete and self._reader.failure is None:
                with contextlib.suppress(ChunkError, ProtocolError):
                    self._feed(rest)
            self.reply.usage = self._reader.usage
            self.reply.received = max(self.reply.received, self._answer.received)

    def _feed(self, chunk: bytes) -> list[ModelEvent]:
        """Some more of it: the events, counted as they come, whether or not anybody takes them. Raises ChunkError."""
        said = self._reader.feed(chunk)
        sizes = [length for event in said if (length := _size(event))]
        self._size, self._count = self._size + sum(sizes), self._count + len(sizes)
        self.reply.received = max(-(-self._size // BYTES_A_TOKEN), self._count)
        self.reply.least = self._count
        return said

    def _left(self) -> list[ModelEvent]:
        """What is left to say at the end of a stream. Raises UpstreamError: it is no end."""
        left = self._reader.feed_eof()
        if not self._reader.complete:
            raise cut()
        self.reply.is_final = self._reader.usage is not None and self._reader.is_final
        return left


async def _read_whole(dialect: Dialect, answer: RelayAnswer, reply: Reply) -> AsyncGenerator[ModelEvent, None]:
    answer.hold = reply.hold
    try:
        data = await answer.read()
    finally:
        reply.received = max(reply.received, answer.received)
    with already_sent():
        usage = dialect.check_whole(data)
    reply.usage, reply.is_final = usage, usage is not None
    for event in whole(dialect, data):
        yield event


def whole(dialect: Dialect, data: bytes) -> list[ModelEvent]:
    """The events of a whole answer. Raises UpstreamError: it cannot be read, or holds an error."""
    try:
        return dialect.read_whole(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        error = UpstreamError(502, "Copilot gave no answer that can be read")
        error.reached = True
        raise error from e
    except ChunkError as e:
        raise inside(e) from e


def inside(error: ChunkError) -> UpstreamError:
    """An error that came within an answer."""
    found = too_long(400, error.code, str(error)) or UpstreamError(502, str(error), code=error.code)
    found.reached = True
    return found


async def _told(
    events: AsyncGenerator[ModelEvent, None], plain: PlainTools, close: Callable[[], Awaitable[None]]
) -> AsyncIterator[ModelEvent]:
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                yield plain.restored(event) if plain.changed else event
    finally:
        await close()


def _size(event: ModelEvent) -> int:
    """Bytes that a model has written, about."""
    match event:
        case TextDelta() | ReasoningDelta():
            text = event.text
        case ReasoningOpaque():
            text = event.data
        case ToolCallEvent():
            text = event.call.name + event.call.arguments
        case _:
            return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


async def _nothing() -> AsyncIterator[ModelEvent]:
    nothing: tuple[ModelEvent, ...] = ()
    for event in nothing:
        yield event
