"""The management API: behind its own key, true to its document, and without a secret in it."""

import asyncio
import json
import re

import aiohttp
import pytest

from rightseat.chat import Reply, TextDelta
from rightseat.gateway.routes import ROUTES, find

KEY = "management-key-of-24-chars"
CLIENT_KEY = "client-key-of-more-than-16"
HEADERS = {"authorization": f"Bearer {KEY}"}
MANAGED = {"keys": (CLIENT_KEY,), "management_key": KEY, "github_host": "{cloud}"}


@pytest.fixture
async def managed(gateway):
    """`served, call = await managed(...)`; `await call("GET", "/accounts")` gives the status and the body."""
    async with aiohttp.ClientSession() as http:

        async def start(**options):
            served = await gateway(**{"settings": MANAGED, **options})

            async def call(method, path, body=None, headers=HEADERS):
                url = f"{served.url}/v0/management{path}"
                async with http.request(method, url, json=body, headers=headers) as response:
                    return response.status, await response.json()

            return served, call

        yield start


async def ask(served, model="gpt-4.1"):
    body = {"model": model, "messages": [{"role": "user", "content": "a private matter"}]}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{served.url}/v1/chat/completions", json=body, headers={"x-api-key": CLIENT_KEY}) as response,
    ):
        return response.status


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": f"Bearer {CLIENT_KEY}"}, {"x-api-key": "wrong-key-of-16-chars"}]
)
async def test_its_own_key_is_needed(managed, headers):
    _, call = await managed(settings={**MANAGED, "lockout_failures": 0})
    for route in ROUTES:
        if route.tag == "management":
            path = (
                route.path.removeprefix("/v0/management")
                .replace("{account}", "ann")
                .replace("{login}", "x")
                .replace("{key}", "k")
            )
            status, body = await call(route.method, path, headers=headers)
            assert (status, body["error"]["code"]) == (401, "invalid_api_key"), route
    assert (await call("GET", "/health"))[0] == 200


async def test_it_is_off_without_a_key_and_never_open_to_clients(managed):
    served, call = await managed(settings={})
    status, body = await call("GET", "/accounts")
    assert (status, "management_key" in body["error"]["message"]) == (403, True)
    async with aiohttp.ClientSession() as http, http.get(f"{served.url}/health") as response:
        assert response.status == 200


async def test_accounts_models_health_and_settings_without_a_secret(managed):
    served, call = await managed()
    assert await ask(served) == 200
    _, health = await call("GET", "/health")
    assert (health["status"], health["accounts"], health["placeholder_models"]) == ("ok", 1, False)
    _, models = await call("GET", "/models")
    assert set(models["providers"]) == {"copilot"}
    (gpt,) = [m for m in models["providers"]["copilot"] if m["id"] == "gpt-5"]
    assert (gpt["provider"], gpt["vendor"], gpt["raw"]["id"]) == ("copilot", "Rightseat", "gpt-5")
    assert (await call("GET", "/models?provider=copilot"))[1] == models
    assert (await call("GET", "/models?provider=openai"))[1]["providers"] == {}
    _, accounts = await call("GET", "/accounts")
    (ann,) = accounts["accounts"]
    assert ann["name"].startswith("ann@")
    assert ann["token_seconds_left"] > 60
    assert ann["cooldowns"] == {}
    _, config = await call("GET", "/config")
    assert config["custom_tools"] == "pass"
    told = json.dumps([health, models, accounts, config])
    for secret in (KEY, CLIENT_KEY, "gho_simulated"):
        assert secret not in told
    assert not re.search(r"tid=\w", told)


async def test_the_last_requests_as_facts_only(managed):
    served, call = await managed()
    await ask(served)
    await ask(served, "no-such-model")
    await ask(served, "gpt-5.3-codex")
    _, body = await call("GET", "/requests")
    newest, unknown, oldest = body["requests"]
    assert (unknown["asked_for"], unknown["status"], unknown["route"]) == ("no-such-model", 404, "chat")
    assert (newest["model"], newest["dialect"], newest["upstream"]) == ("gpt-5.3-codex", "chat", "responses")
    assert (oldest["account"][:4], oldest["status"], oldest["initiator"]) == ("ann@", 200, "user")
    assert oldest["seconds"] >= oldest["head_seconds"] > 0
    assert "private" not in json.dumps(body)
    assert len((await call("GET", "/requests?limit=1"))[1]["requests"]) == 1
    for wrong in ("0", "-1", "x", "1001", "1e3", "²"):
        assert (await call("GET", f"/requests?limit={wrong}"))[0] == 400


