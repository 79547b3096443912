"""Anything that answers chat requests as a backend: scripted models in tests, a Python function as a model.

A body that is posted is decoded, answered and encoded again in its own dialect, so relays and conversations are served alike. Refuses to
know HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from rightseat.backends.asking import Sent
from rightseat.backends.base import Readiness, RelayAnswer, UpstreamRequest
from rightseat.backends.registry import Model, Registry
from rightseat.chat import ChatRequest, Meta, Reply, fold
from rightseat.errors import UpstreamError
from rightseat.handler import as_handler
from rightseat.wire import dialects
from rightseat.wire.body import json_object
from rightseat.wire.dialect import Dialect, Envelope

DEFAULT_MODELS = ("gpt-5", "gpt-4.1", "claude-sonnet-4.5")


class HandlerBackend:
    """A handler as a Backend.

    Args:
        model: a Handler, or a function as `rightseat.handler.as_handler` takes it.
        models: the ids that can be asked; each serves every dialect.
        ready: what `readiness` says.

    Attributes:
        relayed: every body that was posted, oldest first.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        models: Sequence[str] = DEFAULT_MODELS,
        ready: Readiness = Readiness(),  # noqa: B008 - a frozen value
    ) -> None:
        self._handler = as_handler(model)
        paths = tuple(dialect.path for dialect in dialects.ALL)
        self._models = Registry({name: Model(name, name, endpoints=paths) for name in models}, seed=False)
        self._ready = ready
        self.relayed: list[UpstreamRequest] = []

    async def models(self) -> Registry:
        """See Backend."""
        return self._models

    async def relay(self, request: UpstreamRequest) -> RelayAnswer:
        """See Backend. Raises UpstreamError: no dialect is spoken at that path (404); BadRequestError: the body is none."""
        self.relayed.append(request)
        dialect = next((one for one in dialects.ALL if one.path == request.path), None)
        if dialect is None:
            raise UpstreamError(404, f"nothing is served at {request.path}", code="not_found")
        body = json_object(request.body)
        asked = msgspec.structs.replace(dialect.decode(body), meta=request.meta)
        reply = await self.handle(asked)
        envelope = Envelope(request.model, body, asked)
        if not request.stream:
            return _answer(_whole(dialect, envelope, reply), reply, "application/json")
        return _answer(_streamed(dialect, envelope, reply), reply, "text/event-stream")

    async def handle(self, request: ChatRequest) -> Reply:
        """See Backend. Raises what the handler raises."""
        sent = Sent(request.meta)
        with sent:
            sent()
            return await self._handler(msgspec.structs.replace(request, meta=_without_hook(request.meta)))

    async def readiness(self) -> Readiness:
        """See Backend."""
        return self._ready

    async def aclose(self) -> None:
        """See Backend."""


def _answer(pieces: AsyncIterator[bytes], reply: Reply, kind: str) -> RelayAnswer:
    return RelayAnswer(pieces, reply.aclose, headers={"content-type": kind}, account=reply.account)


def _without_hook(meta: Meta) -> Meta:
    """The same, for a handler that may ask a backend in turn: what was told is not told again."""
    return msgspec.structs.replace(meta, on_sent=None) if meta.on_sent is not None else meta


async def _streamed(dialect: Dialect, envelope: Envelope, reply: Reply) -> AsyncIterator[bytes]:
    encoder = dialect.encoder(envelope)
    yield encoder.start()
    async for event in reply:
        if data := encoder.encode(event):
            yield data
    yield encoder.end()


async def _whole(dialect: Dialect, envelope: Envelope, reply: Reply) -> AsyncIterator[bytes]:
    yield dialect.encode_whole(fold([event async for event in reply]), envelope)
