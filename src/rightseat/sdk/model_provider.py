"""A Python function as the model: the CLI's model calls come back to us over the connection and are answered in-process.

After `llmInference.setProvider`, the CLI sends every HTTP request of its model calls to this client, as
`llmInference.httpRequestStart` and `httpRequestChunk`, and takes the answer from `httpResponseStart` and `httpResponseChunk`
(facts of CLI 1.0.102). A session whose model is a function gets a provider of its own with an address that exists nowhere;
the address tells which function is meant. No socket, no network and no subscription are involved.

This module knows that exchange. What a request says is read by `wire.openai_chat`, what the function gives by `handler`.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

from rightseat.chat import ChatRequest, ModelEvent, fold
from rightseat.errors import RightseatError
from rightseat.handler import Handler, as_handler
from rightseat.ids import Ids
from rightseat.log import logger
from rightseat.masking import mask
from rightseat.sdk.pump import UnknownMethodError
from rightseat.sdk.rpc import CallMethod
from rightseat.sdk.tasks import Tasks
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Envelope
from rightseat.wire.openai_chat.encode import ChunkEncoder, encode_whole
from rightseat.wire.openai_chat.errors import encode_error
from rightseat.wire.openai_chat.request import decode_body
from rightseat.wire.record import Record

METHODS = frozenset({"llmInference.httpRequestStart", "llmInference.httpRequestChunk"})
MAX_BODY = 64 * 1024 * 1024  # bytes of one request of the CLI
MAX_PROMPT_TOKENS = 128_000  # unless the model object says otherwise with an attribute `max_prompt_tokens`

_HOST = "rightseat-model.invalid"  # RFC 2606: can never be resolved
_JSON = {"content-type": ["application/json"]}
_SSE = {"content-type": ["text/event-stream"], "cache-control": ["no-cache"]}
# The CLI tries a 5xx again five times, for up to half a minute; what a function does wrong it would do wrong again.
_FAILED_STATUS = 400


@dataclasses.dataclass(slots=True)
class _Exchange:
    """One HTTP request of the CLI on its way in, then its answer on its way out."""

    method: str
    path: str
    body: bytearray
    task: asyncio.Task[None] | None = None


class ModelProvider:
    """The functions that serve as models on one connection.

    Args:
        call: calls a method of the CLI.
        tasks: where the functions run.
        ids: makes the keys by which the CLI names them.
    """

    def __init__(self, call: CallMethod, tasks: Tasks, ids: Ids) -> None:
        self._call = call
        self._tasks = tasks
        self._ids = ids
        self._handlers: dict[str, Handler] = {}
        self._exchanges: dict[str, _Exchange] = {}

    async def open(self, timeout: float | None) -> None:  # noqa: ASYNC109
        """Have the CLI send all its model calls here.

        Raises:
            MethodNotFoundError: the CLI is too old for this.
        """
        await self._call("llmInference.setProvider", {}, timeout)

    def register(self, model: Callable[..., object]) -> tuple[str, dict[str, object]]:
        """Make a function available. Returns the model id and the provider for session.create.

        Raises:
            InvalidOptionError: it cannot be called.
        """
        handler = as_handler(model)
        key = self._ids.hex(16)
        self._handlers[key] = handler
        name = str(getattr(model, "model_id", None) or getattr(model, "__name__", None) or type(model).__name__)
        provider: dict[str, object] = {
            "type": "openai",
            "wireApi": "completions",
            "baseUrl": f"http://{_HOST}/{key}/v1",
            "apiKey": "unused",
            "maxPromptTokens": int(getattr(model, "max_prompt_tokens", MAX_PROMPT_TOKENS)),
        }
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in name), provider

    def answer(self, method: str, params: Record) -> dict[str, object]:
        """Take a part of a request. The parts of one request come in order. Raises UnknownMethodError for anything else."""
        if method not in METHODS:
            raise UnknownMethodError(method)
        request_id = str(params.get("requestId"))
        if method == "llmInference.httpRequestStart":
            self._exchanges[request_id] = _Exchange(str(params.get("method")), str(params.get("url")), bytearray())
            return {}
        exchange = self._exchanges.get(request_id)
        if exchange is None:
            return {}
        if params.get("cancel"):
            self._forget(request_id)
            return {}
        data = params.get("data") or ""
        exchange.body += base64.b64decode(data) if params.get("binary") else data.encode()
        if len(exchange.body) > MAX_BODY:
            self._forget(request_id)
            text = f"the request is larger than {MAX_BODY} bytes"
            refusal = _ProviderResponse(request_id, self._call).whole(413, encode_error(text, "invalid_request_error"))
            self._tasks.spawn(refusal, "refusing a model call")
        elif params.get("end") and exchange.task is None:
            exchange.task = self._tasks.spawn(self._serve(request_id, exchange), "a model function")
            exchange.task.add_done_callback(lambda _: self._exchanges.pop(request_id, None))
        return {}

    def close(self) -> None:
        """Stop every function that is running."""
        for request_id in list(self._exchanges):
            self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        exchange = self._exchanges.pop(request_id, None)
        if exchange is not None and exchange.task is not None:
            exchange.task.cancel()

    async def _serve(self, request_id: str, exchange: _Exchange) -> None:
        try:
            await self._respond(_ProviderResponse(request_id, self._call), exchange)
        except RightseatError as e:
            logger.warning("an answer of a model function could not be delivered: %s", e)

    async def _respond(self, response: _ProviderResponse, exchange: _Exchange) -> None:
        url = urlsplit(exchange.path)
        _, key, *rest = url.path.split("/")
        handler = self._handlers.get(key) if url.hostname == _HOST else None
        if handler is None:
            text = (
                f"this client serves models from Python functions only, so {url.hostname} cannot be reached through it"
            )
            await response.whole(_FAILED_STATUS, encode_error(text, "invalid_request_error"))
            return
        if exchange.method != "POST" or rest[-2:] != ["chat", "completions"]:
            await response.whole(404, encode_error("Not Found", "invalid_request_error"))
            return
        try:
            request = decode_body(bytes(exchange.body))
        except BadRequestError as e:
            await response.whole(400, encode_error(str(e), "invalid_request_error"))
            return
        await self._run(handler, request, response)

    async def _run(self, handler: Handler, request: ChatRequest, response: _ProviderResponse) -> None:
        try:
            reply = await handler(request)
            async with reply:
                if request.stream:
                    await _stream(reply.__aiter__(), request, response)
                else:
                    collected: list[ModelEvent] = [event async for event in reply]
                    await response.whole(200, encode_whole(fold(collected), Envelope(request.model)))
        except asyncio.CancelledError:
            raise
        except Exception as e:
            if isinstance(e, _Gone):
                return
            logger.exception("the model function failed")
            text = mask(f"the model function failed: {type(e).__name__}: {e}")
            await response.failed(encode_error(text, "model_function_failed", "model_function_failed"), text)


async def _stream(events: AsyncIterator[ModelEvent], request: ChatRequest, response: _ProviderResponse) -> None:
    """The head goes out with the first event: a function that fails at once still becomes a clean error."""
    encoder = ChunkEncoder(Envelope(request.model))
    async for event in events:
        if not response.begun:
            await response.start(200, _SSE)
        if data := encoder.encode(event):
            await response.chunk(data)
    if not response.begun:
        await response.start(200, _SSE)
    await response.chunk(encoder.end(), end=True)


class _Gone(Exception):  # noqa: N818
    """The CLI no longer wants the answer."""


class _ProviderResponse:
    def __init__(self, request_id: str, call: CallMethod) -> None:
        self._id = request_id
        self._call = call
        self.begun = False

    async def start(self, status: int, headers: dict[str, list[str]]) -> None:
        self.begun = True
        await self._tell("llmInference.httpResponseStart", {"status": status, "headers": headers})

    async def chunk(self, data: bytes, *, end: bool = False) -> None:
        await self._tell("llmInference.httpResponseChunk", {"data": data.decode(), "end": end})

    async def whole(self, status: int, body: bytes) -> None:
        await self.start(status, _JSON)
        await self.chunk(body, end=True)

    async def failed(self, body: bytes, text: str) -> None:
        if not self.begun:
            await self.whole(_FAILED_STATUS, body)
        else:
            # The CLI tries again up to five times, some 5 s; after an error event in the stream it takes 17 s (measured).
            await self._tell("llmInference.httpResponseChunk", {"data": "", "end": True, "error": {"message": text}})

    async def _tell(self, method: str, params: dict[str, object]) -> None:
        raw = await self._call(method, {"requestId": self._id, **params}, None)
        if b'"accepted":false' in bytes(raw):
            raise _Gone
