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
from rightseat.errors import RightseatError, TransportError
from rightseat.gateway.http.asgi import StreamBrokenError
from rightseat.gateway.observe.request_log import Entry
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.plan import Plan
from rightseat.wire.dialect import Envelope
from rightseat.wire.errors import CUT, cut
from rightseat.wire.reading import ChunkError
from rightseat.wire.usage import usage_of


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
    envelope = Envelope(plan.name, plan.body)
    if plan.tools is not None:
        events = [event async for event in _events(plan, plan.tools, upstream, entry, content)]
        return plan.client.encode_whole(fold(events), envelope)
    if not plan.streams:
        data, usage = plan.client.whole(await upstream.read(), envelope)
        entry.note(usage)
        return data
    folded = plan.client.fold()
    try:
        async for chunk in upstream:
            folded.feed(chunk)
        folded.feed_eof()
    except ChunkError as e:
        raise reading.inside(e) from e
    except TransportError as e:
        if not folded.complete:
            raise cut() from e
    if not folded.complete:
        raise cut()
    completion = folded.completion()
    entry.note(usage_of(completion.get("usage")) if isinstance(completion, dict) else None)
    return msgspec.json.encode(completion)


async def _events(
    plan: Plan, tools: PlainTools, upstream: RelayAnswer, entry: Entry, content: Content
) -> AsyncIterator[ModelEvent]:
    """The events of an answer, as the client may see them."""
    events = reading.events(plan.upstream, upstream, streamed=plan.streams)
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
    relay = plan.client.relay()
    try:
        async for chunk in upstream:
            if said := relay.feed(chunk):
                yield said
        if rest := relay.eof():
            yield rest
    except RightseatError as e:  # cut off, out of time, or an event that is too large
        if not relay.complete:
            yield plan.client.error_event(e)
            raise StreamBrokenError(str(e)) from e
    finally:
        entry.note(relay.usage)
    if not relay.complete:
        yield plan.client.error_event(cut())
        raise StreamBrokenError(CUT)


async def _translated(plan: Plan, upstream: RelayAnswer, entry: Entry, content: Content) -> AsyncIterator[bytes]:
    assert plan.tools is not None
    tools = plan.tools
    encoder = plan.client.encoder(Envelope(plan.name, plan.body, tools.request))
    if head := encoder.start():
        yield head
    try:
        async for event in _events(plan, tools, upstream, entry, content):
            if data := encoder.encode(event):
                yield data
    except RightseatError as e:
        yield plan.client.error_event(e)
        raise StreamBrokenError(str(e)) from e
    yield encoder.end()
