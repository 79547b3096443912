"""`/v1/responses` over a WebSocket, as Codex and the Copilot CLI use it: one connection is one conversation.

A client sends `response.create` frames and gets each event of the answer as a frame. The connection remembers its last answer, so that
`previous_response_id` and the new items are enough for the next request; upstream is told everything each time and keeps nothing.
A frame with `generate: false` only prepares: it is remembered and answered at once. One request is under way at a time.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from rightseat.errors import RightseatError, UpstreamError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.endpoints.conversation import Face
from rightseat.gateway.http.asgi import Receive, Request, Scope, Send, StreamBrokenError, address_of
from rightseat.gateway.observe.request_log import trace_of
from rightseat.gateway.pipeline.response import pieces
from rightseat.log import logger
from rightseat.wire.body import BadRequestError, json_object
from rightseat.wire.dialect import Envelope
from rightseat.wire.dialects import RESPONSES
from rightseat.wire.errors import status_of
from rightseat.wire.openai_responses.encode import ResponseEncoder
from rightseat.wire.openai_responses.errors import error_frame
from rightseat.wire.openai_responses.read import is_ending
from rightseat.wire.sse import SseDecoder

_WAITING = 4  # frames that may wait while an answer is under way
_CLOSE_BROKEN = 1011  # RFC 6455, section 7.4.1: an unexpected condition
_NOT_OF_A_RESPONSE = ("type", "generate", "stream", "background", "previous_response_id", "initiator")


class Conversations:
    """The endpoint.

    Args:
        face: the same over HTTP.
        access: who may ask.
    """

    def __init__(self, face: Face, access: Access) -> None:
        self._face = face
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection until the client leaves."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        await receive()  # websocket.connect
        try:
            caller = await self._access.authenticator.authenticate(headers, address_of(scope), "chat")
            self._access.authorize.check_scope(caller, "chat")
        except RightseatError as e:
            await _refuse(scope, send, e)
            return
        await send({"type": "websocket.accept"})
        frames: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        conversation = _Conversation(self._face, lambda: self._entered(caller), headers, send)
        serving = asyncio.ensure_future(conversation.serve(frames))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                data = message.get("bytes") or (message.get("text") or "").encode()
                putting = asyncio.ensure_future(frames.put(data))
                await asyncio.wait((putting, serving), return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    putting.cancel()
                    break
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _entered(self, caller: Caller) -> Caller:
        """The caller now, with one more request."""
        caller = self._access.authenticator.still(caller)
        self._access.authorize.check_scope(caller, "chat")
        await self._access.admission.enter(caller)
        return caller


async def _refuse(scope: Scope, send: Send, error: RightseatError) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    body, headers = RESPONSES.error_body(error, ""), RESPONSES.error_headers(error, str(uuid.uuid4()))
    start = {"status": status_of(error), "headers": [(b"content-type", b"application/json"), *headers]}
    await send({"type": "websocket.http.response.start", **start})
    await send({"type": "websocket.http.response.body", "body": body})


class _Conversation:
    """One connection: what was said last, and the answer that is under way."""

    def __init__(
        self, face: Face, caller: Callable[[], Awaitable[Caller]], headers: dict[str, str], send: Send
    ) -> None:
        self._face = face
        self._caller = caller
        self._trace = trace_of(headers)
        self._headers = headers
        self._send = send
        self._last_id = ""
        self._said: list[Any] = []  # all items so far, the last answer's included

    async def serve(self, frames: asyncio.Queue[bytes | None]) -> None:
        """Answer frames, one after another."""
        while (frame := await frames.get()) is not None:
            request_id = str(uuid.uuid4())
            try:
                await self._answer(frame, request_id)
            except StreamBrokenError:
                # The client has been told; what would follow here could be taken for the rest of that answer.
                await self._send({"type": "websocket.close", "code": _CLOSE_BROKEN})
                return
            except RightseatError as e:
                logger.info("%s websocket: %s", request_id, e)
                await self._say(_error_frame(e, request_id))
            except Exception:
                logger.exception("%s websocket: a fault of the gateway", request_id)
                await self._send({"type": "websocket.close", "code": _CLOSE_BROKEN})
                return

    async def _answer(self, frame: bytes, request_id: str) -> None:
        given = json_object(frame)
        if given.get("type") != "response.create":
            raise BadRequestError.at("type", "must be response.create")
        items = self._all_items(given)
        body = {name: value for name, value in given.items() if name not in _NOT_OF_A_RESPONSE}
        body |= {"input": items, "stream": True}
        if given.get("generate") is False:
            await self._prepare(body)
            return
        headers = dict(self._headers)
        if isinstance(given.get("initiator"), str):
            headers.setdefault("x-initiator", given["initiator"])
        request = Request(
            "POST", "/v1/responses", headers, msgspec.json.encode(body), caller=await self._caller(), trace=self._trace
        )
        made = await self._face.plan(request)
        async with self._face.asked(made, request, request_id) as (entry, upstream):
            decoder = SseDecoder()
            async for piece in pieces(made, upstream, entry, self._face.content):
                if not entry.pieces:
                    entry.first()
                entry.pieces += 1
                for event in decoder.feed(piece):
                    if event.data.strip() != b"[DONE]":
                        await self._pass(event.data, items)

    def _all_items(self, given: dict[str, Any]) -> list[Any]:
        new = given.get("input")
        new = [{"type": "message", "role": "user", "content": new}] if isinstance(new, str) else new or []
        if not isinstance(new, list):
            raise BadRequestError.at("input", "must be text or a list of items")
        before = given.get("previous_response_id")
        if not before:
            return new
        if before != self._last_id:
            raise UpstreamError(
                400,
                f"previous_response_id: {before!r} is not the last answer on this connection",
                code="previous_response_not_found",
            )
        return [*self._said, *new]

    async def _prepare(self, body: dict[str, Any]) -> None:
        encoder = ResponseEncoder(Envelope(str(body.get("model") or ""), body))
        encoder.start()
        response = encoder.response
        await self._say(msgspec.json.encode({"type": "response.created", "sequence_number": 0, "response": response}))
        response = {**response, "status": "completed", "completed_at": int(time.time())}
        await self._say(msgspec.json.encode({"type": "response.completed", "sequence_number": 1, "response": response}))
        self._last_id, self._said = str(response["id"]), body["input"]

    async def _pass(self, data: bytes, items: list[Any]) -> None:
        if is_ending(data):
            value = msgspec.json.decode(data)
            response = value.get("response") if isinstance(value, dict) else None
            if isinstance(response, dict) and value.get("type") in ("response.completed", "response.incomplete"):
                output = response.get("output")
                self._last_id = str(response.get("id"))
                self._said = [*items, *(output if isinstance(output, list) else ())]
        await self._say(data)

    async def _say(self, data: bytes) -> None:
        await self._send({"type": "websocket.send", "text": data.decode("utf-8", "replace")})


def _error_frame(error: RightseatError, request_id: str) -> bytes:
    headers = {name.decode(): value.decode() for name, value in RESPONSES.error_headers(error, request_id)}
    return error_frame(error, headers)
