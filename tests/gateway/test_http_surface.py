"""The surface of HTTP, on real sockets: methods, paths, heads and connections as RFC 9110 and 9112 have them, errors in the dialect of each route."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from rightseat.gateway.routes import ROUTES


@pytest.fixture(params=["core+direct", "uvicorn+aiohttp"])
def http_server(request):
    """Each promise is kept by both servers."""
    return request.param


KEY, ADMIN = "client-key-0123456789", "management-key-0123456789"
SETTINGS = {"keys": (KEY,), "management_key": ADMIN, "allowed_origins": ("https://page.example",)}
MINE = f"authorization: Bearer {KEY}"


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", "host: 127.0.0.1", *fields, "", "")).encode()


class Connection:
    """One connection of a client."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes, *, bodiless: bool = False):
        """The status, the fields and the body of an answer."""
        self.writer.write(data)
        async with asyncio.timeout(10):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
            length = 0 if bodiless else int(dict(fields).get("content-length", "0"))
            return int(lines[0].split(" ")[1]), fields, await self.reader.readexactly(length)

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            return await self.reader.read() == b""


@contextlib.asynccontextmanager
async def connected(served):
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def test_head_is_get_without_its_body(gateway):
    served = await gateway(settings=SETTINGS)
    async with connected(served) as one:
        for route in ROUTES:
            if route.method == "GET" and "{" not in route.path:
                field = f"authorization: Bearer {ADMIN if route.scope == 'management' else KEY}"
                status, fields, _ = await one.ask(head(f"HEAD {route.path}", field), bodiless=True)
                again, whole, body = await one.ask(head(f"GET {route.path}", field))
                assert (status, dict(fields)["content-type"]) == (again, dict(whole)["content-type"]), route.path
                assert int(dict(fields)["content-length"]) > 0
                assert body


async def test_what_a_page_may_ask_and_a_method_that_a_path_does_not_take(gateway):
    served = await gateway(settings=SETTINGS)
    async with connected(served) as one:
        status, fields, _ = await one.ask(head("OPTIONS /v1/models", "origin: https://page.example"))
        assert (status, dict(fields)["access-control-allow-origin"]) == (204, "https://page.example")
        assert not {"content-length", "content-type", "transfer-encoding"} & set(dict(fields))
        assert (await one.ask(head("OPTIONS /v1/models", "origin: https://evil.example")))[0] == 403
        status, fields, _ = await one.ask(head("OPTIONS /v1/models", MINE))
        assert (status, dict(fields)["allow"]) == (405, "HEAD, GET")
        status, fields, _ = await one.ask(head("GET /v1/chat/completions", MINE))
        assert (status, dict(fields)["allow"]) == (405, "POST")
        assert (await one.ask(head("PATCH /v1/models")))[0] == 401  # who asks comes first
        for odd in ("connection: upgrade", "upgrade: h2c"), ("connection: upgrade", "upgrade: foo"):
            assert (await one.ask(head("GET /v1/ws", MINE, *odd)))[0] == 404


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/models/a%2Fb", b"the model 'a/b' does not exist"),
        ("/v1/models/%00%0d%0ax", b"does not exist"),
        ("/v1/%2e%2e/models", b"no such endpoint"),
        ("/v1%2Fmodels%2Fnone", b"the model 'none' does not exist"),
        ("/v1/models/%ff", b"does not exist"),
    ],
)
async def test_a_path_is_what_it_stands_for(gateway, path, said):
    served = await gateway(settings=SETTINGS)
    async with connected(served) as one:
        status, fields, body = await one.ask(head(f"GET {path}", MINE))
        assert (status, said in body) == (404, True), body
        assert len([name for name, _ in fields if name == "x-request-id"]) == 1


async def test_fields_that_are_repeated(gateway, http_server):
    served = await gateway(settings=SETTINGS)
    for fields, status in (
        ((MINE, MINE), 401),  # RFC 9110, section 5.3: they are one, and no key
        ((MINE, "host: evil.example"), 400 if http_server == "core+direct" else 403),
        ((MINE, "content-length: 2", "content-length: 3"), 400),
        ((MINE, "x-request-id: request-0001", "x-request-id: request-0002"), 200),
    ):
        async with connected(served) as one:
            assert (await one.ask(head("GET /v1/models", *fields)))[0] == status, fields


