"""Every path that is served, in one table: the router reads it, and the OpenAPI document is made of it, so that both agree."""

from __future__ import annotations

from msgspec import Struct

from rightseat import __version__
from rightseat.gateway.schemas import body_schema
from rightseat.json_types import JsonObject
from rightseat.wire.dialect import Dialect
from rightseat.wire.dialects import ALL, COMPLETIONS

MANAGEMENT = "/v0/management"


class Route(Struct, frozen=True):
    """One operation.

    Attributes:
        method: the HTTP method.
        path: with {names} for what varies.
        name: the operation's id.
        summary: one line.
        tag: the group.
        endpoint: who serves it, by its name in `app`.
        scope: what a key must be good for, see `keys.SCOPES`; "management" for the management key; "" for no key at all.
        dialect: the dialect of its errors and answers; "" for what the client's headers say.
        operation: "chat" or "embeddings" for calls of a model; "" for all else.
        quiet: asked so often that only failures of it are listed: probes, metrics, pages.
        body: the request's body: field -> (JSON type, whether it must be there); None: there is none.
        streams: the answer may be an event stream.
        status: of the answer when all is well.
        kind: the media type of the answer.
        fails: statuses of an answer that is no error but says that all is not well -> what they say.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    endpoint: str
    scope: str = ""
    dialect: str = ""
    operation: str = ""
    quiet: bool = False
    body: dict[str, tuple[str, bool]] | None = None
    streams: bool = False
    status: int = 200
    kind: str = "application/json"
    fails: tuple[tuple[int, str], ...] = ()


_KEY = {
    "name": ("string", True), "scopes": ("array", False), "models": ("array", False), "requests_per_minute": ("number", False),
    "tokens_per_minute": ("number", False), "daily_tokens": ("integer", False), "monthly_tokens": ("integer", False), "expires_in": ("number", False),
}  # fmt: skip


def _page(path: str, name: str, summary: str, kind: str) -> Route:
    return Route("GET", path, name, summary, "page", "page", quiet=True, kind=kind)


def _conversation(dialect: Dialect) -> Route:
    at = dialect.endpoint
    return Route(
        "POST", at.path, dialect.name, at.summary, at.tag, dialect.name, "chat", dialect.name if dialect in ALL else "chat", "chat",
        body=dict(at.fields), streams=True,
    )  # fmt: skip


def _management(
    method: str, path: str, name: str, summary: str, body: dict[str, tuple[str, bool]] | None = None, status: int = 200
) -> Route:
    return Route(
        method, MANAGEMENT + path, name, summary, "management", "management", "management",
        quiet=method == "GET", body=body, status=status,
    )  # fmt: skip


ROUTES = (
    Route("GET", "/health", "health", "Liveness probe", "open", "health", quiet=True),
    Route("GET", "/healthz", "alive", "Liveness probe, for orchestrators", "open", "health", quiet=True),
    Route("GET", "/readyz", "ready", "Readiness probe: 503 with the reasons while requests cannot be served", "open", "ready", quiet=True, fails=((503, "Not ready, with the reasons"),)),
    _page("/ui", "page", "The web page: chat and dashboard", "text/html"),
    _page("/ui/app.js", "app.js", "The page's script", "text/javascript"),
    _page("/ui/markdown.js", "markdown.js", "The script that renders answers", "text/javascript"),
    _page("/ui/dashboard.js", "dashboard.js", "The dashboard's script", "text/javascript"),
    _page("/ui/style.css", "style.css", "The page's style sheet", "text/css"),
    Route("GET", "/metrics", "metrics", "Prometheus metrics; if keys are required, a key with the scope metrics or the management key", "metrics", "metrics", "metrics", quiet=True, kind="text/plain"),
    Route("GET", "/openapi.json", "openapi", "This document", "open", "openapi", quiet=True),
    *(_conversation(dialect) for dialect in (*ALL, COMPLETIONS)),
    Route("POST", "/v1/responses/compact", "compact", "Compact a conversation: the items that take its place", "openai", "compact", "chat", "responses", "chat", body={"model": ("string", True), "input": ("", True)}),
    Route("POST", "/v1/responses/input_tokens", "input_tokens", "Count the input tokens of a response, estimated on the high side", "openai", "input_tokens", "chat", "responses", body={"model": ("string", True), "input": ("", True)}),
    Route("POST", "/v1/alpha/search", "search", "Search the web for Codex, with the model of the setting search_model", "openai", "search", "chat", "responses", "chat", body={"model": ("string", True), "commands": ("object", True)}),
    Route("POST", "/v1/embeddings", "embeddings", "OpenAI embeddings", "openai", "embeddings", "embeddings", "embeddings", "embeddings", body={"model": ("string", True), "input": ("", True)}),
    Route("GET", "/v1/models", "models", "The models; in Anthropic's form with the header anthropic-version", "openai", "models", "models"),
    Route("GET", "/v1/models/{model}", "model", "One model", "openai", "model", "models"),
    Route("POST", "/v1/messages/count_tokens", "count_tokens", "Count the input tokens of a request, estimated on the high side", "anthropic", "count_tokens", "chat", "messages",
          body={"model": ("string", True), "messages": ("array", True)}),
    _management("GET", "/health", "management_health", "Overview of accounts, models and load"),
    _management("GET", "/models", "management_models", "The models by provider, as upstream returns them"),
    _management("GET", "/accounts", "accounts", "The accounts and their tokens, masked"),
    _management("POST", "/accounts", "account_add", "Start a device login, at github.com or a tenant of ghe.com", {"host": ("string", False)}, 202),
    _management("DELETE", "/accounts/{account}", "account_remove", "Remove an account"),
    _management("POST", "/accounts/{account}/refresh", "account_refresh", "Renew the token now"),
    _management("GET", "/accounts/{account}/quota", "account_quota", "The quota of an account"),
    _management("GET", "/keys", "keys", "The gateway's keys with their limits and usage"),
    _management("POST", "/keys", "key_create", "Create a key; its secret is shown only in this answer", _KEY, 201),
    _management("DELETE", "/keys/{key}", "key_revoke", "Revoke a key"),
    _management("POST", "/keys/{key}/rotate", "key_rotate", "Rotate a key: give it a new secret", {"grace_seconds": ("number", False)}),
    _management("GET", "/logins/{login}", "login", "The state of a device login"),
    _management("DELETE", "/logins/{login}", "login_cancel", "Cancel a device login"),
    _management("GET", "/overview", "overview", "Load, tokens and latency of the last minutes, for the dashboard"),
    _management("GET", "/config", "config", "The settings in force, masked"),
    _management("GET", "/requests", "requests", "The last requests, without prompts and answers; ?limit=N"),
)  # fmt: skip

# The two sockets: their handshakes are requests like any other, and what comes over them is served by the rows above.
SOCKETS = {
    "/v1/responses": Route("GET", "/v1/responses", "responses_socket", "OpenAI responses over a WebSocket", "openai", "responses_socket", "chat", "responses"),
    "/v1/ws": Route("GET", "/v1/ws", "multiplex", "Many requests over one WebSocket", "openai", "multiplex", "chat"),
}  # fmt: skip
# A request to an unknown path: it is counted and listed under this name.
UNKNOWN = Route("GET", "", "unknown", "The path is not served", "open", "")

_EXACT = {(r.method, r.path): r for r in ROUTES if "{" not in r.path}
_VARYING = [(r.method, r.path.split("/"), r) for r in ROUTES if "{" in r.path]
# Clients leave /v1 out, or look at the root first.
_SHORT = {(r.method, r.path.removeprefix("/v1")): r for r in ROUTES if r.path.startswith("/v1/")}
_EXACT |= {key: route for key, route in _SHORT.items() if "{" not in key[1]} | {("GET", "/"): ROUTES[0]}
_VARYING += [(method, path.split("/"), route) for (method, path), route in _SHORT.items() if "{" in path]


def find(method: str, path: str) -> tuple[Route, str] | None:
    """The route of a request, and the value of the parameter in its path; None: there is no route."""
    method = "GET" if method == "HEAD" else method
    path = path.rstrip("/") or "/"
    if (route := _EXACT.get((method, path))) is not None:
        return route, ""
    parts = path.split("/")
    for wanted, pattern, route in _VARYING:
        last = len(pattern) - 1
        if wanted != method or len(parts) < len(pattern):
            continue
        if len(parts) > len(pattern) and not pattern[last].startswith("{"):
            continue  # only a name at the end may hold slashes
        fits = [p.startswith("{") or p == part for p, part in zip(pattern, parts, strict=False)]
        if all(fits):
            at = next(i for i, p in enumerate(pattern) if p.startswith("{"))
            return route, "/".join(parts[at:]) if at == last else parts[at]
    return None


def socket_at(path: str) -> Route:
    """The socket that is opened at a path."""
    path = path.rstrip("/")
    return SOCKETS.get(path if path.startswith("/v1/") else f"/v1{path}", UNKNOWN)


def others(path: str) -> dict[str, Route]:
    """What is served at a path: method -> route. A name with slashes in it stands for nothing here."""
    found = {method: find(method, path) for method in ("GET", "POST", "DELETE")}
    return {method: one[0] for method, one in found.items() if one is not None and "/" not in one[1]}


def openapi(url: str = "") -> JsonObject:
    """The OpenAPI 3.1 document."""
    paths: dict[str, JsonObject] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rightseat",
            "version": __version__,
            "description": "Copilot for OpenAI and Anthropic clients.",
        },
        "servers": [{"url": url or "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "object", "required": ["message", "type"]}},
                }
            },
        },
    }


def _operation(route: Route) -> JsonObject:
    said: JsonObject = {route.kind: {"schema": {"type": "object" if "json" in route.kind else "string"}}}
    if route.streams:
        said["text/event-stream"] = {"schema": {"type": "string"}}
    wrong = {"description": "An error", "content": {"application/json": {"schema": {"type": "object"}}}}
    operation: JsonObject = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {
            str(route.status): {"description": "Success", "content": said},
            **{str(status): {"description": text, "content": said} for status, text in route.fails},
            "default": wrong,
        },
    }
    if route.scope:
        # A gateway without keys lets everybody in, but for management.
        free: list[JsonObject] = [] if route.scope == "management" else [{}]
        operation["security"] = [{"bearer": []}, {"key": []}, *free]
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters: list[JsonObject] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    if route.name == "requests":
        limit = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
        parameters.append({"name": "limit", "in": "query", "required": False, "schema": limit})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = body_schema(route.name, route.body)
        needed = bool(schema["required"])
        operation["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schema}}}
    return operation
