"""`/responses` over a WebSocket: one request after another, each event a frame, quota in the last one.

What came before on the same connection is known by `previous_response_id`, and nowhere else. Errors are nested, as the real one has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from rightseat.handler import Handler
from rightseat.json_types import Json, JsonObject
from rightseat.simulator.asgi_types import Message, Receive, Send
from rightseat.simulator.dialects import RESPONSES_API
from rightseat.simulator.faults import Fault, FaultyReply, SimulatedCutError
from rightseat.simulator.model import SimulatedError
from rightseat.simulator.quirks import Quirks, QuirkyEncoder
from rightseat.wire.body import BadRequestError
from rightseat.wire.sse import SseDecoder


class Conversation:
    """One connection.

    Args:
        model: who answers.
        quirks: what is odd about the answers.
        quota: the quota snapshots at this moment.
        send: ASGI's.
    """

    def __init__(self, model: Handler, quirks: Quirks, quota: Callable[[], JsonObject], send: Send) -> None:
        self._model = model
        self._quirks = quirks
        self._quota = quota
        self._send = send
        self._last_id = ""
        self._said: list[Json] = []

    async def serve(self, receive: Receive) -> None:
        """Answer frames until the client leaves."""
        await receive()
        await self._send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            try:
                await self._answer(_create_of(message.get("text") or message.get("bytes") or ""))
            except BadRequestError as e:
                await self._error("bad_request", str(e))
            except SimulatedError as e:
                await self._error(e.error.code or "simulated_error", e.error.message)
            except SimulatedCutError:
                await self._send({"type": "websocket.close", "code": 1011})
                return

    async def _answer(self, given: JsonObject) -> None:
        items = given.get("input")
        items = [{"type": "message", "role": "user", "content": items}] if isinstance(items, str) else items or []
        if before := given.pop("previous_response_id", None):
            if before != self._last_id:
                await self._error("previous_response_not_found", f"Previous response with id '{before}' not found.")
                return
            items = [*self._said, *items]
        body = json.dumps({**given, "input": items, "stream": True}).encode()
        request = RESPONSES_API.decode(body)
        reply = await self._model(request)
        fault = reply.fault if isinstance(reply, FaultyReply) else Fault()
        encoder = RESPONSES_API.encoder(request, body)
        if self._quirks.any:
            encoder = QuirkyEncoder(encoder, self._quirks, RESPONSES_API.name)
        decoder = SseDecoder()

        async def frames(message: Message) -> None:
            for event in decoder.feed(message["body"]):
                await self._frame(json.loads(event.data), items)

        out = fault.wrap(frames)
        async with reply:
            await out(encoder.start())
            async for event in reply:
                await out(encoder.encode(RESPONSES_API.own(event)))
            await out(encoder.end())

    async def _frame(self, value: JsonObject, items: list[Json]) -> None:
        if value["type"] == "response.completed":
            response = value["response"]
            self._last_id, self._said = response["id"], [*items, *response["output"]]
            value["copilot_quota_snapshots"] = self._quota()
        await self._send({"type": "websocket.send", "text": json.dumps(value)})

    async def _error(self, code: str, message: str) -> None:
        frame = {"type": "error", "error": {"code": code, "message": message}}
        await self._send({"type": "websocket.send", "text": json.dumps(frame)})


def _create_of(frame: str | bytes) -> JsonObject:
    try:
        given = json.loads(frame)
    except ValueError:
        raise BadRequestError("the frame is not JSON") from None
    if not isinstance(given, dict) or given.pop("type", None) != "response.create":
        raise BadRequestError("type: must be response.create")
    given.pop("initiator", None)
    return given
