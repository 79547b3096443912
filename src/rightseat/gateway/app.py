"""The composition root: settings in, an ASGI application out. Everything that is put together is put together here."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import msgspec

from rightseat import __version__
from rightseat.errors import CallerError, RightseatError
from rightseat.gateway import logs, models
from rightseat.gateway.asgi import Receive, Request, Scope, Send, read_request, respond
from rightseat.gateway.config import Settings
from rightseat.gateway.dialects import CHAT, MESSAGES, RESPONSES
from rightseat.gateway.embeddings import EmbeddingsFace
from rightseat.gateway.errors import ClientKeyError, anthropic_body, error_body, error_headers, status_of
from rightseat.gateway.face import Face
from rightseat.gateway.guard import ForeignHostError, check_host, check_origin, cors_headers
from rightseat.gateway.management import Management
from rightseat.gateway.recent import Recent
from rightseat.gateway.resilience import Resilience
from rightseat.gateway.routes import MANAGEMENT, find, openapi
from rightseat.gateway.tokens import count_tokens
from rightseat.gateway.websocket import Conversations
from rightseat.handler import stack
from rightseat.log import logger
from rightseat.security.keys import kind_of, said_of
from rightseat.transport.http import AiohttpSender
from rightseat.upstream.copilot import Copilot
from rightseat.upstream.store import FileStore


class Gateway:
    """The application: `async with Gateway(settings) as app`, then serve `app`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._keys = [key.encode() for key in settings.keys]
        self._sender = AiohttpSender()
        self._copilot = Copilot(FileStore(settings.folder), self._sender, settings.editor, settings.aliases)
        self._recent = Recent(on_end=logs.access)
        self._resilience = Resilience(settings)
        ask = stack(*self._resilience.layers)(self._copilot.open)
        self._chat = Face(CHAT, self._copilot, ask, settings, self._recent)
        self._responses = Face(RESPONSES, self._copilot, ask, settings, self._recent)
        self._messages = Face(MESSAGES, self._copilot, ask, settings, self._recent)
        self._management = Management(settings, self._copilot, self._sender, self._recent, self._resilience)
        self._conversations = Conversations(self._responses, self._recent, self._check_key)
        self._embeddings = EmbeddingsFace(self._copilot, ask)

    async def __aenter__(self) -> Self:
        await self._sender.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._management.close()
        await self._copilot.close()
        await self._sender.__aexit__(kind, e, tb)

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
            await self._route(request, receive, send, request_id)
        except RightseatError as e:
            logger.info("%s %s %s: %s", request_id, scope["method"], scope["path"], e)
            headers = {name.decode("latin-1"): "" for name, _ in scope["headers"]}
            anthropic = speaks_anthropic(headers, scope["path"].removeprefix("/v1"))
            body = anthropic_body(e, request_id) if anthropic else error_body(e)
            await respond(send, status_of(e), body, error_headers(e, request_id))
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
        if scope["path"].removeprefix("/v1").rstrip("/") == "/responses":
            await self._conversations(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async def _route(self, request: Request, receive: Receive, send: Send, request_id: str) -> None:
        found = find(request.method, request.path)
        if found is None:
            if not request.path.startswith(MANAGEMENT):
                self._check_key(request)
            raise NoSuchEndpointError(f"no such endpoint: {request.method} {request.path}")
        route, value = found
        if route.tag == "management":
            self._check_management_key(request)
            await self._management(route.name, value, request, send)
            return
        if route.needs_key:
            self._check_key(request)
        anthropic = speaks_anthropic(request.headers, request.path.removeprefix("/v1"))
        match route.name:
            case "chat":
                await self._chat(request, receive, send, request_id)
            case "responses":
                await self._responses(request, receive, send, request_id)
            case "messages":
                await self._messages(request, receive, send, request_id)
            case "count_tokens":
                await count_tokens(request, send)
            case "embeddings":
                await self._embeddings(request, send, request_id)
            case "models":
                list_body = models.anthropic_list if anthropic else models.list_body
                await respond(send, 200, list_body(await self._copilot.registry()))
            case "model":
                one_body = models.anthropic_one if anthropic else models.one_body
                await respond(send, 200, one_body(await self._copilot.registry(), value))
            case "ready":
                reasons = self._copilot.unready()
                body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
                await respond(send, 503 if reasons else 200, msgspec.json.encode(body))
            case "openapi":
                await respond(send, 200, msgspec.json.encode(openapi()))
            case _:
                await respond(
                    send, 200, msgspec.json.encode({"status": "ok", "name": "rightseat", "version": __version__})
                )

    def _check_management_key(self, request: Request) -> None:
        key = self.settings.management_key
        if not key:
            raise ManagementOffError("management is switched off; set management_key to use it")
        if not hmac.compare_digest(_shown(request).encode(), key.encode()):
            raise ClientKeyError("the management key is needed: Authorization: Bearer KEY, or x-api-key")

    def _check_key(self, request: Request) -> None:
        shown = _shown(request)
        kind = kind_of(shown)
        if kind in ("github", "github_app", "copilot"):
            raise ClientKeyError(f"{said_of(shown)}; the gateway takes keys of its own and never a token")
        if not self._keys:
            return
        given = shown.encode()
        if not any([hmac.compare_digest(given, key) for key in self._keys]):  # noqa: C419 - all are compared, always
            if kind == "empty":
                raise ClientKeyError("an API key is needed: Authorization: Bearer KEY, or x-api-key")
            foreign = "" if kind == "other" else f": {said_of(shown)}; the gateway takes keys of its own"
            raise ClientKeyError(f"Invalid API key{foreign}")


_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")


def _request_id(scope: Scope) -> str:
    """The client's own id for the request, if it gives one that can stand in a log; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return str(uuid.uuid4())


def _shown(request: Request) -> str:
    """The key that a client shows."""
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").partition(" ")[2]


class ManagementOffError(CallerError):
    """Management was asked for, and is not switched on."""

    status_hint = 403


class NoSuchEndpointError(CallerError):
    """Nothing is served at this path."""

    status_hint = 404


def speaks_anthropic(headers: Mapping[str, str], path: str) -> bool:
    """Which dialect a request is in. The key's header tells nothing: newer Anthropic clients send a bearer."""
    return path.startswith("/messages") or "anthropic-version" in headers
