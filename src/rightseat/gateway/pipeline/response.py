"""From what upstream answers to what the client gets: streamed or whole, passing or written anew.

Everything that goes out is whole events. A stream that breaks is an error that is raised, never a polite end: several clients take a clean
end for a full answer. What the answer used is noted on it, so that its reservation is settled by what was used.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec

from rightseat.backends import reading
from rightseat.backends.base import RelayAnswer
from rightseat.chat import Finish, ModelEvent, Reply, fold
from rightseat.errors import AnswerTooLongError, ProtocolError, TransportError, UpstreamError
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.plan import Converse, Plan
from rightseat.wire.dialect import Envelope, Fold
from rightseat.wire.errors import cut
from rightseat.wire.reading import MAX_FOLD_BYTES, ChunkError

_MOST_TOKENS = MAX_FOLD_BYTES // 4  # of an answer that is held whole
_MOST_EVENTS = 400_000
_SLACK = 1024  # tokens: what frames a short answer is reckoned, too


class ToldError(UpstreamError):
    """Upstream ended its stream with an error that has passed: the client knows already."""

    is_told = True


async def relayed(plan: Plan, answer: RelayAnswer, watched: Watched | None) -> AsyncGenerator[bytes, None]:
    """A stream that passes, whole events at a time.

    Args:
        plan: see Plan.
        answer: the answer.
        watched: watches it; None only for what was not asked for as a stream.

    Raises:
        ToldError, UpstreamError, TransportError: it ended before its time.
    """
    if not answer.is_stream and answer.is_json:
        data = await answer.read()
        events, answer.usage = plan.client.framed(data, envelope_of(plan))
        answer.is_final = answer.usage is not None
        yield events
        return
    assert watched is not None
    relay = watched.relay
    try:
        async for chunk in answer:
            if said := relay.feed(chunk):
                yield said
            if relay.told:
                break
            watched.check()
        if rest := relay.eof():
            yield rest
    except TransportError as e:
        if not relay.complete:
            raise cut() from e
    watched.check_end()


class Watched:
    """A stream that passes, and what it tells: noted on the answer when that is closed, held to what was reserved for it.

    Args:
        plan: see Plan.
        answer: the answer.

    Attributes:
        relay: cuts it at event borders, and watches it.
    """

    __slots__ = ("_answer", "relay")

    def __init__(self, plan: Plan, answer: RelayAnswer) -> None:
        self.relay = plan.client.relay()
        self._answer = answer
        answer.on_close(self._note)

    def check(self) -> None:
        """After each piece. Raises UpstreamError: it is longer than it may be."""
        answer = self._answer
        if answer.limit is not None:
            answer.received, answer.least = max(answer.received, self.relay.received), self.relay.least
            _check_limit(answer)

    def _note(self, _: BaseException | None) -> None:
        """What it used; what its client did not take, too."""
        answer, relay = self._answer, self.relay
        if not relay.complete:
            with contextlib.suppress(ProtocolError):
                relay.feed(answer.untaken())
        answer.received, answer.least = max(answer.received, relay.received), relay.least
        if relay.usage is not None:
            answer.usage, answer.is_final = relay.usage, relay.is_final

    def check_end(self) -> None:
        """At the end. Raises ToldError, UpstreamError: it ended before its time."""
        if self.relay.failed:
            raise ToldError(502, "upstream ended the stream with an error")
        if not self.relay.complete:
            raise cut()


async def relayed_whole(plan: Plan, answer: RelayAnswer) -> bytes:
    """A whole answer that passes; folded where it came as a stream.

    Raises:
        UpstreamError: it held an error, ended in the middle, or is no answer of its kind.
    """
    if not plan.streams or (answer.is_json and not answer.is_stream):
        data = await answer.read()
        body, answer.usage = plan.client.whole(data, envelope_of(plan))
        answer.is_final = answer.usage is not None
        return body
    folded = plan.client.fold()
    try:
        await _fold(answer, folded)
    finally:
        answer.received, answer.least = max(answer.received, folded.received), folded.least
        answer.usage = folded.usage
    answer.is_final = answer.usage is not None and folded.is_final
    return msgspec.json.encode(folded.completion())


async def _fold(answer: RelayAnswer, folded: Fold) -> None:
    try:
        async for chunk in answer:
            folded.feed(chunk)
            if answer.limit is not None:
                answer.received, answer.least = max(answer.received, folded.received), folded.least
                _check_limit(answer)
        folded.feed_eof()
    except ChunkError as e:
        raise reading.inside(e) from e
    except TransportError as e:
        if not folded.complete:
            raise cut() from e
    if not folded.complete:
        raise cut()


def _check_limit(answer: RelayAnswer | Reply) -> None:
    """End an answer that does not keep to what was reserved for it: its key must not use more.

    What it had is counted in events, each a token at least, and reckoned from bytes, which may be twice as many tokens as there were.

    Raises:
        UpstreamError: it has surely more.
    """
    assert answer.limit is not None
    if answer.least > answer.limit or answer.received > 2 * answer.limit + _SLACK:
        error = UpstreamError(502, "the model did not keep to the length that was asked of it", code="output_limit")
        error.reached = True
        raise error


async def conversed(
    plan: Plan, how: Converse, reply: Reply, content: Content, record: RequestRecord
) -> AsyncGenerator[bytes, None]:
    """The events of an answer, written in the client's dialect. Raises what breaks it."""
    encoder = plan.client.encoder(envelope_of(plan, how))
    if head := encoder.start():
        yield head
    async for event in _events(how, reply, content, record):
        if data := encoder.encode(event):
            yield data
    if rest := encoder.end():
        yield rest


async def conversed_whole(plan: Plan, how: Converse, reply: Reply, content: Content, record: RequestRecord) -> bytes:
    """All events of an answer as one body in the client's dialect. Raises what breaks it."""
    events: list[ModelEvent] = []
    async for event in _events(how, reply, content, record):
        events.append(event)
        if reply.received > _MOST_TOKENS or len(events) > _MOST_EVENTS:
            raise AnswerTooLongError(MAX_FOLD_BYTES)
    return plan.client.encode_whole(fold(events), envelope_of(plan, how))


async def _events(how: Converse, reply: Reply, content: Content, record: RequestRecord) -> AsyncIterator[ModelEvent]:
    """The events of an answer, as the client may see them."""
    events = content.events(aiter(reply), record.note_found) if content.changes_answers else aiter(reply)
    tools = how.tools if how.tools is not None and how.tools.changed else None
    async for event in events:
        if type(event) is Finish:
            record.finish = event.reason
        if reply.limit is not None:
            _check_limit(reply)
        yield event if tools is None else tools.restored(event)


def envelope_of(plan: Plan, how: Converse | None = None) -> Envelope:
    """What the answer says besides what the model said."""
    return Envelope(plan.name, plan.body, how.request if how is not None else None)
