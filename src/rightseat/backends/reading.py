"""Answers of an API as chat events, streamed or whole; what broke is an error, never an end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rightseat.backends.asking import already_sent
from rightseat.backends.base import RelayAnswer
from rightseat.backends.refusals import too_long
from rightseat.chat import ModelEvent, ReasoningDelta, ReasoningOpaque, Reply, TextDelta, ToolCallEvent
from rightseat.chat.plain import PlainTools
from rightseat.errors import TransportError, UpstreamError
from rightseat.wire.dialect import AnswerReader, Dialect
from rightseat.wire.errors import cut
from rightseat.wire.reading import ChunkError

BYTES_A_TOKEN = 4  # about; of an answer that broke off before it told


def reply_of(dialect: Dialect, answer: RelayAnswer, plain: PlainTools, *, streamed: bool) -> Reply:
    """An answer as a reply: its events with the tools as the caller knows them, and what it has told so far for booking."""
    reply = Reply(_nothing(), answer.aclose)
    reply.account = answer.account
    reply.through(lambda _: _told(reply, dialect, answer, plain, streamed=streamed))
    return reply


async def events(
    dialect: Dialect, answer: RelayAnswer, *, streamed: bool, reply: Reply | None = None
) -> AsyncIterator[ModelEvent]:
    """The events of an answer.

    Args:
        dialect: what it is in.
        answer: the answer, whose head is there.
        streamed: it was asked for as a stream. One that says it is JSON is read whole all the same.
        reply: gets the usage, and whether the answer is complete.

    Raises:
        UpstreamError: it held an error, or ended in the middle (408, "stream_disconnected"), or is not of its kind.
    """
    if not streamed or answer.is_json:
        for event in await _read_whole(dialect, answer, reply):
            yield event
        return
    reader = dialect.reader()
    size = count = 0
    try:
        async for chunk in answer:
            said = reader.feed(chunk)
            if reply is not None:  # it has come, whether or not anybody takes it
                sizes = [length for event in said if (length := _size(event))]
                size, count = size + sum(sizes), count + len(sizes)
                reply.received, reply.least = max(-(-size // BYTES_A_TOKEN), count), count
            for event in said:
                yield event
            if reader.failure is not None:  # what came before it has been said
                raise inside(reader.failure)
        left = _left(reader, reply)
    except ChunkError as e:
        raise inside(e) from e
    except TransportError as e:
        if not reader.complete:
            raise cut() from e
        left = _left(reader, reply)
    finally:
        if reply is not None:
            reply.usage = reader.usage
    for event in left:
        yield event


def _left(reader: AnswerReader, reply: Reply | None) -> list[ModelEvent]:
    """What is left to say at the end of a stream. Raises UpstreamError: it is no end."""
    left = reader.feed_eof()
    if not reader.complete:
        raise cut()
    if reply is not None:
        reply.is_final = reader.usage is not None and reader.is_final
    return left


async def _read_whole(dialect: Dialect, answer: RelayAnswer, reply: Reply | None) -> list[ModelEvent]:
    data = await answer.read()
    with already_sent():
        usage = dialect.check_whole(data)
    if reply is not None:
        reply.usage, reply.is_final = usage, usage is not None
    return whole(dialect, data)


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
    reply: Reply, dialect: Dialect, answer: RelayAnswer, plain: PlainTools, *, streamed: bool
) -> AsyncIterator[ModelEvent]:
    try:
        async for event in events(dialect, answer, streamed=streamed, reply=reply):
            yield plain.restored(event) if plain.changed else event
    finally:
        reply.received = max(reply.received, answer.received)
        await answer.aclose()


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
