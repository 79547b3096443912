"""The composition root: settings in, an ASGI application out. Everything that is put together is put together here."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from rightseat import __version__
from rightseat.accounts.store import FileStore
from rightseat.backends.copilot import CopilotBackend
from rightseat.errors import CallerError, RightseatError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.origins import ForeignHostError, check_host, check_origin, cors_headers
from rightseat.gateway.config import Settings
from rightseat.gateway.endpoints import models
from rightseat.gateway.endpoints.conversation import Face
from rightseat.gateway.endpoints.count_tokens import count_tokens
from rightseat.gateway.endpoints.embeddings import EmbeddingsFace
from rightseat.gateway.endpoints.management import Management
from rightseat.gateway.endpoints.multiplex import Multiplex
from rightseat.gateway.endpoints.responses_socket import Conversations
from rightseat.gateway.endpoints.ui import respond_page
from rightseat.gateway.http.asgi import Receive, Request, Scope, Send, address_of, read_request, respond
from rightseat.gateway.observe.logging import AccessLog
from rightseat.gateway.observe.metrics import CONTENT_TYPE, REFRESH_SECONDS, Metrics
from rightseat.gateway.observe.request_log import Recent, RequestRecord, trace_of
from rightseat.gateway.observe.timeseries import TimeSeries
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.resilience import Resilience
from rightseat.gateway.routes import MANAGEMENT, find, openapi
from rightseat.handler import stack
from rightseat.layers.observe import ObserverOf
from rightseat.log import logger
from rightseat.masking import mask
from rightseat.telemetry.metrics import is_shared
from rightseat.telemetry.tracing import Tracing, is_wanted, provider_of_environment
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.wire.dialects import CHAT, MESSAGES, RESPONSES
from rightseat.wire.errors import status_of


class Gateway:
    """The application: `async with Gateway(settings) as app`, then serve `app`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._access = Access(settings)
        content = Content(
            settings.redact_requests, settings.redact_answers, settings.screen_requests, settings.sensitive
        )
        self._sender = AiohttpSender()
        self._copilot = CopilotBackend(FileStore(settings.folder), self._sender, settings.editor, settings.aliases)
        self._resilience = Resilience(settings)
        self._metrics = (
            Metrics(self._copilot, self._resilience, self._access.refusals, self._copilot.offers)
            if settings.metrics
            else None
        )
        self._provider = provider_of_environment() if is_wanted() else None
        self._timeseries = TimeSeries()
        observers: list[ObserverOf[RequestRecord]] = [AccessLog(), self._timeseries]
        if self._metrics is not None:
            observers.append(self._metrics)
        if self._provider is not None:
            observers.insert(0, Tracing(self._provider, server=True))
        self._recent = Recent(observers)
        ask = stack(*self._resilience.layers)(self._copilot.relay)
        given = (self._copilot, ask, settings, self._recent, self._access, content)
        self._chat, self._responses, self._messages = (Face(d, *given) for d in (CHAT, RESPONSES, MESSAGES))
        self._management = Management(
            settings, self._copilot, self._sender, self._recent, self._resilience, self._access, self._timeseries
        )
        self._conversations = Conversations(self._responses, self._access)
        self._multiplex = Multiplex(self._serve, self._access)
        self._embeddings = EmbeddingsFace(self._copilot, ask, self._recent, self._access, content)
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._access.__aenter__()
        await self._sender.__aenter__()
        if self._metrics is not None and is_shared():
            self._ticking = asyncio.ensure_future(self._tick(self._metrics))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        await self._multiplex.close()
        await self._management.close()
        await self._copilot.aclose()
        await self._sender.__aexit__(kind, e, tb)
        await self._access.__aexit__(kind, e, tb)
        if self._provider is not None:
            await asyncio.to_thread(self._provider.shutdown)  # the last spans are sent

    async def _tick(self, metrics: Metrics) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            metrics.tick()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        request_id = _request_id(scope)
        try:
            send, finished = await self._guarded(scope, send)
            if finished:
                return
            request = await read_request(scope, receive, self.settings.body_limit, self.settings.body_seconds)
            await self._route(scope, request, receive, send, request_id)
        except (RightseatError, RecursionError) as error:
            e = TooDeepError("the body is nested too deeply") if isinstance(error, RecursionError) else error
            logger.info("%s %s %s: %s", request_id, scope["method"], scope["path"], e)
            headers = {name.decode("latin-1"): "" for name, _ in scope["headers"]}
            anthropic = speaks_anthropic(headers, scope["path"].removeprefix("/v1"))
            dialect = MESSAGES if anthropic else CHAT
            body, told = dialect.error_body(e, request_id), dialect.error_headers(e, request_id)
            await respond(send, status_of(e), body, told)
        except ConnectionResetError:
            return  # the client left before it had said what it wants

    async def _guarded(self, scope: Scope, send: Send) -> tuple[Send, bool]:
        """Whether the request may come in: how to answer it, and whether it has been answered. Raises ForeignHostError."""
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k in (b"host", b"origin")}
        check_host(headers, self.settings.host, self.settings.allowed_hosts)
        origin = check_origin(headers, self.settings.allowed_origins)
        if origin is None:
            return send, False
        extra = cors_headers(origin)

        async def telling(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        if scope.get("method") == "OPTIONS":
            await telling({"type": "http.response.start", "status": 204, "headers": []})
            await telling({"type": "http.response.body", "body": b""})
            return send, True
        return telling, False

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k in (b"host", b"origin")}
        try:
            check_host(headers, self.settings.host, self.settings.allowed_hosts)
            check_origin(headers, self.settings.allowed_origins)
        except ForeignHostError as e:
            logger.info("websocket: %s", e)
            await receive()
            await send({"type": "websocket.close"})
            return
        path = scope["path"].removeprefix("/v1").rstrip("/")
        if path == "/responses":
            await self._conversations(scope, receive, send)
        elif path == "/ws":
            await self._multiplex(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _route(self, scope: Scope, request: Request, receive: Receive, send: Send, request_id: str) -> None:
        found = find(request.method, request.path)
        if request.path == "/" and "text/html" in request.headers.get("accept", ""):
            found = find("GET", "/ui")
        address = address_of(scope)
        if found is None:
            if not request.path.startswith(MANAGEMENT):
                await self._access.authenticator.authenticate(request.headers, address, "models")
            raise NoSuchEndpointError(f"no such endpoint: {request.method} {request.path}")
        route, value = found
        if route.tag == "management":
            if not self.settings.management_key:
                raise ManagementOffError("management is switched off; set management_key to use it")
            self._access.authenticator.check_management(request.headers, address)
            await self._management(route.name, value, request, send)
            return
        if route.tag == "page":
            await respond_page(send, route.name)
            return
        if route.needs_key:
            caller = await self._access.authenticator.authenticate(request.headers, address, route.scope)
            self._access.authorize.check_scope(caller, route.scope)
            await self._access.admission.enter(caller)
            request = msgspec.structs.replace(request, caller=caller, trace=trace_of(request.headers))
        if route.name in _ASKS:
            await self._serve(request, receive, send, request_id)
            return
        anthropic = speaks_anthropic(request.headers, request.path.removeprefix("/v1"))
        match route.name:
            case "count_tokens":
                await count_tokens(request, send)
            case "model":
                registry = await self._copilot.models()
                if (model := registry.resolve(value)) is not None:
                    self._access.authorize.check_model(request.caller, model.id)
                one_body = models.anthropic_one if anthropic else models.one_body
                await respond(send, 200, one_body(registry, value))
            case "metrics":
                if self._metrics is None:
                    raise NoSuchEndpointError("metrics are switched off; set metrics to use them")
                await respond(send, 200, self._metrics.page(), kind=CONTENT_TYPE)
            case "ready":
                reasons = (await self._copilot.readiness()).public
                body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
                await respond(send, 503 if reasons else 200, msgspec.json.encode(body))
            case "openapi":
                await respond(send, 200, msgspec.json.encode(openapi()))
            case _:
                await respond(
                    send, 200, msgspec.json.encode({"status": "ok", "name": "rightseat", "version": __version__})
                )

    async def _serve(self, request: Request, receive: Receive, send: Send, request_id: str) -> None:
        """Answer a request of a caller who is known. Raises what is wrong."""
        match request.path.removeprefix("/v1").rstrip("/"):
            case "/chat/completions":
                await self._chat(request, receive, send, request_id)
            case "/responses":
                await self._responses(request, receive, send, request_id)
            case "/messages":
                await self._messages(request, receive, send, request_id)
            case "/embeddings":
                await self._embeddings(request, send, request_id)
            case _:
                anthropic = speaks_anthropic(request.headers, "/models")
                list_body = models.anthropic_list if anthropic else models.list_body
                await respond(send, 200, list_body(await self._copilot.models(), request.caller.key))


_ASKS = ("chat", "responses", "messages", "embeddings", "models")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")


def _request_id(scope: Scope) -> str:
    """The client's own id for the request, if it gives one that can stand in a log; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            given = str(value, "ascii")
            if mask(given) == given:  # it may be anything that somebody has put there
                return given
    return str(uuid.uuid4())


class ManagementOffError(CallerError):
    """Management was asked for, and is not switched on."""

    status_hint = 403


class TooDeepError(CallerError):
    """A body that nobody can read."""


class NoSuchEndpointError(CallerError):
    """Nothing is served at this path."""

    status_hint = 404


def speaks_anthropic(headers: Mapping[str, str], path: str) -> bool:
    """Which dialect a request is in. The key's header tells nothing: newer Anthropic clients send a bearer."""
    return path.startswith("/messages") or "anthropic-version" in headers
