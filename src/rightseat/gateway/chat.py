"""`/v1/chat/completions`: OpenAI's dialect on both sides, so bytes pass as they are.

A streamed answer goes through byte for byte. A whole one is asked for as a stream where the model streams, and folded. This face
decides which model is meant, who began the turn and whether there is an image; it never translates.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from rightseat.errors import RightseatError, TransportError, UpstreamError
from rightseat.gateway.asgi import Receive, Request, Send, StreamBrokenError, respond, stream
from rightseat.gateway.errors import error_body
from rightseat.log import logger
from rightseat.transport.http import HttpStream
from rightseat.upstream.accounts import conversation_of
from rightseat.upstream.copilot import Copilot
from rightseat.upstream.headers import has_image, initiator_of
from rightseat.upstream.models import Model
from rightseat.wire.body import BadRequestError, object_with_model
from rightseat.wire.openai_stream import ChunkError, ChunkFold, StreamWatch
from rightseat.wire.sse import DONE, encode_sse

PATH = "/chat/completions"
PING = b": ping\n\n"


class ChatFace:
    """The endpoint.

    Args:
        copilot: who answers.
        ping_seconds: see Settings.
    """

    def __init__(self, copilot: Copilot, ping_seconds: float) -> None:
        self._copilot = copilot
        self._ping_seconds = ping_seconds

    async def __call__(self, request: Request, receive: Receive, send: Send, request_id: str) -> None:
        """Answer a request. What is wrong before the answer begins is raised."""
        body = read_body(request.body)
        model = await resolve(self._copilot, body["model"])
        wants_stream = bool(body.get("stream"))
        streams = wants_stream or (model is not None and model.streaming is True)
        data = sent_body(request.body, body, model, stream=streams)
        initiator = initiator_of(body["messages"], request.headers.get("x-initiator"))
        vision = has_image(body["messages"])
        logger.debug(
            "chat %s: model %s, initiator %s, vision %s, stream %s",
            request_id,
            body["model"],
            initiator,
            vision,
            wants_stream,
        )
        upstream = await self._copilot.open(
            PATH,
            data,
            model=model.id if model else body["model"],
            initiator=initiator,
            vision=vision,
            stream=streams,
            conversation=conversation_of(request.headers, body),
            request_id=request_id,
        )
        headers = [(b"x-request-id", request_id.encode())]
        try:
            if wants_stream:
                pieces = pass_through(upstream)
                await stream(
                    send, receive, pieces, [*headers, (b"cache-control", b"no-cache")], PING, self._ping_seconds
                )
            else:
                await respond(send, 200, await whole(upstream, streamed=streams), headers)
        finally:
            await upstream.aclose()


async def resolve(copilot: Copilot, name: str) -> Model | None:
    """The model that a client means; None while only the seed list is known.

    Raises:
        UpstreamError: the account has no such model (404).
    """
    registry = await copilot.registry()
    model = registry.resolve(name)
    if model is None and not registry.seed:
        raise UpstreamError(
            404, f"the model {name!r} does not exist or is not enabled for this account", code="model_not_found"
        )
    return model


def read_body(data: bytes) -> dict[str, Any]:
    """The request as a JSON object.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    body = object_with_model(data)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages: must be a list with at least one message")
    for i, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError(f"messages[{i}]: must be an object with a role")
    return body


def sent_body(data: bytes, body: dict[str, Any], model: Model | None, *, stream: bool) -> bytes:
    """What goes upstream: the client's own bytes, unless the model has another id or the answer is to be streamed."""
    changes: dict[str, Any] = {}
    if model is not None and model.id != body["model"]:
        changes["model"] = model.id
    if stream != bool(body.get("stream")):
        changes["stream"] = stream
    return msgspec.json.encode({**body, **changes}) if changes else data


async def pass_through(upstream: HttpStream) -> AsyncIterator[bytes]:
    """The stream as it comes, with `[DONE]` at its end, should upstream have forgotten it.

    Raises:
        StreamBrokenError: it ended in the middle. The client has been told by an error event.
    """
    watch = StreamWatch()
    try:
        async for chunk in upstream.chunks():
            watch.see(chunk)
            yield chunk
    except TransportError as e:
        if not watch.whole:
            yield _broken(e)
            raise StreamBrokenError(str(e)) from e
    if not watch.whole:
        error = UpstreamError(408, "stream disconnected before completion", code="stream_disconnected")
        yield _broken(error)
        raise StreamBrokenError(error.message)
    if not watch.done:
        yield DONE


def _broken(error: RightseatError) -> bytes:
    return encode_sse(error_body(error))


async def whole(upstream: HttpStream, *, streamed: bool) -> bytes:
    """The whole answer as one body, folded where it came as a stream.

    Raises:
        UpstreamError: the stream held an error, or ended in the middle.
    """
    if not streamed:
        return await upstream.read()
    fold = ChunkFold()
    try:
        async for chunk in upstream.chunks():
            fold.feed(chunk)
        fold.feed_eof()
    except ChunkError as e:
        raise UpstreamError(502, str(e), code=e.code) from e
    except TransportError as e:
        if not fold.whole:
            raise UpstreamError(408, "stream disconnected before completion", code="stream_disconnected") from e
    if not fold.whole:
        raise UpstreamError(408, "stream disconnected before completion", code="stream_disconnected")
    return msgspec.json.encode(fold.completion())
