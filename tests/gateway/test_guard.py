"""Web pages do not reach a gateway on this machine, and orchestrators learn how it is."""

import json

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.gateway.access.origins import ForeignHostError, check_host, check_origin, host_of

ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: in"}]}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4141", "localhost", "localhost:80", "[::1]:4141", "127.9.9.9", "LOCALHOST.", "proxy.example:1"]
)
def test_names_that_are_ours(host):
    check_host({"host": host}, "127.0.0.1", ("proxy.example",))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "a@localhost", "localhost/x", "localhost:x", "169.254.169.254",
     "[::1].evil", "localhost,evil", "0.0.0.0", "[::ffff:1.2.3.4]"],
)  # fmt: skip
def test_names_that_are_not(host):
    with pytest.raises(ForeignHostError):
        check_host({"host": host}, "127.0.0.1", ())
    check_host({"host": host}, "127.0.0.1", ("*",))
    check_host({"host": host}, "192.0.2.1", ())  # keys are demanded there


@given(st.text(max_size=60))
def test_no_host_header_breaks_it(text):
    host_of(text)


@pytest.mark.parametrize(
    ("origin", "fine"),
    [(None, True), ("http://localhost:4141", True), ("http://localhost:9", False), ("https://evil.example", False), ("null", False), ("app://x", False)],
)  # fmt: skip
def test_origins(origin, fine):
    headers = {"host": "localhost:4141"} | ({"origin": origin} if origin else {})
    if fine:
        assert check_origin(headers, ()) is None
    else:
        with pytest.raises(ForeignHostError):
            check_origin(headers, ())
        assert check_origin(headers, (origin,)) == check_origin(headers, ("*",)) == origin


async def test_rebinding_and_foreign_pages_are_refused_and_allowed_ones_are_told_so(gateway):
    served = await gateway(settings={"allowed_origins": ("https://chat.example",)})
    url = f"{served.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as http:
        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            async with http.post(url, json=ASK, headers=headers) as response:
                assert response.status == 403
                assert "not" in (await response.json())["error"]["message"]
        simple = {
            "origin": "https://evil.example",
            "content-type": "text/plain",
        }  # what a page can send without asking first
        async with http.post(url, data=json.dumps(ASK), headers=simple) as response:
            assert response.status == 403
        assert not [s for s in served.app.seen if s.path == "/chat/completions"]
        page = {"origin": "https://chat.example"}
        async with http.options(url, headers={**page, "access-control-request-method": "POST"}) as response:
            assert response.status == 204
            assert "authorization" in response.headers["access-control-allow-headers"]
        async with http.post(url, json=ASK, headers=page) as response:
            assert response.headers["access-control-allow-origin"] == "https://chat.example"
            assert (await response.json())["choices"][0]["message"]["content"] == "in"
            assert response.headers["x-content-type-options"] == "nosniff"
        async with http.post(url, json=ASK) as response:
            assert "access-control-allow-origin" not in response.headers
        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await http.ws_connect(f"{served.url}/v1/responses", headers=headers)


async def test_alive_and_ready_with_reasons(gateway):
    nobody = await gateway(logged_in=False)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{nobody.url}/healthz") as response:
            assert response.status == 200
        async with http.get(f"{nobody.url}/readyz") as response:
            assert (response.status, (await response.json())["reasons"]) == (503, ["no account: run `rightseat login`"])


async def test_ready_while_an_account_can_be_asked(gateway):
    from rightseat.simulator.script import Rule, Script, ScriptedError

    script = Script([
        Rule(when="quota", error=ScriptedError(402, "no more", "quota_exceeded", 600)),
        Rule(when="limit", error=ScriptedError(429, "slow down", "user_global_rate_limited:pro", 600)),
    ])  # fmt: skip
    served = await gateway(script=script)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{served.url}/readyz") as response:
            assert response.status == 200
        body = {**ASK, "messages": [{"role": "user", "content": "quota"}]}
        async with http.post(f"{served.url}/v1/chat/completions", json=body) as response:
            assert response.status == 402
        async with http.get(f"{served.url}/readyz") as response:
            assert response.status == 200  # one model is not the account
        body = {**ASK, "model": "gpt-4o", "messages": [{"role": "user", "content": "limit"}]}
        async with http.post(f"{served.url}/v1/chat/completions", json=body) as response:
            assert response.status == 429
        async with http.get(f"{served.url}/readyz") as response:
            assert response.status == 503
            assert (await response.json())["reasons"] == ["every account is cooling down"]


@pytest.mark.parametrize(
    ("key", "said"),
    [("sk-proj-0123456789abcdef", "OpenAI API key"), ("sk-ant-0123456789abcdef", "Anthropic API key"), ("gho_0123456789abcdef", "GitHub token"),
     ("tid=abc;exp=1", "Copilot token"), ("wrong-but-of-ours", "Invalid API key"), ("", "an API key is required")],
)  # fmt: skip
async def test_a_key_of_the_wrong_kind_is_named_and_not_shown(gateway, key, said):
    served = await gateway(settings={"keys": ("a-key-of-16-chars-or-more",)})
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}) if key else ({},):
        async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/chat/completions", json=ASK, headers=headers) as response:  # fmt: skip
            text = await response.text()
            assert response.status == 401
            assert said in json.loads(text)["error"]["message"]
            assert not key or key not in text
