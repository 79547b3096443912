"""`/v1/messages`: Anthropic's dialect in front, what the model speaks behind.

A model that serves `/v1/messages` itself gets the client's bytes and gives its own; any other is asked over `/chat/completions`, and
what it says is told in Anthropic's events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from rightseat.chat import ChatRequest, ModelEvent, fold
from rightseat.errors import RightseatError, TransportError, UpstreamError
from rightseat.gateway.asgi import Receive, Request, Send, StreamBrokenError, respond, stream
from rightseat.gateway.chat import PATH as CHAT_PATH
from rightseat.gateway.chat import resolve
from rightseat.gateway.errors import anthropic_body
from rightseat.log import logger
from rightseat.transport.http import HttpStream
from rightseat.upstream.accounts import conversation_of
from rightseat.upstream.copilot import Copilot
from rightseat.upstream.headers import has_image, initiator_of
from rightseat.upstream.models import Model
from rightseat.wire import anthropic, openai_chat
from rightseat.wire.body import object_with_model
from rightseat.wire.openai_stream import ChunkError, ChunkReader
from rightseat.wire.sse import encode_sse

NATIVE_PATH = "/v1/messages"
_CUT = "stream disconnected before completion"


class MessagesFace:
    """The endpoint.

    Args:
        copilot: who answers.
        ping_seconds: see Settings.
    """

    def __init__(self, copilot: Copilot, ping_seconds: float) -> None:
        self._copilot = copilot
        self._ping_seconds = ping_seconds

    async def count(self, request: Request, send: Send) -> None:
        """`/v1/messages/count_tokens`: an estimate, on the high side."""
        body = object_with_model(request.body)
        tokens = anthropic.estimate_tokens(anthropic.decode_request(body))
        await respond(send, 200, msgspec.json.encode({"input_tokens": tokens}))

    async def __call__(self, request: Request, receive: Receive, send: Send, request_id: str) -> None:
        """Answer a request. What is wrong before the answer begins is raised."""
        body = object_with_model(request.body)
        model = await resolve(self._copilot, body["model"])
        initiator = initiator_of(body.get("messages") or (), request.headers.get("x-initiator"))
        vision = has_image(body.get("messages"))
        headers = [(b"request-id", request_id.encode())]
        logger.debug("messages %s: model %s, initiator %s, vision %s", request_id, body["model"], initiator, vision)
        if model is not None and NATIVE_PATH in model.endpoints:
            data = request.body if model.id == body["model"] else msgspec.json.encode({**body, "model": model.id})
            path, streams = NATIVE_PATH, bool(body.get("stream"))
        else:
            chat = anthropic.decode_request(body)
            path, streams = CHAT_PATH, chat.stream or (model is not None and model.streaming is True)
            data = openai_chat.encode_request(fitted(chat, model, stream=streams))
        upstream = await self._copilot.open(
            path,
            data,
            model=model.id if model else body["model"],
            initiator=initiator,
            vision=vision,
            stream=streams,
            conversation=conversation_of(request.headers, body),
            request_id=request_id,
        )
        try:
            if path == NATIVE_PATH:
                pieces = native(upstream)
            else:
                pieces = translated(upstream, body["model"], anthropic.estimate_tokens(chat))
            if body.get("stream"):
                await stream(
                    send,
                    receive,
                    pieces,
                    [*headers, (b"cache-control", b"no-cache")],
                    anthropic.PING,
                    self._ping_seconds,
                )
            elif path == NATIVE_PATH:
                await respond(send, 200, await upstream.read(), headers)
            else:
                await respond(send, 200, await whole(upstream, body["model"], streamed=streams), headers)
        finally:
            await upstream.aclose()


def fitted(chat: ChatRequest, model: Model | None, *, stream: bool) -> ChatRequest:
    """The request as the model takes it: its own id, and no more output than it can give."""
    extra = dict(chat.extra)
    if model is not None and model.max_output_tokens and extra.get("max_tokens", 0) > model.max_output_tokens:
        extra["max_tokens"] = model.max_output_tokens
    if model is not None and model.id.startswith(("gpt-5", "o1", "o3", "o4")) and "max_tokens" in extra:
        extra["max_completion_tokens"] = extra.pop("max_tokens")  # these refuse the older name
    return msgspec.structs.replace(chat, model=model.id if model else chat.model, stream=stream, extra=extra)


async def events_of(upstream: HttpStream) -> AsyncIterator[ModelEvent]:
    """The chat events of an answer.

    Raises:
        UpstreamError: it held an error, or ended in the middle.
    """
    reader = ChunkReader()
    try:
        async for chunk in upstream.chunks():
            for event in reader.feed(chunk):
                yield event
        left = reader.feed_eof()
    except ChunkError as e:
        raise UpstreamError(502, str(e), code=e.code) from e
    except TransportError as e:
        if not reader.whole:
            raise UpstreamError(408, _CUT, code="stream_disconnected") from e
        left = reader.feed_eof()
    if not reader.whole:
        raise UpstreamError(408, _CUT, code="stream_disconnected")
    for event in left:
        yield event


async def translated(upstream: HttpStream, model: str, estimate: int) -> AsyncIterator[bytes]:
    """A chat stream as Anthropic's.

    Raises:
        StreamBrokenError: it ended in the middle. The client has been told by an error event.
    """
    encoder = anthropic.EventEncoder(model, estimate)
    yield encoder.start()
    try:
        async for event in events_of(upstream):
            if data := encoder.encode(event):
                yield data
    except UpstreamError as e:
        yield _broken(e)
        raise StreamBrokenError(e.message) from e
    yield encoder.end()


async def whole(upstream: HttpStream, model: str, *, streamed: bool) -> bytes:
    """A chat answer as one Anthropic body. Raises UpstreamError when it broke."""
    if streamed:
        done = fold([event async for event in events_of(upstream)])
    else:
        reader = ChunkReader()
        data = await upstream.read()
        done = fold([*reader.feed(encode_sse(data.replace(b"\n", b" "))), *reader.feed_eof()])
    return anthropic.encode_completion(done, model)


async def native(upstream: HttpStream) -> AsyncIterator[bytes]:
    """An Anthropic stream as it comes.

    Raises:
        StreamBrokenError: it ended before `message_stop`. The client has been told by an error event.
    """
    tail = b""
    try:
        async for chunk in upstream.chunks():
            tail = (tail + chunk)[-512:]
            yield chunk
    except TransportError as e:
        if b'"message_stop"' not in tail:
            yield _broken(e)
            raise StreamBrokenError(str(e)) from e
    if b'"message_stop"' not in tail and b'"error"' not in tail:
        error = UpstreamError(408, _CUT, code="stream_disconnected")
        yield _broken(error)
        raise StreamBrokenError(error.message)


def _broken(error: RightseatError) -> bytes:
    return encode_sse(anthropic_body(error), b"error")