async def test_a_connection_goes_on_after_errors_and_never_with_a_body_unread(gateway):
    served = await gateway(settings=SETTINGS)
    body = json.dumps({"model": "none", "messages": []}).encode()
    length = f"content-length: {len(body)}"
    async with connected(served) as one:
        assert (await one.ask(head("GET /v1/nothing", MINE)))[0] == 404
        assert (await one.ask(head("POST /v1/chat/completions", MINE, length) + body))[0] == 404
        assert (await one.ask(head("POST /v1/messages", MINE, "content-length: 0")))[0] == 400
        status, fields, _ = await one.ask(head("POST /v1/chat/completions", length) + body)  # refused by its head
        assert (status, dict(fields)["connection"]) == (401, "close")
        assert await one.ended()


async def test_nobody_is_asked_for_a_body_that_is_not_wanted(gateway):
    served = await gateway(settings={**SETTINGS, "body_limit": 100})
    body = json.dumps({"model": "none", "messages": []}).encode()
    for fields, status in (((), 401), ((MINE,), 413)):
        size = len(body) if status == 401 else 1000
        asked = head("POST /v1/chat/completions", "expect: 100-continue", f"content-length: {size}", *fields)
        async with connected(served) as one:
            assert (await one.ask(asked))[0] == status
            assert await one.ended()
    async with connected(served) as one:
        asked = head("POST /v1/chat/completions", "expect: 100-continue", f"content-length: {len(body)}", MINE)
        assert (await one.ask(asked))[0] == 100
        assert (await one.ask(body))[0] == 404


async def test_an_empty_body_of_a_limited_key_is_answered_at_once(gateway):
    served = await gateway(settings={"management_key": ADMIN, "body_seconds": 60})
    async with aiohttp.ClientSession() as http:
        asked = {"name": "x", "daily_tokens": 1000, "requests_per_minute": 100}
        headers = {"authorization": f"Bearer {ADMIN}"}
        async with http.post(f"{served.url}/v0/management/keys", json=asked, headers=headers) as response:
            key = (await response.json())["key"]
    async with connected(served) as one, asyncio.timeout(5):
        for path in ("/v1/chat/completions", "/v1/messages/count_tokens", "/v1/embeddings"):
            assert (await one.ask(head(f"POST {path}", f"x-api-key: {key}", "content-length: 0")))[0] == 400


@pytest.mark.parametrize("more", ["", "/nothing"])
@pytest.mark.parametrize(
    ("path", "anthropic"),
    [
        ("/v1/chat/completions", False),
        ("/v1/responses", False),
        ("/v1/embeddings", False),
        ("/v1/messages", True),
        ("/messages/count_tokens", True),
    ],
)
async def test_every_route_has_its_dialect_of_errors_whatever_is_wrong(gateway, path, anthropic, more):
    served = await gateway(settings=SETTINGS)
    version = ("anthropic-version: 2023-06-01",) if more and anthropic else ()
    asked = [
        head(f"POST {path}{more}", *version),
        head(f"POST {path}{more}", MINE, "content-length: 1", *version) + b"{",
    ]
    asked += [head(f"{method} {path}{more}", MINE, *version) for method in ("GET", "DELETE")]
    for data in asked:
        async with connected(served) as one:
            status, fields, body = await one.ask(data)
        assert status >= 400
        said = json.loads(body)
        assert (said.get("type") == "error") is anthropic, (data, body)
        assert said["error"]["message"]
        assert dict(fields)["content-type"] == "application/json"
        if anthropic:
            assert dict(fields)["request-id"] == dict(fields)["x-request-id"] == said["request_id"]


async def seen_of(one):
    """What was asked and how it was answered, the newest first; from the list for people."""
    status, _, body = await one.ask(head("GET /v0/management/requests?limit=100", f"authorization: Bearer {ADMIN}"))
    assert status == 200
    return [(r["method"], r["path"], r["status"], r["code"]) for r in json.loads(body)["requests"]]


