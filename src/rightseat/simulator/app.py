"""The HTTP side: an ASGI application that plays GitHub's API and the Copilot API on one address.

    POST /login/device/code         device login, and /login/oauth/access_token to poll it
    GET  /login/device              the page that approves it
    GET  /copilot_internal/v2/token the token exchange
    GET  /copilot_internal/user     the account: plan, endpoints, quota
    GET  /models                    the model list
    POST /chat/completions          the simulated model, streaming or whole
    POST /messages                  the same in Anthropic's dialect, for models whose names begin with "claude"
    POST /responses                 the same in the dialect of OpenAI's responses, for models whose names begin with "gpt-5"
    WS   /responses                 the same by frames, with what was said before on the connection
    POST /embeddings                vectors that are the same for the same text
    GET  /_simulator/requests       the last requests that came in
    GET  /_simulator/behaviour      what it does, and PUT to change it: {"cloud": {...}, "quirks": {...}}
    anything else                   404, harmlessly

All paths also work below /v1, so that the simulator serves as a BYOK provider.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import random
from collections.abc import Sequence
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from rightseat.chat import ChatRequest, ModelEvent, Reply, fold
from rightseat.handler import Handler
from rightseat.json_types import JsonObject
from rightseat.simulator.asgi_types import Receive, Scope, Send
from rightseat.simulator.cloud import Behaviour, Cloud
from rightseat.simulator.dialects import CHAT, MESSAGES_API, RESPONSES_API, SimulatedApi
from rightseat.simulator.faults import Fault, FaultyReply
from rightseat.simulator.model import SimulatedError
from rightseat.simulator.prose import count_tokens
from rightseat.simulator.quirks import Quirks, QuirkyEncoder
from rightseat.simulator.segments import compacted
from rightseat.simulator.strict import Rejection, refusal
from rightseat.simulator.websocket import Conversation
from rightseat.wire.abilities import Abilities
from rightseat.wire.body import BadRequestError
from rightseat.wire.copilot_models import model_entry, model_list

logger = logging.getLogger("rightseat.simulator")

# Names that programs ask for; to the simulator they are all one model.
DEFAULT_MODELS = (
    "gpt-5", "gpt-4", "gpt-4.1", "gpt-4o", "gpt-4o-mini", "gpt-5-mini", "gpt-5.3-codex", "claude-sonnet-4.5",
    "text-embedding-3-small",
)  # fmt: skip
LOGIN = "rightseat-simulator"
_KEEP = 1000  # requests remembered
_COPILOT_API = {
    "/models": "/models",
    "/chat/completions": "/chat/completions",
    "/responses": "/responses",
    "/messages": "/v1/messages",
    "/embeddings": "/embeddings",
}
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
        quirks: what is odd about the answers.
        extra_models: more entries of the model list, as they shall be given: disabled, doubled, malformed ones too.

    Attributes:
        seen: the last requests, oldest first, for tests.
        url: where it is served; known once it is.
    """

    def __init__(
        self,
        model: Handler,
        models: Sequence[str] = DEFAULT_MODELS,
        cloud: Cloud | None = None,
        *,
        quirks: Quirks | None = None,
        extra_models: Sequence[JsonObject] = (),
    ) -> None:
        self.cloud = cloud or Cloud()
        self.quirks = quirks or Quirks()
        self.seen: list[Seen] = []
        self.url = ""
        self._model = model
        self._models = [*(_entry(name, default=i == 0) for i, name in enumerate(models)), *extra_models]
        self._by_id = {
            entry["id"]: entry
            for entry in reversed(self._models)
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        path = str(scope.get("path", "")).removeprefix("/v1").rstrip("/") or "/"
        if scope["type"] == "websocket":
            await self._websocket(scope, path, receive, send)
            return
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if path.startswith("/_simulator/"):
            await self._control(scope["method"], path, body, send)
            return
        self._remember(scope, path, body)
        if any(name == b"content-encoding" for name, _ in scope["headers"]):
            await _answer(send, 415, _dump({"message": "compressed requests are not taken"}))
            return
        if path in self.cloud.behaviour.hang:
            await _gone(receive)
            return
        authorization = _authorization(scope)
        if path in _COPILOT_API and (said := self.cloud.refusal(authorization)) is not None:
            await _answer(send, 401, said.encode(), content_type=b"text/plain")
            return
        if path in _COPILOT_API and authorization.partition(" ")[2].startswith("tid="):
            headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
            wrong = refusal(_COPILOT_API[path], headers, body, self._by_id)
            if wrong is not None:
                await self._refuse(send, wrong, path)
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
                await _answer(send, 200, _dump(self.cloud.user(LOGIN, self.url)))
            case "GET", "/models":
                await _answer(send, 200, _dump(model_list(self._models)))
            case "POST", "/chat/completions":
                await self._chat(body, receive, send, CHAT)
            case "POST", "/responses":
                await self._chat(body, receive, send, RESPONSES_API)
            case "POST", "/messages":
                await self._chat(body, receive, send, MESSAGES_API)
            case "POST", "/embeddings":
                await self._embed(body, send)
            case _:
                await _answer(send, 404, _dump({"message": "Not Found", "status": "404"}))

    async def _websocket(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        self._remember({**scope, "method": "WS"}, path, b"")
        if path != "/responses" or self.cloud.refusal(_authorization(scope)) is not None:
            await receive()
            await send({"type": "websocket.close"})  # before it was accepted: 403
            return
        await Conversation(self._model, self.quirks, self.cloud.quota, send).serve(receive)

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

    async def _control(self, method: str, path: str, body: bytes, send: Send) -> None:
        match method, path:
            case "GET", "/_simulator/requests":
                entries = [{**msgspec.to_builtins(s), "body": s.body.decode("utf-8", "replace")} for s in self.seen]
                await _answer(send, 200, _dump(entries))
            case "DELETE", "/_simulator/requests":
                self.seen.clear()
                await _answer(send, 200, b"{}")
            case "GET" | "PUT", "/_simulator/behaviour":
                now = {"cloud": msgspec.to_builtins(self.cloud.behaviour), "quirks": msgspec.to_builtins(self.quirks)}
                if method == "PUT":
                    try:
                        given = msgspec.json.decode(body, type=dict[str, JsonObject])
                        now = {name: {**now[name], **given.get(name, {})} for name in now}
                        behaviour, quirks = (
                            msgspec.convert(now["cloud"], Behaviour),
                            msgspec.convert(now["quirks"], Quirks),
                        )
                    except (msgspec.ValidationError, msgspec.DecodeError) as e:
                        await _answer(send, 400, _dump({"message": str(e)}))
                        return
                    self.cloud.behaviour, self.quirks = behaviour, quirks
                await _answer(send, 200, _dump(now))
            case _:
                await _answer(send, 404, _dump({"message": "Not Found", "status": "404"}))

    async def _refuse(self, send: Send, wrong: Rejection, path: str) -> None:
        if wrong.code is None:
            await _answer(send, wrong.status, wrong.message.encode(), content_type=b"text/plain")
            return
        dialect = MESSAGES_API if path == "/messages" else CHAT
        await _answer(send, wrong.status, dialect.error(wrong.message, "invalid_request_error", wrong.code))

    async def _chat(self, body: bytes, receive: Receive, send: Send, dialect: SimulatedApi) -> None:
        # A client that leaves ends the answer at once, also before its head, as it does with the real thing.
        answering = asyncio.ensure_future(self._answered(body, send, dialect))
        leaving = asyncio.ensure_future(_gone(receive))
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled():
            answering.result()

    async def _answered(self, body: bytes, send: Send, dialect: SimulatedApi) -> None:
        if dialect is RESPONSES_API and (said := compacted(body)) is not None:
            kind = b"text/event-stream" if said.stream else b"application/json"
            await _answer(send, 200, said.body, self._quota_headers(), content_type=kind)
            return
        try:
            request = dialect.decode(body)
            reply = await self._model(request)
        except BadRequestError as e:
            await _answer(send, 400, dialect.error(str(e), "invalid_request_error", "bad_request"))
        except SimulatedError as e:
            error = e.error
            after = error.retry_after
            text = f"{after:g}" if isinstance(after, (int, float)) else str(after)
            extra = [(b"retry-after", text.encode())] if after is not None else []
            await _answer(send, error.status, dialect.error(error.message, "simulated_error", error.code), extra)
        else:
            await self._say(request, body, reply, send, dialect)

    async def _say(self, request: ChatRequest, body: bytes, reply: Reply, send: Send, dialect: SimulatedApi) -> None:
        fault = reply.fault if isinstance(reply, FaultyReply) else Fault()
        async with reply:
            events = reply.__aiter__()
            if not request.stream:
                collected: list[ModelEvent] = [event async for event in events]
                form = MESSAGES_API if dialect is CHAT and self.quirks.anthropic_body else dialect
                headers = self._quota_headers()
                await fault.send(
                    send, _answer, headers, form.whole(form.own_whole(fold(collected)), request.model, body)
                )
                return
            encoder = dialect.encoder(request, body)
            if self.quirks.any:
                encoder = QuirkyEncoder(encoder, self.quirks, dialect.name)
            headers = [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-cache"),
                *self._quota_headers(),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            out = fault.wrap(send)
            await out(encoder.start())
            async for event in events:
                await out(encoder.encode(dialect.own(event)))
            await out(encoder.end())
            await send({"type": "http.response.body", "body": b""})

    def _quota_headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (f"x-quota-snapshot-{name}".encode(), value.encode()) for name, value in self.cloud.quota_headers().items()
        ]

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


def _entry(name: str, *, default: bool) -> JsonObject:
    if name.startswith("text-embedding"):
        return model_entry(name, endpoints=("/embeddings",), kind="embeddings")
    endpoints: tuple[str, ...] = ("/chat/completions",)
    if name.startswith("claude"):
        endpoints = ("/v1/messages",) if "opus" in name else ("/chat/completions", "/v1/messages")
    elif name.startswith(("gpt-5", "gpt-6")):
        endpoints = ("/responses",) if "codex" in name else ("/chat/completions", "/responses")
    most = 64_000 if name.startswith("claude") else 16_384
    return model_entry(name, default=default, endpoints=endpoints, max_output_tokens=most, supports=_supports(name))


def _supports(name: str) -> JsonObject:
    """Reasoning, as the real list tells it of models of that family."""
    if name.startswith(("gpt-5", "gpt-6")):
        return {"reasoning_effort": ["low", "medium", "high", *(["xhigh"] if "codex" in name else [])]}
    version = Abilities(name).claude
    if version is None:
        return {}
    if version > (4, 5):
        return {"adaptive_thinking": True, "reasoning_effort": ["low", "medium", "high"]}
    return {"min_thinking_budget": 1024, "max_thinking_budget": 32_000}


def _authorization(scope: Scope) -> str:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization"), "")


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


def _dump(value: object) -> bytes:
    return json.dumps(value).encode()
