"""Handlers that ask over HTTP: the Copilot API with an account, or any server that speaks OpenAI's chat dialect with a key.

A gateway is such a server; so is any other. Answers are asked for as streams and read as chat events; the connection is given
back when the answer is over, however it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from rightseat.accounts.hosts import clean_url
from rightseat.backends import reading
from rightseat.backends.copilot import Ask, Copilot, error_of
from rightseat.backends.fitting import api_for, fitted, has_image, initiator, intent
from rightseat.backends.registry import Model
from rightseat.chat import ChatRequest, ModelEvent, Reply
from rightseat.chat.plain import PlainTools
from rightseat.errors import UpstreamError
from rightseat.transport.http.base import HttpRequest, HttpSender, HttpStream
from rightseat.wire.apis import CHAT, Api


class CopilotHandler:
    """The Copilot API as a handler.

    Args:
        copilot: who answers; its accounts, tokens and models.
    """

    def __init__(self, copilot: Copilot) -> None:
        self._copilot = copilot

    async def __call__(self, request: ChatRequest) -> Reply:
        """See Handler.

        Raises:
            BadRequestError: it cannot be expressed for this model.
            NotLoggedInError, LoginError, UpstreamError, TransportError: see Copilot.open.
        """
        model = await resolve(self._copilot, request.model)
        api = api_for(model)
        streams = model is None or model.streaming is not False
        plain = PlainTools(fitted(request, model, api, stream=streams), text_tools=api.text_tools)
        stream = await self._copilot.open(
            Ask(
                api.path,
                api.encode(plain.request),
                plain.request.model,
                initiator(request),
                vision=has_image(request),
                stream=streams,
                intent=intent(request),
                extra=api.headers,
                meta=request.meta,
            )
        )
        return reply_of(api, stream, plain, streamed=streams)


async def resolve(copilot: Copilot, name: str) -> Model | None:
    """The model that somebody means; None while only the seed list is known.

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


class CompatibleHandler:
    """A server that speaks OpenAI's chat dialect as a handler.

    Args:
        sender: sends requests.
        base_url: the address below which `/chat/completions` is.
        api_key: shown as a bearer; "" for none.

    Raises:
        ConfigError: `base_url` is none, or plain HTTP to another machine.
    """

    def __init__(self, sender: HttpSender, base_url: str, api_key: str = "") -> None:
        self._sender = sender
        self._url = clean_url(base_url) + CHAT.path
        self._headers = {"content-type": "application/json", "accept": "text/event-stream"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"

    async def __call__(self, request: ChatRequest) -> Reply:
        """See Handler. Raises UpstreamError: the server refused. TransportError: no answer."""
        asked = fitted(request, None, CHAT, stream=True)
        asked.extra.setdefault("stream_options", {"include_usage": True})
        plain = PlainTools(asked, text_tools=True)
        headers = dict(self._headers)
        if request.meta.request_id:
            headers["x-request-id"] = request.meta.request_id
        if request.meta.conversation:
            headers["x-session-id"] = request.meta.conversation
        stream = await self._sender.open(HttpRequest("POST", self._url, headers, CHAT.encode(plain.request)))
        if stream.status >= 400:
            try:
                raise error_of(stream.status, stream.headers, await stream.read())
            finally:
                await stream.aclose()
        streamed = "event-stream" in stream.headers.get("content-type", "")
        return reply_of(CHAT, stream, plain, streamed=streamed)


def reply_of(api: Api, stream: HttpStream, plain: PlainTools, *, streamed: bool) -> Reply:
    """An HTTP answer as a reply."""
    source: Any = _Source(stream)
    reply = Reply(source)
    reply.through(lambda _: _events(api, stream, plain, streamed=streamed))
    return reply


class _Source:
    """What is closed when a reply is, also one that nobody has read."""

    def __init__(self, stream: HttpStream) -> None:
        self.aclose = stream.aclose


async def _events(api: Api, stream: HttpStream, plain: PlainTools, *, streamed: bool) -> AsyncIterator[ModelEvent]:
    try:
        async for event in reading.events(api, stream, streamed=streamed):
            yield plain.restored(event) if plain.changed else event
    finally:
        await stream.aclose()
