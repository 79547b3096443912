"""Two hundred secrets are put everywhere they can be, with debug logs and traces on; then everything that was written down is searched."""

import asyncio
import base64
import json
import logging
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from tests.said import configure, restored

from rightseat import CopilotSDK, RightseatError
from rightseat.gateway.config import Settings, load_settings
from rightseat.masking.patterns import PATTERNS
from rightseat.security.redaction import StreamRedactor, redact
from rightseat.simulator.script import Rule, Script, ScriptedError
from rightseat.testing.servers import running_gateway

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "gateway"))
from planted import planted
from test_observation import Collector

PERSONAL = {pattern.kind for pattern in PATTERNS if pattern.group == "personal"}
# Spoken of by name: what a text says beside a secret is no secret.
SECRETS = [(kind, text) for kind, text in planted() if kind not in PERSONAL]
KEY, ADMIN = "client-key-of-canary-31415926", "management-key-of-canary-2718281"


def core(text):
    from test_redaction import core

    return core(text)


def hidden(secret):
    """The forms in which it must not be found."""
    plain = secret.encode()
    return {
        plain,
        quote(secret, safe="").encode(),
        json.dumps(secret)[1:-1].encode(),
        *(_base64(plain, i) for i in range(3)),
    }


def _base64(plain, shift):
    """A stretch of base64 that is there wherever in a longer text the secret stands."""
    whole = base64.b64encode(b"\0" * shift + plain)
    return whole[4 if shift else 0 : len(whole) - 4]


@pytest.fixture
def everything():
    """All that logs say, at DEBUG, of every library."""
    names = (
        "rightseat",
        "uvicorn",
        "uvicorn.error",
        "aiohttp",
        "asyncio",
        "sqlalchemy",
        "opentelemetry",
        "rightseat.trace",
    )
    with restored(*names):
        stream = configure("json", "debug")
        for name in names[3:]:
            logging.getLogger(name).setLevel("DEBUG")
            logging.getLogger(name).handlers = logging.getLogger("rightseat").handlers
        yield stream


