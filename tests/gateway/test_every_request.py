"""Every request that arrives is seen exactly once in the log, in the metrics and in the list of requests, whatever became of it."""

import asyncio
import json

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.said import configure, restored

from rightseat.simulator.script import Rule, Script

KEY = "client-key-0123456789"
ADMIN = {"authorization": "Bearer management-key-0123456789"}
SETTINGS = {"keys": [KEY], "management_key": "management-key-0123456789", "body_limit": 100_000}
ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: hello"}]}
CHAT = "/v1/chat/completions"

# method, path, key, body, route, status
REQUESTS = {
    "answered": ("POST", CHAT, KEY, ASK, "chat", 200),
    "without a key": ("POST", CHAT, "", ASK, "chat", 401),
    "with a wrong key": ("POST", "/v1/messages", "wrong-key-0123456789", ASK, "messages", 401),
    "no such path": ("GET", "/v1/nothing", KEY, None, "other", 404),
    "no such path, without a key": ("GET", "/v1/nothing", "", None, "other", 401),
    "another method": ("DELETE", "/v1/models", KEY, None, "other", 405),
    "too large": ("POST", "/v1/responses", KEY, {**ASK, "x": "y" * 200_000}, "responses", 413),
    "no JSON": ("POST", CHAT, KEY, "{", "chat", 400),
    "no such model": ("POST", CHAT, KEY, {**ASK, "model": "none"}, "chat", 404),
    "no model at all": ("POST", "/v1/embeddings", KEY, {"input": "x"}, "embeddings", 400),
    "counted": ("POST", "/v1/messages/count_tokens", KEY, ASK, "count_tokens", 200),
    "listed": ("GET", "/v1/models", KEY, None, "models", 200),
    "management without its key": ("GET", "/v0/management/accounts", "", None, "accounts", 401),
}


async def seen(served, request_id, stream):
    """Lines of the log, entries of the list, and the counts of requests by (route, status), of one request."""
    lines = [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == "request"]
    async with aiohttp.ClientSession(headers=ADMIN) as http:
        async with http.get(f"{served.url}/v0/management/requests") as response:
            listed = (await response.json())["requests"]
        async with http.get(f"{served.url}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
    samples = [s for f in families for s in f.samples if s.name == "rightseat_http_requests_total"]
    counted = {(s.labels["route"], int(s.labels["status"])): s.value for s in samples}
    ours = [[one for one in found if one["request_id"] == request_id] for found in (lines, listed)]
    return *ours, counted


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_is_seen_once_everywhere(gateway, name):
    method, path, key, body, route, status = REQUESTS[name]
    with restored():
        stream = configure("json")
        served = await gateway(settings=SETTINGS)
        data = body if isinstance(body, str) else json.dumps(body) if body is not None else None
        headers = {"x-request-id": "request-0001", **({"x-api-key": key} if key else {})}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, served.url + path, data=data, headers=headers) as response,
        ):
            await response.read()
            assert response.status == status
        (line,), (entry,), counted = await seen(served, "request-0001", stream)
    assert (line["status"], entry["status"], line["method"]) == (status, status, method)
    assert counted[route, status] == 1
    assert bool(line["error"]) == (status >= 400)
    assert not entry["under_way"]


async def test_a_client_that_left_is_seen_once_as_499(gateway):
    script = Script([Rule(when="slow", text="word " * 1000)])
    with restored():
        stream = configure("json")
        served = await gateway(settings=SETTINGS, script=script, pace=20)
        headers = {"x-request-id": "request-0001", "x-api-key": KEY}
        body = {**ASK, "stream": True, "messages": [{"role": "user", "content": "slow"}]}
        async with (
            aiohttp.ClientSession() as http,
            http.post(served.url + CHAT, json=body, headers=headers) as response,
        ):
            await response.content.readany()
            response.close()
        async with asyncio.timeout(10):
            while True:
                lines, entries, counted = await seen(served, "request-0001", stream)
                if lines:
                    break
                await asyncio.sleep(0.02)
    assert [one["status"] for one in (*lines, *entries)] == [499, 499]
    assert counted["chat", 499] == 1
    assert ("chat", 200) not in counted


async def test_what_is_asked_all_the_time_is_counted_and_shown_only_where_it_fails(gateway):
    with restored():
        stream = configure("json", "debug")
        served = await gateway(settings=SETTINGS)
        async with aiohttp.ClientSession(headers={"x-request-id": "request-0001"}) as http:
            for path in ("/healthz", "/readyz", "/ui/app.js", "/openapi.json"):
                async with http.get(served.url + path) as response:
                    assert response.status == 200
        lines, entries, counted = await seen(served, "request-0001", stream)
    assert {line["level"] for line in lines} == {"debug"}
    assert len(lines) == 4
    assert entries == []
    assert [counted[route, 200] for route in ("alive", "ready", "app.js", "openapi")] == [1, 1, 1, 1]


async def test_the_last_minutes_count_requests_that_were_refused(gateway):
    served = await gateway(settings=SETTINGS)
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.post(served.url + CHAT, json=ASK) as response:
                assert response.status == 401
        async with http.get(f"{served.url}/healthz") as response:
            assert response.status == 200
        async with http.get(f"{served.url}/v0/management/overview", headers=ADMIN) as response:
            total = (await response.json())["history"]["total"]
    assert (total["requests"], total["errors"]) == (3, 3)


@pytest.mark.parametrize("logged_in", [True, False])
async def test_of_a_name_that_a_client_invents_only_a_little_is_kept_and_no_secret(gateway, logged_in):
    token = "ghp_" + "a1B2" * 9
    with restored():
        stream = configure("json")
        served = await gateway(settings=SETTINGS, logged_in=logged_in)
        for name in (f"model-{token}", "m" * 50_000):
            headers = {"x-request-id": "request-0001", "x-api-key": KEY}
            async with (
                aiohttp.ClientSession() as http,
                http.post(served.url + CHAT, json={**ASK, "model": name}, headers=headers) as response,
            ):
                assert response.status >= 400
        lines, entries, _ = await seen(served, "request-0001", stream)
    assert len(lines) == len(entries) == 2
    for one in (*lines, *entries):
        assert token not in json.dumps(one)
        assert len(one["asked_for"]) < 300 > len(one["model"])
