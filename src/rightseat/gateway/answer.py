"""From an answer of upstream to the answer for the client: streamed or whole, passing or translated.

A stream that breaks ends as an error event in the client's dialect and with StreamBrokenError, never politely: several clients take a
clean end for a full answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rightseat.chat import ModelEvent, fold
from rightseat.errors import ProtocolError, TransportError, UpstreamError
from rightseat.gateway.asgi import StreamBrokenError
from rightseat.gateway.dialects import CHAT
from rightseat.gateway.plan import Plan
from rightseat.transport.http import HttpStream
from rightseat.wire.openai_stream import ChunkError

_CUT = "stream disconnected before completion"


def pieces(plan: Plan, upstream: HttpStream) -> AsyncIterator[bytes]:
    """A streamed answer.

    Raises:
        StreamBrokenError: it ended in the middle. The client has been told by an error event.
    """
    return _passing(plan, upstream) if plan.tools is None else _translated(plan, upstream)


async def whole(plan: Plan, upstream: HttpStream) -> bytes:
    """A whole answer as one body, folded where it came as a stream.

    Raises:
        UpstreamError: the stream held an error, or ended in the middle.
    """
    if plan.tools is not None:
        events = [plan.tools.restored(event) async for event in _events(plan, upstream)]
        return plan.client.whole(fold(events), plan.name, plan.body)
    if not plan.streams:
        data = await upstream.read()
        return _read_as_chat(plan, data) if plan.client is CHAT and b'"choices"' not in data else data
    folded = plan.client.fold()
    try:
        async for chunk in upstream.chunks():
            folded.feed(chunk)
        folded.feed_eof()
    except ChunkError as e:
        raise _inside(e) from e
    except TransportError as e:
        if not folded.whole:
            raise _cut() from e
    if not folded.whole:
        raise _cut()
    return msgspec.json.encode(folded.completion())


async def _passing(plan: Plan, upstream: HttpStream) -> AsyncIterator[bytes]:
    watch = plan.client.watch()
    try:
        async for chunk in upstream.chunks():
            if said := watch.see(chunk):
                yield said
    except TransportError as e:
        if not watch.whole:
            yield plan.client.broken(e)
            raise StreamBrokenError(str(e)) from e
    rest = watch.eof()
    if not watch.whole:
        failure: ProtocolError | None = getattr(watch, "failure", None)
        yield plan.client.broken(failure or _cut())
        raise StreamBrokenError(_CUT)
    if rest:
        yield rest


async def _translated(plan: Plan, upstream: HttpStream) -> AsyncIterator[bytes]:
    assert plan.tools is not None
    tools = plan.tools
    encoder = plan.client.encoder(plan.name, plan.body, tools.request)
    if head := encoder.start():
        yield head
    try:
        if tools.changed:
            async for event in _events(plan, upstream):
                if data := encoder.encode(tools.restored(event)):
                    yield data
        else:
            async for event in _events(plan, upstream):
                if data := encoder.encode(event):
                    yield data
    except UpstreamError as e:
        yield plan.client.broken(e)
        raise StreamBrokenError(e.message) from e
    yield encoder.end()


async def _events(plan: Plan, upstream: HttpStream) -> AsyncIterator[ModelEvent]:
    """The chat events of an answer. Raises UpstreamError when it held an error, or ended in the middle."""
    if not plan.streams:
        for event in _read_whole(plan, await upstream.read()):
            yield event
        return
    reader = plan.upstream.reader()
    try:
        async for chunk in upstream.chunks():
            for event in reader.feed(chunk):
                yield event
        left = reader.feed_eof()
    except ChunkError as e:
        raise _inside(e) from e
    except TransportError as e:
        if not reader.whole:
            raise _cut() from e
        left = reader.feed_eof()
    if not reader.whole:
        raise _cut()
    for event in left:
        yield event


def _read_whole(plan: Plan, data: bytes) -> list[ModelEvent]:
    try:
        return plan.upstream.read_whole(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UpstreamError(502, "Copilot gave no answer that can be read") from e
    except ChunkError as e:
        raise _inside(e) from e


def _read_as_chat(plan: Plan, data: bytes) -> bytes:
    """A body without choices, as newer Claude models have sent it on the chat endpoint."""
    return plan.client.whole(fold(_read_whole(plan, data)), plan.name, plan.body)


def _inside(error: ChunkError) -> UpstreamError:
    return UpstreamError(502, str(error), code=error.code)


def _cut() -> UpstreamError:
    return UpstreamError(408, _CUT, code="stream_disconnected")
