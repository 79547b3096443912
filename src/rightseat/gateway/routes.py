"""Every path that is served, in one table: the router reads it, and the OpenAPI document is made of it, so that both agree."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from rightseat import __version__

MANAGEMENT = "/v0/management"


class Route(Struct, frozen=True):
    """One operation.

    Attributes:
        method: the HTTP method.
        path: with {names} for what varies.
        name: the operation's id.
        summary: one line.
        tag: the group.
        body: the request's body: field -> (JSON type, whether it must be there); None: there is none.
        streams: the answer may be an event stream.
        status: of the answer when all is well.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    body: dict[str, tuple[str, bool]] | None = None
    streams: bool = False
    status: int = 200

    @property
    def needs_key(self) -> bool:
        """A key must be shown, if there are any."""
        return self.tag not in ("open", "page")

    @property
    def scope(self) -> str:
        """What the key must be good for; see keys.key.SCOPES."""
        return _SCOPES.get(self.name, "chat")


_SCOPES = {"embeddings": "embeddings", "models": "models", "model": "models", "metrics": "metrics"}  # the others: chat

_CHAT = {
    "model": ("string", True),
    "messages": ("array", True),
    "stream": ("boolean", False),
    "tools": ("array", False),
}
_RESPONSES = {"model": ("string", True), "input": ("", True), "stream": ("boolean", False), "tools": ("array", False)}
_KEY = {
    "name": ("string", True), "scopes": ("array", False), "models": ("array", False), "requests_per_minute": ("number", False),
    "tokens_per_minute": ("number", False), "daily_tokens": ("integer", False), "monthly_tokens": ("integer", False), "expires_in": ("number", False),
}  # fmt: skip
_LOGIN = {"host": ("string", False)}

ROUTES = (
    Route("GET", "/health", "health", "Whether the gateway is up", "open"),
    Route("GET", "/healthz", "alive", "Whether the gateway is up, for orchestrators", "open"),
    Route("GET", "/readyz", "ready", "Whether it can serve requests: 503 with the reasons if not", "open"),
    Route("GET", "/ui", "page", "The web page: chat and dashboard", "page"),
    Route("GET", "/ui/app.js", "app.js", "Its program", "page"),
    Route("GET", "/ui/markdown.js", "markdown.js", "Its rendering of answers", "page"),
    Route("GET", "/ui/dashboard.js", "dashboard.js", "Its dashboard", "page"),
    Route("GET", "/ui/style.css", "style.css", "Its looks", "page"),
    Route("GET", "/metrics", "metrics", "Prometheus metrics; where keys are needed, a key with the scope metrics or the management key", "metrics"),
    Route("GET", "/openapi.json", "openapi", "This document", "open"),
    Route("POST", "/v1/chat/completions", "chat", "OpenAI chat completions", "openai", _CHAT, streams=True),
    Route("POST", "/v1/responses", "responses", "OpenAI responses; with an Upgrade, over a WebSocket", "openai", _RESPONSES, streams=True),
    Route("POST", "/v1/embeddings", "embeddings", "OpenAI embeddings", "openai", {"model": ("string", True), "input": ("", True)}),
    Route("GET", "/v1/models", "models", "The models; in Anthropic's form with the header anthropic-version", "openai"),
    Route("GET", "/v1/models/{model}", "model", "One model", "openai"),
    Route("POST", "/v1/messages", "messages", "Anthropic messages", "anthropic", {**_CHAT, "max_tokens": ("integer", False)}, streams=True),
    Route("POST", "/v1/messages/count_tokens", "count_tokens", "How long a request is, estimated on the high side", "anthropic",
          {"model": ("string", True), "messages": ("array", True)}),
    Route("GET", f"{MANAGEMENT}/health", "management_health", "Accounts, models and load at a glance", "management"),
    Route("GET", f"{MANAGEMENT}/models", "management_models", "The models by provider, as the API gives them", "management"),
    Route("GET", f"{MANAGEMENT}/accounts", "accounts", "The accounts and their tokens, masked", "management"),
    Route("POST", f"{MANAGEMENT}/accounts", "account_add", "Begin a device login", "management", _LOGIN, status=202),
    Route("DELETE", f"{MANAGEMENT}/accounts/{{account}}", "account_remove", "Forget an account", "management"),
    Route("POST", f"{MANAGEMENT}/accounts/{{account}}/refresh", "account_refresh", "Fetch a new token now", "management"),
    Route("GET", f"{MANAGEMENT}/accounts/{{account}}/quota", "account_quota", "What the account may still use", "management"),
    Route("GET", f"{MANAGEMENT}/keys", "keys", "The gateway's own keys, their limits and what they used", "management"),
    Route("POST", f"{MANAGEMENT}/keys", "key_create", "Make a key; its text is in this answer and nowhere else", "management", _KEY, status=201),
    Route("DELETE", f"{MANAGEMENT}/keys/{{key}}", "key_revoke", "End a key, for good", "management"),
    Route("POST", f"{MANAGEMENT}/keys/{{key}}/rotate", "key_rotate", "A new secret for a key", "management", {"grace_seconds": ("number", False)}),
    Route("GET", f"{MANAGEMENT}/logins/{{login}}", "login", "How a device login stands", "management"),
    Route("DELETE", f"{MANAGEMENT}/logins/{{login}}", "login_cancel", "Give a device login up", "management"),
    Route("GET", f"{MANAGEMENT}/overview", "overview", "Load, tokens and latency of the last minutes, for the dashboard", "management"),
    Route("GET", f"{MANAGEMENT}/config", "config", "The settings in force, masked", "management"),
    Route("GET", f"{MANAGEMENT}/requests", "requests", "The last requests: facts, never what was said; ?limit=N", "management"),
)  # fmt: skip

_EXACT = {(r.method, r.path): r for r in ROUTES if "{" not in r.path}
_VARYING = [(r.method, r.path.split("/"), r) for r in ROUTES if "{" in r.path]
# Clients leave /v1 out, or look at the root first.
_SHORT = {(r.method, r.path.removeprefix("/v1")): r for r in ROUTES if r.path.startswith("/v1/")}
_EXACT |= {key: route for key, route in _SHORT.items() if "{" not in key[1]} | {("GET", "/"): ROUTES[0]}
_VARYING += [(method, path.split("/"), route) for (method, path), route in _SHORT.items() if "{" in path]


def find(method: str, path: str) -> tuple[Route, str] | None:
    """The route of a request, and what stands for the name in its path; None: there is none."""
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


def openapi(url: str = "") -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, dict[str, Any]] = {}
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


def _operation(route: Route) -> dict[str, Any]:
    said: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
    if route.streams:
        said["text/event-stream"] = {"schema": {"type": "string"}}
    wrong = {"description": "What is wrong", "content": {"application/json": {"schema": {"type": "object"}}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {str(route.status): {"description": "All is well", "content": said}, "default": wrong},
    }
    if route.needs_key:
        operation["security"] = [{"bearer": []}, {"key": []}]
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
    ]
    if route.name == "requests":
        limit = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
        parameters.append({"name": "limit", "in": "query", "required": False, "schema": limit})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = {
            "type": "object",
            "properties": {name: {"type": kind} if kind else {} for name, (kind, _) in route.body.items()},
            "required": [name for name, (_, must) in route.body.items() if must],
        }
        needed = bool(schema["required"])
        operation["requestBody"] = {"required": needed, "content": {"application/json": {"schema": schema}}}
    return operation