async def test_no_secret_is_found_in_anything_that_is_written_down(simulate, tmp_path, monkeypatch, everything, capfd):
    assert len(SECRETS) >= 200
    assert len({kind for kind, _ in SECRETS}) >= 30
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    script = Script([
        *(Rule(when=f"refuse-{i}", error=ScriptedError(400, f"cannot use {text}", "bad_thing")) for i, (_, text) in enumerate(SECRETS) if i % 4 == 0),
        *(Rule(when=f"break-{i}", chunks=["so ", "far"], fault=None, error=ScriptedError(500, f"lost {text}", None)) for i, (_, text) in enumerate(SECRETS) if i % 4 == 1),
    ])  # fmt: skip
    cloud = await simulate(script=script)
    bodies, errors = [], []
    settings = {
        "keys": [KEY],
        "management_key": ADMIN,
        "log": "json",
        "log_level": "debug",
        "log_content": True,
        "lockout_failures": 0,
        "attempts": 1,
        "breaker": False,
        "sockets_per_key": 10_000,
    }
    async with running_gateway(cloud, tmp_path, settings) as url, aiohttp.ClientSession() as http:
        good = {"x-api-key": KEY}

        async def post(path, body, headers=good, *, keep=True):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            async with http.post(
                url + path, data=data, headers={"content-type": "application/json", **headers}
            ) as response:
                said = await response.read()
                if keep or response.status >= 400:
                    bodies.append(said + repr(response.headers).encode())

        async def plant(i, kind, text):
            tool = [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps({"t": text})}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": text},
            ]
            say = [{"role": "user", "content": f"refuse-{i} break-{i} {text}"}]
            match i % 8:
                case 0 | 1 | 4 | 5:
                    await post(
                        "/v1/chat/completions", {"model": "gpt-4.1", "messages": say, "stream": i % 2 == 1}, keep=False
                    )
                case 2:
                    await post(
                        "/v1/messages",
                        {
                            "model": "claude-sonnet-4.5",
                            "max_tokens": 9,
                            "system": text,
                            "messages": [{"role": "user", "content": "hi"}],
                        },
                        keep=False,
                    )
                case 3:
                    await post(
                        "/v1/chat/completions",
                        {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}, *tool]},
                        keep=False,
                    )
                case 6:
                    await post(
                        "/v1/responses", {"model": "gpt-5", "input": [{"role": "user", "content": text}]}, keep=False
                    )
                case 7:
                    await post("/v1/embeddings", {"model": "text-embedding-3-small", "input": [text]}, keep=False)
            one_line = " ".join(text.split())
            await post("/v1/chat/completions", {"model": text, "messages": say})  # a model of that name
            await post("/v1/chat/completions", {"model": "gpt-4.1", "messages": [{"role": text}]}, good)
            await post("/v1/chat/completions", b'{"model": "gpt-4.1", "messages": ' + text.encode())  # no JSON
            await post("/v1/chat/completions", {}, {"authorization": f"Bearer {one_line}"})  # as a key
            await post(
                "/v1/chat/completions",
                {},
                {
                    **good,
                    "x-request-id": one_line,
                    "x-initiator": one_line,
                    "traceparent": one_line,
                    "user-agent": one_line,
                },
            )
            await post(f"/{quote(one_line)}?key={quote(one_line)}", {})  # in a path
            await post("/v0/management/accounts", {"host": text}, {"x-api-key": ADMIN})
            await post("/v0/management/keys", {"name": 5, text[:40]: 1}, {"x-api-key": ADMIN})
            await manage(one_line)
            await converse(text, one_line, say)

        async def manage(text):
            """What management says of what is wrong."""
            for method, path, body in (
                ("DELETE", "/keys/{}", None),
                ("POST", "/keys/{}/rotate", {"grace_seconds": text}),
                ("GET", "/logins/{}", None),
                ("DELETE", "/accounts/{}", None),
                ("GET", "/requests?limit={}", None),
                ("POST", "/keys", {"name": "x", "models": [f"{text} {text}"], "scopes": [text]}),
                ("POST", "/keys", {"name": "x", "scopes": [text]}),
            ):
                where = f"{url}/v0/management{path.format(quote(text, safe=''))}"
                async with http.request(method, where, json=body, headers={"x-api-key": ADMIN}) as response:
                    assert response.status >= 400
                    bodies.append(await response.read())

        async def converse(text, one_line, say):
            """Frames of both sockets with a secret in each place."""
            parent = f"00-{'a' * 32}-{'b' * 16}-01"
            async with http.ws_connect(f"{url}/v1/ws") as ws:
                await ws.send_json({"type": "hello", "key": KEY, "session": text})
                body = {"model": text[:200], "messages": say}
                for frame in (
                    {"type": text},
                    {"type": text, "id": "a"},
                    {"type": "request", "id": "b", "path": text},
                    {"type": "request", "id": "c", "body": text},
                    {"type": "request", "id": "d", "headers": {"x-initiator": text, text: text}, "body": body},
                    {"type": "request", "id": "e", "headers": {"traceparent": parent, "tracestate": f"a={one_line}"}, "body": body},
                    {"type": "request", "id": "f", "headers": {text: 1}, "body": body},
                    {"type": "ack", "id": "e", "seq": text},
                ):  # fmt: skip
                    await ws.send_json(frame)
                bodies.extend(await heard(ws, 8))
            async with http.ws_connect(f"{url}/v1/ws") as ws:
                await ws.send_json({"type": "hello", "key": one_line})
                bodies.extend(await heard(ws, 1))
            async with http.ws_connect(f"{url}/v1/responses", headers=good) as ws:
                for frame in (
                    {"type": text},
                    {"type": "response.create", "model": "gpt-5", "input": "hi", "previous_response_id": text[:100]},
                    {"type": "response.create", "model": text[:200], "input": "hi", "initiator": text},
                    {"type": "response.create", "model": "gpt-5", "input": [{"type": text}]},
                ):
                    await ws.send_json(frame)
                    bodies.extend(await heard(ws, 1))

        async def heard(ws, errors):
            """What is said until so many errors were."""
            said = []
            async with asyncio.timeout(60):
                while errors:
                    message = await ws.receive()
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    said.append(message.data.encode())
                    errors -= json.loads(message.data)["type"] in ("error", "answer")
            return said

        for start in range(0, len(SECRETS), 16):
            await asyncio.gather(*(plant(i, *SECRETS[i]) for i in range(start, min(start + 16, len(SECRETS)))))
        for path in (
            "/metrics",
            "/readyz",
            "/v0/management/overview",
            "/v0/management/health",
            "/v0/management/requests?limit=1000",
            "/v0/management/config",
            "/v0/management/accounts",
            "/v0/management/keys",
        ):
            async with http.get(url + path, headers={"x-api-key": ADMIN}) as response:
                bodies.append(await response.read())
    for kind, text in SECRETS:  # configuration, the SDK, and crashes
        for wrong in (
            {"port": text},
            {"log": text},
            {text: 1},
            {"host": "0.0.0.0", "database": f"nothing://u:{text}@h/d"},
        ):
            try:
                load_settings(None, {}, wrong)
            except RightseatError as e:
                errors.append(str(e))
        try:
            async with CopilotSDK(api_key=text, host="http://127.0.0.1:1", home=tmp_path, retry=None) as sdk:
                await sdk.chat("hi")
        except (RightseatError, OSError):
            errors.append(traceback.format_exc())
        try:
            raise ValueError(f"crashed with {text}")
        except ValueError:
            logging.getLogger("rightseat").exception("a crash with %s", text)
        assert kind
    await asyncio.to_thread(collector.close)
    out, err = capfd.readouterr()
    spans = b"".join(span.SerializeToString() for span in collector.spans)
    files = {
        str(path): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "pepper" and "accounts" not in path.parts
    }
    written = {
        "logs": everything.getvalue().encode(),
        "traces": spans,
        "output": (out + err).encode(),
        **{f"error {i}": e.encode() for i, e in enumerate(errors)},
        **{f"body {i}": b for i, b in enumerate(bodies)},
        **files,
    }
    assert len(written["logs"]) > 500_000
    assert len(collector.spans) > 150
    blob = b"\n".join(written.values())
    found = []
    for kind, text in [*SECRETS, ("key", KEY), ("key", ADMIN)]:
        for form in hidden(core(text)):
            if form in blob:
                places = [name for name, data in written.items() if form in data]
                around = next(
                    data[max(0, data.find(form) - 80) : data.find(form) + 40]
                    for data in written.values()
                    if form in data
                )
                found.append((kind, places[:3], around))
    summary = {}
    for kind, places, around in found:
        for place in places:
            summary.setdefault(place.split()[0], []).append((kind, around))
    assert found == [], {place: (len(those), those[:6]) for place, those in summary.items()}


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 11, 64])
def test_each_is_caught_in_a_stream_however_it_is_cut(chunk):
    for kind, text in planted():
        if len(text) > 400:
            continue
        redactor, whole = StreamRedactor(), f"It is {text} and no more."
        said = "".join(redactor.feed(whole[i : i + chunk]) for i in range(0, len(whole), chunk)) + redactor.end()
        assert said == redact(whole), kind
        assert core(text) not in said, kind


def test_settings_show_themselves_without_secrets():
    shown = json.dumps(
        Settings(keys=(KEY,), management_key=ADMIN, database="postgresql://u:pass-word-31415@h/d").shown()
    )
    assert not [one for one in (KEY, ADMIN, "pass-word-31415") if one in shown]
