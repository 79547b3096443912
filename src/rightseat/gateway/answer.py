"""From an answer of upstream to the answer for the client: streamed or whole, passing or translated.

A stream that breaks ends as an error event in the client's dialect and with StreamBrokenError, never politely: several clients take a
clean end for a full answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rightseat.chat import fold
from rightseat.errors import ProtocolError, RightseatError, TransportError
from rightseat.gateway.asgi import StreamBrokenError
from rightseat.gateway.dialects import CHAT
from rightseat.gateway.plan import Plan
from rightseat.transport.http import HttpStream
from rightseat.upstream import reading
from rightseat.wire.openai_stream import ChunkError


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
        events = [
            plan.tools.restored(event)
            async for event in reading.events(plan.upstream.api, upstream, streamed=plan.streams)
        ]
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
        raise reading.inside(e) from e
    except TransportError as e:
        if not folded.whole:
            raise reading.cut() from e
    if not folded.whole:
        raise reading.cut()
    return msgspec.json.encode(folded.completion())


async def _passing(plan: Plan, upstream: HttpStream) -> AsyncIterator[bytes]:
    watch = plan.client.watch()
    try:
        async for chunk in upstream.chunks():
            if said := watch.see(chunk):
                yield said
    except RightseatError as e:  # cut off, or out of time
        if not watch.whole:
            yield plan.client.broken(e)
            raise StreamBrokenError(str(e)) from e
    rest = watch.eof()
    if not watch.whole:
        failure: ProtocolError | None = getattr(watch, "failure", None)
        yield plan.client.broken(failure or reading.cut())
        raise StreamBrokenError(reading.CUT)
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
            async for event in reading.events(plan.upstream.api, upstream, streamed=plan.streams):
                if data := encoder.encode(tools.restored(event)):
                    yield data
        else:
            async for event in reading.events(plan.upstream.api, upstream, streamed=plan.streams):
                if data := encoder.encode(event):
                    yield data
    except RightseatError as e:
        yield plan.client.broken(e)
        raise StreamBrokenError(str(e)) from e
    yield encoder.end()


def _read_as_chat(plan: Plan, data: bytes) -> bytes:
    """A body without choices, as newer Claude models have sent it on the chat endpoint."""
    return plan.client.whole(fold(reading.whole(plan.upstream.api, data)), plan.name, plan.body)
