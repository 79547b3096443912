"""The endpoints of conversations, one object a dialect: a request comes in, is planned, sent, and answered."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from rightseat.accounts.selection import conversation_of
from rightseat.backends.base import RelayAnswer, UpstreamRequest
from rightseat.backends.copilot import CopilotBackend
from rightseat.chat import Meta
from rightseat.errors import RightseatError, UpstreamError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.admission import Reservation
from rightseat.gateway.access.caller import ANONYMOUS
from rightseat.gateway.access.estimate import estimate
from rightseat.gateway.access.refusals import counted
from rightseat.gateway.config import Settings
from rightseat.gateway.http.asgi import Receive, Request, Send, respond, stream
from rightseat.gateway.observe.content_log import ContentLog
from rightseat.gateway.observe.request_log import Entry, Recent
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.plan import Plan, plan
from rightseat.gateway.pipeline.response import pieces, whole
from rightseat.handler import Service
from rightseat.layers.observe import CURRENT
from rightseat.log import logger
from rightseat.wire.body import object_with_model
from rightseat.wire.dialect import Dialect
from rightseat.wire.errors import status_of


class Face:
    """An endpoint.

    Args:
        dialect: what is spoken here.
        copilot: the models.
        ask: who answers.
        settings: see Settings.
        recent: where requests are noted.
        access: who may ask, and how much.
        content: what may be said.
    """

    def __init__(
        self,
        dialect: Dialect,
        copilot: CopilotBackend,
        ask: Service[UpstreamRequest, RelayAnswer],
        settings: Settings,
        recent: Recent,
        access: Access,
        content: Content,
    ) -> None:
        self._dialect = dialect
        self._copilot = copilot
        self._ask = ask
        self._settings = settings
        self._recent = recent
        self._access = access
        self.content = content

    async def __call__(self, request: Request, receive: Receive, send: Send, request_id: str) -> None:
        """Answer a request. What is wrong before the answer begins is raised."""
        made = await self.plan(request)
        spoken = ContentLog(made, request_id) if self._settings.log_content else None
        async with self.asked(made, request, request_id) as (entry, upstream):
            headers = [(self._dialect.id_header, request_id.encode())]
            if made.dropped:
                names = ", ".join(made.dropped)
                logger.warning("%s: left out, because the model does not take it: %s", request_id, names)
                headers.append((b"warning", f'299 rightseat "not supported and left out: {names}"'.encode()))
            if made.wants_stream:
                headers.append((b"cache-control", b"no-cache"))
                said = pieces(made, upstream, entry, self.content)
                if spoken is not None:
                    said = _heard(said, spoken)
                ping, seconds = self._dialect.ping, self._settings.ping_seconds
                await stream(send, receive, said, headers, ping, seconds, entry)
            else:
                body = await whole(made, upstream, entry, self.content)
                if spoken is not None:
                    spoken.hear(body)
                    spoken.end()
                await respond(send, 200, body, headers)

    @asynccontextmanager
    async def asked(self, made: Plan, request: Request, request_id: str) -> AsyncIterator[tuple[Entry, RelayAnswer]]:
        """Ask, and whatever happens inside, note how it went, give everything back and book what was used."""
        caller = request.caller or ANONYMOUS
        self._access.authorize.check_model(caller, made.model)
        entry = self._recent.begin(request_id, made, key=caller.id, trace=request.trace)
        token = CURRENT.set(entry)
        grant: Reservation | None = None
        failed: BaseException | None = None
        try:
            reckoned = estimate(made.data, made.output_limit, vision=made.vision)
            grant = await self._access.admission.reserve(caller.id, reckoned)
            upstream = await self.open(made, request, request_id, entry)
            try:
                yield entry, upstream
            finally:
                await upstream.aclose()
        except BaseException as e:
            entry.fail(e, status_of(e) if isinstance(e, RightseatError) else None)
            failed = e
            raise
        finally:
            CURRENT.reset(token)
            if grant is not None:
                grant.settle(
                    usage=entry.usage,
                    is_final=failed is None,
                    received=entry.pieces,
                    reached=entry.head_at is not None or getattr(failed, "reached", True),
                    refused=isinstance(failed, UpstreamError) and entry.head_at is None,
                )
            entry.end()

    async def plan(self, request: Request) -> Plan:
        """What is to be asked.

        Raises:
            BadRequestError: naming the field that is wrong.
            ContentBlockedError: it holds what does not leave here.
            UpstreamError: there is no such model.
        """
        body = object_with_model(request.body)
        inspection = counted(self._access.refusals, self.content.inspect, body)
        raw = request.body
        if inspection.changed:
            body, raw = inspection.body, msgspec.json.encode(inspection.body)
        model = await self._copilot.resolve(body["model"])
        plain = self._settings.custom_tools == "function"
        return plan(
            self._dialect,
            raw,
            body,
            model,
            initiator=request.headers.get("x-initiator"),
            plain=plain,
            drop_tools=self._settings.unsupported_tools == "drop",
            decoded=self.content.changes_answers,
            inspection=inspection,
        )

    async def open(self, made: Plan, request: Request, request_id: str, entry: Entry) -> RelayAnswer:
        """Ask. A refusal because of encrypted reasoning is met once by leaving it out."""
        logger.debug(
            "%s: %s %s over %s, initiator %s, vision %s, stream %s",
            request_id,
            made.client.name,
            made.model,
            made.upstream.name,
            made.initiator,
            made.vision,
            made.streams,
        )
        try:
            upstream = await self._send(made, made.data, request, request_id)
        except UpstreamError as e:
            if not _about_reasoning(e):
                raise
            logger.warning("%s: sent again without encrypted reasoning: %s", request_id, e)
            body = made.upstream.without_reasoning(msgspec.json.decode(made.data))
            upstream = await self._send(made, msgspec.json.encode(body), request, request_id)
        entry.account, entry.head_at = upstream.account, time.monotonic()
        return upstream

    async def _send(self, made: Plan, data: bytes, request: Request, request_id: str) -> RelayAnswer:
        extra = {**made.upstream.headers, **made.upstream.passed_headers(request.headers)}
        caller = request.caller or ANONYMOUS
        meta = Meta(
            caller=caller.id,
            request_id=request_id,
            conversation=conversation_of(request.headers, made.body),
            initiator=made.initiator,
            headers=extra,
        )
        return await self._ask(
            UpstreamRequest(
                made.upstream.path,
                data,
                made.model,
                vision=made.vision,
                stream=made.streams,
                intent=made.intent,
                meta=meta,
            )
        )


async def _heard(pieces: AsyncIterator[bytes], spoken: ContentLog) -> AsyncIterator[bytes]:
    try:
        async for piece in pieces:
            spoken.hear(piece)
            yield piece
    finally:
        spoken.end()


def _about_reasoning(error: UpstreamError) -> bool:
    """A 400 because reasoning was encrypted for another account or model."""
    text = f"{error.code} {error.message}".lower()
    return error.status == 400 and any(word in text for word in ("encrypted", "signature", "reasoning_opaque"))
