"""What an attacker sends: each ends in a clear refusal, nothing is done by it, and others go on."""

import asyncio
import gzip
import json
import statistics
import sys
import time
import tracemalloc
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from rightseat.gateway.routes import ROUTES, find

sys.path.insert(0, str(Path(__file__).parent))
from smuggling import corpus

ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: fine"}]}
ADMIN = "management-key-0123456789"


async def raw(url, data, patience=0.3):
    """What comes back for some bytes, and whether the connection was ended."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    said = b""
    try:
        writer.write(data)
        while True:
            piece = await asyncio.wait_for(reader.read(65536), patience)
            if not piece:
                return said, True
            said += piece
    except TimeoutError:
        return said, False
    except ConnectionError:
        return said, True
    finally:
        writer.close()


async def post(url, body=ASK, **options):
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/chat/completions", json=body, **options) as response,
    ):
        return response.status, await response.read()


async def test_smuggled_requests_are_not_answered(gateway):
    cases = corpus()
    assert len(cases) >= 100
    served = await gateway()
    wrong = []

    async def try_one(name, data):
        said, _ = await raw(served.url, data)
        heads = said.count(b"HTTP/1.1 ")
        if b"smuggled" in said or heads > 1 or b" 200 " in said[:20] or said[9:10] == b"5":
            wrong.append((name, said[:200]))

    for i in range(0, len(cases), 50):
        await asyncio.gather(*(try_one(*case) for case in cases[i : i + 50]))
    assert wrong == []
    # The trick is really one: pipelined honestly, the same request is answered.
    said, _ = await raw(
        served.url, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert b"no such endpoint: GET /smuggled" in said
    assert (await post(served.url))[0] == 200


async def test_a_thousand_slow_heads_are_ended_and_nobody_else_waits(gateway):
    served = await gateway(settings={"header_seconds": 3})
    parts = urlsplit(served.url)

    async def latency():
        times = []
        async with aiohttp.ClientSession() as http:
            for _ in range(40):
                began = time.perf_counter()
                async with http.get(f"{served.url}/health") as response:
                    await response.read()
                times.append(time.perf_counter() - began)
        return statistics.median(times)

    calm = await latency()
    ends = []

    async def drip():
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        began = time.monotonic()
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        said = await reader.read(200)
        ends.append((time.monotonic() - began, said[:12]))
        writer.close()

    drips = [asyncio.ensure_future(drip()) for _ in range(1000)]
    while len(served_connections(drips)) < 1000:
        await asyncio.sleep(0.05)
    busy = await latency()
    await asyncio.gather(*drips)
    assert {said for _, said in ends} == {b"HTTP/1.1 408"}
    assert max(seconds for seconds, _ in ends) < 3 + 3
    assert busy < 2 * calm + 0.002


def served_connections(tasks):
    """Those that wait for an answer."""
    return [task for task in tasks if not task.done() and task.get_stack(limit=1)[-1].f_lineno]


async def test_line_ends_before_a_request_do_not_keep_a_connection(gateway):
    served = await gateway(settings={"header_seconds": 0.3})
    parts = urlsplit(served.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in await reader.read(65536)
    writer.write(b"\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(65536), 3))[:12] == b"HTTP/1.1 408"
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X" * 200_000,
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: y\r\n" * 300 + b"\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused(gateway, head):
    served = await gateway()
    said, ended = await raw(served.url, head)
    assert (said[:12], ended) == (b"HTTP/1.1 431", True)
    assert (await post(served.url))[0] == 200


async def test_a_head_within_the_limit_passes_however_it_is_cut(gateway):
    served = await gateway()
    parts = urlsplit(served.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 8000 + b"\r\n\r\n"
    for i in range(0, len(head), 100):
        writer.write(head[i : i + 100])
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read(65536)).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/messages/count_tokens"]
)
async def test_json_that_is_too_deep_or_too_strange(gateway, path):
    served = await gateway()
    deep = b'{"model":"gpt-4.1","max_tokens":5,"input":%s,"messages":%s}'
    bodies = [
        deep % (b"[" * 100_000 + b"]" * 100_000, b"[]"),
        deep % (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[]"),
        deep % (b"[" * 900 + b"]" * 900, b'[{"role":"user","content":' + b"[" * 900 + b"]" * 900 + b"}]"),
        b'{"model":"gpt-4.1","messages":[' * 3000,
        b'{"model":"\xff\xfe","messages":[]}', b'{"model":"a\\u0000b","messages":[{"role":"user","content":"\\ud800"}]}',
        b"[]", b"null", b'"x"', b"1e999", b"{", b"", b"\xef\xbb\xbf{}", b'{"model":1e400}', b'{"model":"gpt-4.1","messages":[{"role":"user","content":%s}]}' % (b"1" * 5000),
    ]  # fmt: skip
    async with aiohttp.ClientSession() as http:
        for body in bodies:
            async with http.post(
                served.url + path, data=body, headers={"content-type": "application/json"}
            ) as response:
                assert 400 <= response.status < 500, (body[:60], await response.text())
                assert "error" in await response.json()
    assert (await post(served.url))[0] == 200


async def test_a_small_body_that_holds_a_huge_one_is_refused_before_it_is_expanded(gateway):
    bomb = gzip.compress(b"0" * 50_000_000)
    assert len(bomb) < 60_000
    served = await gateway(settings={"body_limit": 1_000_000})
    tracemalloc.start()
    try:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{served.url}/v1/chat/completions", data=bomb, headers={"content-encoding": "gzip"}) as response,
        ):
            assert response.status == 413
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert (await post(served.url))[0] == 200


_TRICKS = [
    "/v1/../v0/management/config", "/v1/%2e%2e/v0/management/config", "//v0/management/config", "/v0//management/config", "/v0/management/config/", "/v0/management/config%00", "/v0/management/../management/config",
    "/V0/Management/Config", "/v0/management/config;a=b", "/v0/management/config?key=x", "/v0%2fmanagement%2fconfig", "/v0\\management\\config", "/v0/management/./config", "/%76%30/management/config", "/v0/management%2fconfig", "/v1/models/../../v0/management/config",
    "/v0/management/accounts/..%2f..%2fetc%2fpasswd/quota", "/v0/management/keys/%2e%2e/rotate", "/health/../v0/management/config",
]  # fmt: skip


@pytest.mark.parametrize("path", _TRICKS)
async def test_no_path_leads_to_management_without_its_key(gateway, path):
    served = await gateway(settings={"management_key": ADMIN, "keys": ["client-key-0123456789"]})
    for key in (b"", b"x-api-key: client-key-0123456789\r\n"):
        said, _ = await raw(
            served.url, b"GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n" % (path.encode(), key)
        )
        assert said[9:12] in (b"400", b"401", b"404", b"405"), said[:200]
        assert b"management_key" not in said
        assert b"root:" not in said


def test_what_stands_for_a_name_in_a_path_is_never_a_path_of_files(tmp_path):
    from rightseat import ConfigError
    from rightseat.accounts.store import FileStore

    for name in ("../x", "..", "a/b", "/etc/passwd", "a\0b", ""):
        with pytest.raises(ConfigError):
            FileStore(tmp_path).load(name)
    assert find("GET", "/v0/management/accounts/a/b/quota") is None


@pytest.mark.parametrize(
    "given",
    [
        {"base_url": "http://169.254.169.254/latest/meta-data"}, {"base_url": "file:///etc/passwd"}, {"base_url": "gopher://localhost:25"}, {"base_url": "http://10.0.0.1"}, {"base_url": "https://user:pass@host"}, {"base_url": "http://[::ffff:169.254.169.254]"},
        {"base_url": "//evil.example"}, {"base_url": "https://"}, {"base_url": "http://0x7f000001.evil.example"}, {"base_url": "https://evil.example/\r\nX: y"}, {"host": "evil.example/x"}, {"host": "http://169.254.169.254"}, {"host": "github.com@evil.example"}, {"host": "evil.example"}, {"host": "evil.example/.ghe.com"}, {"host": "a b.ghe.com"}, {"host": "evil.example?.ghe.com"}, {"host": ".ghe.com"}, {"host": "github.com.evil.example"}, {"base_url": 5}, {"host": ["x"]},
    ],
)  # fmt: skip
async def test_a_login_cannot_be_sent_where_nobody_should_ask(gateway, given):
    served = await gateway(settings={"management_key": ADMIN})
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{served.url}/v0/management/accounts", json=given, headers={"x-api-key": ADMIN}) as response,
    ):
        assert response.status == 400, await response.text()


async def test_a_client_cannot_choose_where_its_request_goes(gateway):
    served = await gateway()
    other = "http://127.0.0.1:1"
    headers = {
        "x-forwarded-host": "evil.example",
        "x-base-url": other,
        "x-original-url": "/v0/management/config",
        "x-rewrite-url": "/v0/management/config",
        "x-http-method-override": "DELETE",
        "forwarded": "host=evil.example",
    }
    status, _ = await post(
        served.url, {**ASK, "base_url": other, "api_base": other, "endpoint": other}, headers=headers
    )
    assert status == 200
    seen = served.app.seen[-1]
    assert not {"x-forwarded-host", "x-base-url", "forwarded"} & set(seen.headers)


async def test_an_answer_that_points_elsewhere_is_not_followed(tmp_path):
    """Upstream is who we think it is, or nobody."""
    from aiohttp import web

    from rightseat.transport.http.aiohttp import AiohttpSender
    from rightseat.transport.http.base import HttpRequest, fetch

    asked = []

    async def handle(request):
        asked.append(request.path)
        return web.Response(status=302, headers={"location": "/secret"})

    app = web.Application()
    app.router.add_route("*", "/{x:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with AiohttpSender() as sender:
        answer = await fetch(sender, HttpRequest("GET", f"http://127.0.0.1:{port}/a"))
    await runner.cleanup()
    assert (answer.status, asked) == (302, ["/a"])


async def test_what_looks_like_html_comes_back_as_json_that_no_browser_guesses_at(gateway):
    served = await gateway()
    evil = "<script>alert(1)</script>"
    async with aiohttp.ClientSession() as http:
        for method, path in (("GET", f"/v1/models/{evil}"), ("GET", f"/{evil}"), ("POST", "/v1/chat/completions")):
            async with http.request(
                method, served.url + path, json={**ASK, "model": evil} if method == "POST" else None
            ) as response:
                assert response.status in (400, 404)
                assert response.content_type == "application/json"
                assert response.headers["x-content-type-options"] == "nosniff"


async def test_no_method_but_those_of_a_route_does_anything(gateway):
    served = await gateway(settings={"management_key": ADMIN})
    async with aiohttp.ClientSession() as http:
        for route in ROUTES:
            path = (
                route.path.replace("{model}", "gpt-4.1")
                .replace("{account}", "x")
                .replace("{login}", "x")
                .replace("{key}", "x")
            )
            for method in ("PUT", "PATCH", "TRACE", "CONNECT2", "DELETE" if route.method != "DELETE" else "PATCH"):
                if any(r.method == method and r.path == route.path for r in ROUTES):
                    continue
                async with http.request(method, served.url + path, headers={"x-api-key": ADMIN}) as response:
                    assert response.status in (400, 404, 405), (method, path)


async def test_a_hundred_thousand_headers_of_a_websocket_and_strange_frames(gateway):
    served = await gateway(settings={"body_limit": 100_000})
    async with aiohttp.ClientSession() as http:
        for frame in (
            "",
            "{",
            "[]",
            "null",
            json.dumps({"type": "x"}),
            json.dumps({"type": "response.create"}),
            json.dumps({"type": "response.create", "model": "gpt-5", "input": {"a": 1}}),
        ):
            async with http.ws_connect(f"{served.url}/v1/responses") as ws:
                await ws.send_str(frame)
                assert (await ws.receive_json())["type"] == "error"
        async with http.ws_connect(f"{served.url}/v1/responses") as ws:
            await ws.send_str("x" * 200_000)
            assert (await ws.receive()).type in (
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.ERROR,
            )
    assert (await post(served.url))[0] == 200
