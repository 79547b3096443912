"""The endpoints of conversations, one object a dialect: a request is taken in, planned, asked, and answered."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TypeAlias

import msgspec
from msgspec import Struct

from rightseat.accounts.selection import conversation_of
from rightseat.backends.base import UpstreamRequest
from rightseat.chat import Answer, Estimate, Meta, Reply
from rightseat.gateway.access.estimate import estimate
from rightseat.gateway.http.exchange import EventSink
from rightseat.gateway.observe.content_log import ContentLog
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.intake import Intake, Taken
from rightseat.gateway.pipeline.plan import Converse, Options, Plan, Relay, plan
from rightseat.gateway.pipeline.pushing import Hear, pushed
from rightseat.gateway.pipeline.response import (
    Watched,
    conversed,
    conversed_whole,
    envelope_of,
    relayed,
    relayed_whole,
)
from rightseat.gateway.pipeline.second_try import SecondTry
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request
from rightseat.log import logger
from rightseat.wire.dialect import Dialect

Fields: TypeAlias = list[tuple[bytes, bytes]]


class Conversing(Struct, frozen=True):
    """What all conversations of a gateway share.

    Attributes:
        upstream: who answers.
        intake: takes bodies in.
        content: what may be said.
        options: of the plan.
        ping_seconds: silence after which a stream is kept alive; 0: never.
        log_content: what is said is logged, too.
    """

    upstream: Upstream
    intake: Intake
    content: Content
    options: Options
    ping_seconds: float
    log_content: bool = False


class OpenAnswer(Struct, frozen=True):
    """An answer whose head is there.

    Attributes:
        answer: to be closed when it is over.
        pieces: the answer as a stream for the client: whole events.
        whole: the answer as one body for the client.
        push: the answer as a stream, pushed into a sink; None: it can only be pulled.
    """

    answer: Answer[bytes] | Reply
    pieces: Callable[[], AsyncGenerator[bytes, None]]
    whole: Callable[[], Awaitable[bytes]]
    push: Callable[[EventSink, Hear | None], Awaitable[None]] | None = None


class ConversationEndpoint:
    """An endpoint.

    Args:
        dialect: what is spoken here.
        shared: see Conversing.
    """

    def __init__(self, dialect: Dialect, shared: Conversing) -> None:
        self._dialect = dialect
        self._shared = shared
        self._second_try = SecondTry(shared.intake.workers)

    async def __call__(self, request: Request) -> None:
        """Answer a request. What is wrong is raised."""
        await self._answer(await self._shared.intake.take(request), request)

    async def _answer(self, taken: Taken, request: Request) -> None:
        workers, owner = self._shared.intake.workers, request.exchange.owner
        made, meta = await workers.run(owner, len(taken.raw), partial(self._planned, taken, request))
        self._note(made, request)
        fields = self._fields(made, request)
        if self._dialect.prepared is not None and taken.body.get("generate") is False:
            async with request.exchange.stream(fields) as write:
                await write(self._dialect.prepared(envelope_of(made)))
            return
        spoken = self._content_log(made, request)
        asked = await self._ask(made, meta, request, fields)
        async with asked.answer:
            if made.wants_stream:
                await self._stream(made, request, asked, fields, spoken)
                return
            asked.answer.hold = request.exchange.hold
            body = await asked.whole()
        if spoken is not None:
            spoken.hear(body)
            spoken.end()
        await request.exchange.respond(200, body, fields)

    def _planned(self, taken: Taken, request: Request) -> tuple[Plan, Meta]:
        made = plan(self._dialect, taken, self._shared.options, request.headers)
        return made, self._meta(made, taken, request)

    async def _ask(self, made: Plan, meta: Meta, request: Request, fields: Fields) -> OpenAnswer:
        """The head of the answer. Adds to the fields of the head what was left out on a second try."""
        upstream, second = self._shared.upstream, self._second_try

        def note(field: str) -> None:
            fields.append(_warning(f"not supported and left out: {field}"))

        apart = (made.upstream, request.exchange.owner, note)
        match made.how:
            case Relay(data):
                asked = UpstreamRequest(
                    made.upstream.path, data, made.model, made.vision, made.streams, made.intent, meta
                )
                relay = await second.ask(upstream.relay, asked, *apart)
                watched = Watched(made, relay) if made.wants_stream else None
                pieces, whole = partial(relayed, made, relay, watched), partial(relayed_whole, made, relay)
                may_push = relay.source is not None and relay.is_stream and relay.can_be_pushed
                return OpenAnswer(
                    relay, pieces, whole, partial(pushed, relay, watched) if may_push and watched else None
                )
            case Converse(chat) as how:
                chat = msgspec.structs.replace(chat, meta=meta)
                reply = await second.ask(upstream.handle, chat, *apart)
                given = (made, how, reply, self._shared.content, request.record)
                return OpenAnswer(reply, partial(conversed, *given), partial(conversed_whole, *given))

    async def _stream(
        self,
        made: Plan,
        request: Request,
        asked: OpenAnswer,
        fields: Fields,
        spoken: ContentLog | None,
    ) -> None:
        ping, seconds = made.client.ping, self._shared.ping_seconds
        async with request.exchange.stream([(b"cache-control", b"no-cache"), *fields], ping, seconds) as write:
            hear = spoken.hear if spoken is not None else None
            try:
                if (sink := request.exchange.sink) is not None and asked.push is not None:
                    await asked.push(sink, hear)
                else:
                    await _pulled(asked.pieces(), write, hear)
            finally:
                if spoken is not None:
                    spoken.end()

    def _content_log(self, made: Plan, request: Request) -> ContentLog | None:
        if not self._shared.log_content:
            return None
        return ContentLog(made.client, made.body, request.id, stream=made.wants_stream)

    def _meta(self, made: Plan, taken: Taken, request: Request) -> Meta:
        return Meta(
            caller=request.caller.id,
            request_id=request.id,
            conversation=conversation_of(request.headers, made.body),
            estimate=_estimated(made, taken),
            initiator=made.began.initiator,
            headers={**made.upstream.headers, **made.upstream.passed_headers(request.headers)},
            on_sent=request.record.sent,
        )

    def _note(self, made: Plan, request: Request) -> None:
        record = request.record
        record.upstream, record.stream, record.initiator = made.upstream.name, made.wants_stream, made.began.initiator
        record.because = made.began.because
        record.vision, record.left_out = made.vision, made.dropped
        logger.debug(
            "%s: %s %s over %s, initiator %s (%s), vision %s, stream %s",
            request.id, made.client.name, made.model, made.upstream.name, made.began.initiator, made.began.because, made.vision, made.streams,
        )  # fmt: skip

    def _fields(self, made: Plan, request: Request) -> Fields:
        fields = [(made.client.id_header, request.id.encode())]
        if made.dropped:
            names = ", ".join(made.dropped)
            logger.warning("%s: left out, because the model does not take it: %s", request.id, names)
            fields.append(_warning(f"not supported and left out: {names}"))
        if made.changed:
            what = "; ".join(made.changed)
            logger.warning("%s: changed, because the model takes it otherwise: %s", request.id, what)
            fields.append(_warning(f"changed: {what}"))
        return fields


def _warning(text: str) -> tuple[bytes, bytes]:
    text = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)
    return b"warning", f'299 rightseat "{text}"'.encode("ascii")


async def _pulled(
    pieces: AsyncGenerator[bytes, None], write: Callable[[bytes], Awaitable[None]], hear: Hear | None
) -> None:
    """All pieces, one after another, to the client."""
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if hear is not None:
                hear(piece)
            await write(piece)


def _estimated(made: Plan, taken: Taken) -> Estimate:
    images = made.client.images(made.body) if made.vision else (0, 0)
    limit = taken.model.prompt_limit if taken.model is not None else None
    return estimate(len(taken.raw), made.reserved_output, images=images, prompt_limit=limit)
