"""Answers of the Copilot API as chat events, streamed or whole; what broke is an error, never an end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rightseat.chat import ModelEvent
from rightseat.errors import TransportError, UpstreamError
from rightseat.transport.http.base import HttpStream
from rightseat.wire.apis import Api
from rightseat.wire.openai_stream import ChunkError

CUT = "stream disconnected before completion"


async def events(api: Api, stream: HttpStream, *, streamed: bool) -> AsyncIterator[ModelEvent]:
    """The events of an answer.

    Args:
        api: the endpoint it comes from.
        stream: the answer, whose head is there.
        streamed: it was asked for as a stream.

    Raises:
        UpstreamError: it held an error, or ended in the middle (408, "stream_disconnected").
    """
    if not streamed:
        for event in whole(api, await stream.read()):
            yield event
        return
    reader = api.reader()
    try:
        async for chunk in stream.chunks():
            for event in reader.feed(chunk):
                yield event
        left = reader.feed_eof()
    except ChunkError as e:
        raise inside(e) from e
    except TransportError as e:
        if not reader.whole:
            raise cut() from e
        left = reader.feed_eof()
    if not reader.whole:
        raise cut()
    for event in left:
        yield event


def whole(api: Api, data: bytes) -> list[ModelEvent]:
    """The events of a whole answer. Raises UpstreamError: it cannot be read, or holds an error."""
    try:
        return api.read_whole(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UpstreamError(502, "Copilot gave no answer that can be read") from e
    except ChunkError as e:
        raise inside(e) from e


def inside(error: ChunkError) -> UpstreamError:
    """An error that came within an answer."""
    return UpstreamError(502, str(error), code=error.code)


def cut() -> UpstreamError:
    """An answer that ended in the middle."""
    return UpstreamError(408, CUT, code="stream_disconnected")