async def test_a_request_under_way_is_seen_and_one_that_failed_says_why(managed):
    go = asyncio.Event()

    async def model(request):
        async def run():
            yield TextDelta("a")
            await go.wait()
            raise ConnectionResetError

        return Reply(run())

    served, call = await managed(model=model)
    body = {"model": "gpt-4.1", "stream": True, "messages": [{"role": "user", "content": "x"}]}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{served.url}/v1/chat/completions", json=body, headers={"x-api-key": CLIENT_KEY}) as response,
    ):
        await response.content.readany()
        (one,) = (await call("GET", "/requests"))[1]["requests"]
        assert (one["under_way"], one["status"]) == (True, None)
        assert (await call("GET", "/health"))[1]["under_way"] == 1
        go.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    (one,) = (await call("GET", "/requests"))[1]["requests"]
    assert (one["under_way"], one["status"]) == (False, 502)
    assert "disconnected" in one["error"] or "cut off" in one["error"]


async def test_an_account_is_added_by_device_login(managed):
    served, call = await managed(logged_in=False, behaviour={"interval": 0.01, "approve_after": None})
    assert (await call("GET", "/health"))[1]["status"] == "no account"
    status, begun = await call("POST", "/accounts")
    assert (status, begun["state"]) == (202, "pending")
    assert begun["verification_uri"].startswith(served.app.url)
    assert served.cloud.decide_login(begun["user_code"], approved=True)
    while (said := (await call("GET", f"/logins/{begun['login']}"))[1])["state"] == "pending":
        await asyncio.sleep(0.05)
    assert (said["state"], said["account"]) == (
        "done",
        next(iter((await call("GET", "/accounts"))[1]["accounts"]))["name"],
    )
    assert await ask(served) == 200  # at once


async def test_a_login_that_is_denied_or_given_up(managed):
    served, call = await managed(behaviour={"interval": 0.01, "deny": True, "approve_after": 0})
    _, begun = await call("POST", "/accounts", {})
    while (said := (await call("GET", f"/logins/{begun['login']}"))[1])["state"] == "pending":
        await asyncio.sleep(0.05)
    assert (said["state"], "denied" in said["error"]) == ("failed", True)
    served.cloud.behaviour.approve_after = None
    _, begun = await call("POST", "/accounts", {})
    assert (await call("DELETE", f"/logins/{begun['login']}"))[0] == 200
    assert (await call("GET", f"/logins/{begun['login']}"))[0] == 404
    assert (await call("POST", "/accounts", {"host": 5}))[0] == 400
    assert (await call("POST", "/accounts", {"host": "http://evil.example"}))[0] == 400
    assert (await call("POST", "/accounts", {"base_url": "http://127.0.0.1:1"}))[0] == 400


async def test_refresh_quota_and_removal(managed):
    served, call = await managed(behaviour={"premium_remaining": 120})
    await ask(served)
    name = (await call("GET", "/accounts"))[1]["accounts"][0]["name"]
    assert (await call("POST", f"/accounts/{name}/refresh"))[0] == 200
    assert served.cloud.exchanges == 2
    _, quota = await call("GET", f"/accounts/{name}/quota")
    assert quota["snapshots"]["premium_interactions"]["remaining"] == 120
    assert quota["snapshots"]["chat"]["unlimited"] is True
    for path in ("/accounts/bob/quota", "/accounts/..%2F..%2Fann/quota"):
        assert (await call("GET", path))[0] == 404
    assert (await call("DELETE", f"/accounts/{name}"))[1] == {"removed": name}
    assert await ask(served) == 503
    assert (await call("DELETE", f"/accounts/{name}"))[0] == 404


async def test_the_document_is_true(gateway):
    served = await gateway(settings=MANAGED)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{served.url}/openapi.json") as response:
            document = await response.json()
        assert document["openapi"].startswith("3.1")
        told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
        assert told == {(route.method, route.path) for route in ROUTES}
        for method, path in sorted(told):
            operation = document["paths"][path][method.lower()]
            concrete = (
                path.replace("{model}", "gpt-5")
                .replace("{account}", "ann")
                .replace("{login}", "x")
                .replace("{key}", "k")
            )
            assert find(method, concrete)[0].name == operation["operationId"]
            async with http.request(method, served.url + concrete) as response:
                assert response.status == (401 if "security" in operation else 200), (method, path)
            headers = HEADERS if "management" in operation["tags"] else {"x-api-key": CLIENT_KEY}
            if "requestBody" in operation and operation["requestBody"]["required"]:
                async with http.request(method, served.url + concrete, headers=headers, json={}) as response:
                    assert response.status == 400, (method, path)
    assert find("GET", "/v1/nothing") is None
    assert find("GET", "/models/vendor/with/slashes")[1] == "vendor/with/slashes"
    assert find("PATCH", "/v1/models") is None
