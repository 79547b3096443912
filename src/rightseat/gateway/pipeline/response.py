"""From an answer of upstream to the answer for the client: streamed or whole, passing or translated.

A stream that breaks ends as an error event in the client's dialect and with StreamBrokenError, never politely: several clients take a
clean end for a full answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rightseat.backends import reading
from rightseat.backends.base import RelayAnswer
from rightseat.chat import Finish, ModelEvent, Usage, fold
from rightseat.chat.plain import PlainTools
from rightseat.errors import ProtocolError, RightseatError, TransportError
from rightseat.gateway.http.asgi import StreamBrokenError
from rightseat.gateway.observe.request_log import Entry
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.dialects import CHAT
from rightseat.gateway.pipeline.plan import Plan
from rightseat.transport.http.base import CUT
from rightseat.wire.openai_stream import ChunkError
from rightseat.wire.usage import usage_in, usage_of


def pieces(plan: Plan, upstream: RelayAnswer, entry: Entry, content: Content) -> AsyncIterator[bytes]:
    """A streamed answer. What it used is noted on `entry`.

    Raises:
        StreamBrokenError: it ended in the middle. The client has been told by an error event.
    """
    return _passing(plan, upstream, entry) if plan.tools is None else _translated(plan, upstream, entry, content)


async def whole(plan: Plan, upstream: RelayAnswer, entry: Entry, content: Content) -> bytes:
    """A whole answer as one body, folded where it came as a stream. What it used is noted on `entry`.

    Raises:
        UpstreamError: the stream held an error, or ended in the middle.
    """
    if plan.tools is not None:
        events = [event async for event in _events(plan, plan.tools, upstream, entry, content)]
        return plan.client.whole(fold(events), plan.name, plan.body)
    if not plan.streams:
        data = await upstream.read()
        entry.note(usage_in(data))
        return _read_as_chat(plan, data) if plan.client is CHAT and b'"choices"' not in data else data
    folded = plan.client.fold()
    try:
        async for chunk in upstream:
            folded.feed(chunk)
        folded.feed_eof()
    except ChunkError as e:
        raise reading.inside(e) from e
    except TransportError as e:
        if not folded.whole:
            raise reading.cut() from e
    if not folded.whole:
        raise reading.cut()
    completion = folded.completion()
    entry.note(usage_of(completion.get("usage")) if isinstance(completion, dict) else None)
    return msgspec.json.encode(completion)


async def _events(
    plan: Plan, tools: PlainTools, upstream: RelayAnswer, entry: Entry, content: Content
) -> AsyncIterator[ModelEvent]:
    """The events of an answer, as the client may see them."""
    events = reading.events(plan.upstream.api, upstream, streamed=plan.streams)
    if content.changes_answers:
        events = content.events(events, entry.note_found)
    changed = tools.changed
    async for event in events:
        if type(event) is Usage:
            entry.note(event)
        elif type(event) is Finish:
            entry.finish = event.reason
        yield tools.restored(event) if changed else event


async def _passing(plan: Plan, upstream: RelayAnswer, entry: Entry) -> AsyncIterator[bytes]:
    watch = plan.client.watch()
    try:
        async for chunk in upstream:
            if said := watch.see(chunk):
                yield said
    except RightseatError as e:  # cut off, or out of time
        if not watch.whole:
            yield plan.client.broken(e)
            raise StreamBrokenError(str(e)) from e
    finally:
        entry.note(watch.usage)
    rest = watch.eof()
    entry.note(watch.usage)
    if not watch.whole:
        failure: ProtocolError | None = getattr(watch, "failure", None)
        yield plan.client.broken(failure or reading.cut())
        raise StreamBrokenError(CUT)
    if rest:
        yield rest


async def _translated(plan: Plan, upstream: RelayAnswer, entry: Entry, content: Content) -> AsyncIterator[bytes]:
    assert plan.tools is not None
    tools = plan.tools
    encoder = plan.client.encoder(plan.name, plan.body, tools.request)
    if head := encoder.start():
        yield head
    try:
        async for event in _events(plan, tools, upstream, entry, content):
            if data := encoder.encode(event):
                yield data
    except RightseatError as e:
        yield plan.client.broken(e)
        raise StreamBrokenError(str(e)) from e
    yield encoder.end()


def _read_as_chat(plan: Plan, data: bytes) -> bytes:
    """A body without choices, as newer Claude models have sent it on the chat endpoint."""
    return plan.client.whole(fold(reading.whole(plan.upstream.api, data)), plan.name, plan.body)