@pytest.mark.parametrize(
    ("sent", "asked", "status", "code"),
    [
        (b"nonsense\r\n\r\n", ("GET", "/"), 400, "malformed_request"),
        (b"POST /v1/messages HTTP/9.9\r\n\r\n", ("POST", "/v1/messages"), 400, "malformed_request"),
        (head("GET /v1/models?a=secret", "x-a: " + "y" * 70_000), ("GET", "/v1/models"), 431, "head_too_large"),
        (b"GET /v1/models HTTP/1.1\r\nhost: 127", ("GET", "/v1/models"), 408, "head_timeout"),
        (
            head("GET /v1/ws", "connection: upgrade", "upgrade: websocket", "sec-websocket-version: 12"),
            ("GET", "/v1/ws"),
            400,
            "handshake",
        ),
        (
            head("POST /v1/ws", "connection: upgrade", "upgrade: websocket", "content-length: 0"),
            ("POST", "/v1/ws"),
            400,
            "handshake",
        ),
    ],
)
async def test_a_head_that_cannot_be_served_is_an_error_of_ours_and_seen_once(gateway, sent, asked, status, code):
    """B15."""
    served = await gateway(settings={**SETTINGS, "header_seconds": 0.3, "metrics": True})
    async with connected(served) as bad:
        told, fields, body = await bad.ask(sent)
        assert (told, dict(fields)["content-type"]) == (status, "application/json")
        error = json.loads(body)
        assert ("type" in error) == (asked[1] == "/v1/messages"), error  # Anthropic's form
        assert await bad.ended()
    async with connected(served) as good:
        (seen,) = await seen_of(good)
        assert seen in ((*asked, status, code), (*asked, status, "grammar"))
        _, _, page = await good.ask(head("GET /metrics", f"authorization: Bearer {ADMIN}"))
        counted = [line for line in page.decode().splitlines() if f'status="{status}"' in line and "_total" in line]
        assert [line for line in counted if line.endswith((" 1.0", " 1"))], counted


async def test_connections_beyond_the_limit_are_told_so_in_json_and_seen(gateway):
    served = await gateway(settings={**SETTINGS, "connections": 2})
    upgrade = (
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: " + "A" * 22 + "==",
    )
    async with connected(served) as one:
        async with connected(served), connected(served) as third:
            assert (await one.ask(head("GET /health")))[0] == 503
            status, fields, body = await third.ask(head("GET /v1/models", MINE))
            assert (status, json.loads(body)["error"]["code"]) == (503, "too_many_connections")
            assert dict(fields)["retry-after"] == "1"
        async with connected(served), connected(served) as third:
            status, _, body = await third.ask(head("GET /v1/ws", *upgrade))
            assert (status, json.loads(body)["error"]["code"]) == (503, "too_many_connections")
    async with connected(served) as one:
        seen = await seen_of(one)
        assert [each for each in seen if each[3] == "too_many_connections"] == [
            ("GET", "/v1/ws", 503, "too_many_connections"),
            ("GET", "/v1/models", 503, "too_many_connections"),
            ("GET", "/health", 503, "too_many_connections"),
        ]


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/responses"])
async def test_a_socket_that_is_opened_is_seen_once(gateway, path):
    served = await gateway(settings=SETTINGS)
    async with aiohttp.ClientSession() as http, connected(served) as one:
        async with http.ws_connect(f"{served.url}{path}", headers={"authorization": f"Bearer {KEY}"}):
            assert await seen_of(one) == [("GET", path, 101, None)]
        assert len(await seen_of(one)) == 1


async def test_frames_that_make_no_sense_count_as_requests_of_the_key(gateway):
    served = await gateway(settings={"management_key": ADMIN})
    async with connected(served) as one, aiohttp.ClientSession() as http:
        asked = json.dumps({"name": "ann", "requests_per_minute": 3}).encode()
        fields = (f"authorization: Bearer {ADMIN}", f"content-length: {len(asked)}")
        status, _, made = await one.ask(head("POST /v0/management/keys", *fields) + asked)
        assert status == 201, made
        key = json.loads(made)["key"]
        async with http.ws_connect(f"{served.url}/v1/ws") as ws:
            await ws.send_json({"type": "hello", "key": key})
            assert (await ws.receive_json())["type"] == "session"
            codes = []
            for said in ("nonsense", '{"type":"dance","id":"a"}', '{"type":"request","id":"a","path":"/x"}', "[]", "1"):
                await ws.send_str(said)
                codes.append((await ws.receive_json())["status"])
        assert codes == [400, 400, 400, 429, 429]
