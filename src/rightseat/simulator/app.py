"""The HTTP side: an ASGI application that plays GitHub's API and the Copilot API on one address.

    POST /login/device/code         device login, and /login/oauth/access_token to poll it
    GET  /login/device              the page that approves it
    GET  /copilot_internal/v2/token the token exchange
    GET  /copilot_internal/user     the account: plan, endpoints, quota
    GET  /models                    the model list
    POST /chat/completions          the simulated model, streaming or whole
    POST /messages                  the same in Anthropic's dialect, for models whose names begin with "claude"
    POST /embeddings                vectors that are the same for the same text
    anything else                   404, harmlessly

All paths also work below /v1, so that the simulator serves as a BYOK provider.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from rightseat.chat import ChatRequest, Completion, ModelEvent, Reply, fold
from rightseat.handler import Handler
from rightseat.simulator.cloud import Cloud
from rightseat.simulator.model import SimulatedError
from rightseat.simulator.prose import count_tokens
from rightseat.wire import anthropic
from rightseat.wire.body import BadRequestError, object_with_model
from rightseat.wire.copilot_models import model_entry, model_list
from rightseat.wire.openai_chat import ChunkEncoder, decode_request, encode_completion, encode_error

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger("rightseat.simulator")

# Names that programs ask for; to the simulator they are all one model.
DEFAULT_MODELS = ("gpt-5", "gpt-4", "gpt-4.1", "gpt-5-mini", "claude-sonnet-4.5", "text-embedding-3-small")
LOGIN = "rightseat-simulator"
_KEEP = 1000  # requests remembered
_COPILOT_API = frozenset({"/models", "/chat/completions", "/messages", "/embeddings"})
_PAGE = """<!doctype html><meta charset="utf-8"><title>Simulated GitHub</title><h1>Simulated device login</h1><!-- said -->
<form method="post"><label>Code <input name="user_code" autofocus></label>
<button name="decision" value="approve">Approve</button> <button name="decision" value="deny">Deny</button></form>"""


class Seen(Struct, frozen=True):
    """A request that came in. Values of headers that authenticate are not kept."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class SimulatorApp:
    """The application.

    Args:
        model: who answers.
        models: the ids in the model list; the first is the default.
        cloud: GitHub's side of logins and tokens.

    Attributes:
        seen: the last requests, oldest first, for tests.
        url: where it is served; known once it is.
    """

    def __init__(self, model: Handler, models: Sequence[str] = DEFAULT_MODELS, cloud: Cloud | None = None) -> None:
        self.cloud = cloud or Cloud()
        self.seen: list[Seen] = []
        self.url = ""
        self._model = model
        self._models = [_entry(name, default=i == 0) for i, name in enumerate(models)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        path = scope["path"].removeprefix("/v1").rstrip("/") or "/"
        self._remember(scope, path, body)
        authorization = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization"), "")
        if path in _COPILOT_API and (refusal := self.cloud.refusal(authorization)) is not None:
            await _answer(send, 401, refusal.encode(), content_type=b"text/plain")
            return
        match scope["method"], path:
            case "POST", "/login/device/code":
                await _answer(send, 200, _dump(self.cloud.begin_login(self.url)))
            case "POST", "/login/oauth/access_token":
                await _answer(send, 200, _dump(self.cloud.poll_login(_form(body).get("device_code", ""))))
            case "GET" | "POST", "/login/device":
                await _answer(send, 200, self._page(_form(body)).encode(), content_type=b"text/html; charset=utf-8")
            case "GET", "/copilot_internal/v2/token":
                status, answer = self.cloud.exchange(authorization, self.url)
                await _answer(send, status, _dump(answer))
            case "GET", "/copilot_internal/user":
                await _answer(send, 200, _dump(self._user()))
            case "GET", "/models":
                await _answer(send, 200, _dump(model_list(self._models)))
            case "POST", "/chat/completions":
                await self._chat(body, receive, send, _OPENAI)
            case "POST", "/messages":
                await self._chat(body, receive, send, _ANTHROPIC)
            case "POST", "/embeddings":
                await self._embed(body, send)
            case _:
                await _answer(send, 404, _dump({"message": "Not Found", "status": "404"}))

    def _remember(self, scope: Scope, path: str, body: bytes) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        for name in ("authorization", "x-api-key", "cookie"):
            if name in headers:
                headers[name] = "(present)"
        self.seen.append(Seen(scope["method"], path, headers, body))
        del self.seen[:-_KEEP]
        logger.debug("%s %s", scope["method"], path)

    def _page(self, form: dict[str, str]) -> str:
        said = ""
        if "user_code" in form:
            found = self.cloud.decide_login(form["user_code"], approved=form.get("decision") != "deny")
            said = "<p>Done. Go back to where you came from.</p>" if found else "<p>No login waits with that code.</p>"
        return _PAGE.replace("<!-- said -->", said)

    def _user(self) -> dict[str, Any]:
        unlimited = {
            "entitlement": -1,
            "remaining": 0,
            "percent_remaining": 100.0,
            "unlimited": True,
            "overage_permitted": False,
        }
        return {
            "login": LOGIN,
            "access_type_sku": "copilot_standalone_seat",
            "chat_enabled": True,
            "copilot_plan": "individual_pro",
            "assigned_date": "2026-01-01T00:00:00Z",
            "organization_login_list": [],
            "organization_list": [],
            "endpoints": {"api": self.url, "telemetry": self.url, "proxy": self.url, "origin-tracker": self.url},
            "is_mcp_enabled": True,
            "quota_reset_date": "2099-01-01",
            "quota_snapshots": {
                name: {"quota_id": name, **unlimited} for name in ("chat", "completions", "premium_interactions")
            },
        }

    async def _chat(self, body: bytes, receive: Receive, send: Send, dialect: _Dialect) -> None:
        try:
            request = dialect.decode(body)
            reply = await self._model(request)
        except BadRequestError as e:
            await _answer(send, 400, dialect.error(str(e), "invalid_request_error", "bad_request"))
        except SimulatedError as e:
            error = e.error
            extra = [(b"retry-after", f"{error.retry_after:g}".encode())] if error.retry_after is not None else []
            await _answer(send, error.status, dialect.error(error.message, "simulated_error", error.code), extra)
        else:
            # A client that leaves ends the answer at once, as it does with the real thing.
            saying = asyncio.ensure_future(self._say(request, reply, send, dialect))
            leaving = asyncio.ensure_future(_gone(receive))
            await asyncio.wait([saying, leaving], return_when=asyncio.FIRST_COMPLETED)
            for task in (saying, leaving):
                task.cancel()
            await asyncio.gather(saying, leaving, return_exceptions=True)
            if not saying.cancelled():
                saying.result()

    async def _say(self, request: ChatRequest, reply: Reply, send: Send, dialect: _Dialect) -> None:
        async with reply:
            events = reply.__aiter__()
            if not request.stream:
                collected: list[ModelEvent] = [event async for event in events]
                await _answer(send, 200, dialect.whole(fold(collected), request.model))
                return
            encoder = dialect.encoder(request)
            headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if head := encoder.start():
                await send({"type": "http.response.body", "body": head, "more_body": True})
            async for event in events:
                await send({"type": "http.response.body", "body": encoder.encode(event), "more_body": True})
            await send({"type": "http.response.body", "body": encoder.end()})

    async def _embed(self, body: bytes, send: Send) -> None:
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        texts = value.get("input") if isinstance(value, dict) else None
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            await _answer(
                send, 400, b"Bad Request", content_type=b"text/plain"
            )  # as the real one does for a bare string
            return
        data = [{"object": "embedding", "index": i, "embedding": _vector(text)} for i, text in enumerate(texts)]
        tokens = sum(count_tokens(text) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        await _answer(send, 200, _dump({"object": "list", "data": data, "model": value["model"], "usage": usage}))


class _Dialect(Struct, frozen=True):
    """How one endpoint reads and writes."""

    decode: Callable[[bytes], ChatRequest]
    whole: Callable[[Completion, str], bytes]
    encoder: Callable[[ChatRequest], Any]
    error: Callable[[str, str, str | None], bytes]


_OPENAI = _Dialect(decode_request, encode_completion, lambda request: ChunkEncoder(request.model), encode_error)
_ANTHROPIC = _Dialect(
    lambda body: anthropic.decode_request(object_with_model(body)),
    anthropic.encode_completion,
    lambda request: anthropic.EventEncoder(request.model, anthropic.estimate_tokens(request)),
    lambda message, kind, _: anthropic.encode_error(kind, message),
)


def _entry(name: str, *, default: bool) -> dict[str, Any]:
    if name.startswith("text-embedding"):
        return model_entry(name, endpoints=("/embeddings",), kind="embeddings")
    endpoints = ("/chat/completions", "/v1/messages") if name.startswith("claude") else ("/chat/completions",)
    return model_entry(name, default=default, endpoints=endpoints)


def _vector(text: str) -> list[float]:
    """Sixteen numbers of length one, the same for the same text."""
    chance = random.Random(text)  # noqa: S311 - repeatable, not secret
    values = [chance.gauss(0, 1) for _ in range(16)]
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    content_type: bytes = b"application/json",
) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), length, *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _form(body: bytes) -> dict[str, str]:
    """A form or a JSON object: GitHub takes both."""
    if body.lstrip().startswith(b"{"):
        try:
            return {str(key): str(value) for key, value in json.loads(body).items()}
        except ValueError:
            return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()
