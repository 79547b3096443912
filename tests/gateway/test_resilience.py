"""The layers as clients of the gateway meet them: another try, a breaker, a line, a deadline; and compressed requests."""

import asyncio
import gzip
import json
import zlib

import aiohttp
import openai
import pytest

from rightseat.chat import Finish, Reply, TextDelta
from rightseat.simulator.model import SimulatedError, SimulatedModel
from rightseat.simulator.script import ScriptedError

ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: at last"}]}
KEY = "management-key-0123456789"


def failing(times: int, status: int = 503, after: float | None = None):
    """A model that fails so many times, and how often it was asked."""
    answers, asked = SimulatedModel(pace=0), []

    async def model(request):
        asked.append(request)
        if len(asked) <= times:
            raise SimulatedError(ScriptedError(status, "in trouble", "overloaded", after))
        return await answers(request)

    return model, asked


async def test_trouble_that_passes_is_not_seen_by_clients(gateway, client):
    model, asked = failing(1)
    ai = await client(await gateway(model=model))
    done = await ai.chat.completions.create(**ASK)
    assert done.choices[0].message.content == "at last"
    assert len(asked) == 2


@pytest.mark.parametrize("status", [400, 408, 429])
async def test_what_is_the_clients_to_decide_is_told_at_once(gateway, client, status):
    model, asked = failing(1, status)
    ai = await client(await gateway(model=model))
    with pytest.raises(openai.APIStatusError):
        await ai.chat.completions.create(**ASK)
    assert len(asked) == 1


async def test_a_long_wait_is_left_to_the_client(gateway, client):
    model, asked = failing(1, 503, 60)
    ai = await client(await gateway(model=model))
    with pytest.raises(openai.InternalServerError) as caught:
        await ai.chat.completions.create(**ASK)
    assert caught.value.response.headers["retry-after"] == "60"
    assert len(asked) == 1


async def test_a_model_that_is_down_is_left_alone_and_others_are_served(gateway, client):
    answers, asked = SimulatedModel(pace=0), []

    async def model(request):
        asked.append(request.model)
        if request.model == "gpt-4.1":
            raise SimulatedError(ScriptedError(503, "down"))
        return await answers(request)

    served = await gateway(model=model, settings={"attempts": 1, "management_key": KEY})
    ai = await client(served)
    for _ in range(10):
        with pytest.raises(openai.InternalServerError, match="down"):
            await ai.chat.completions.create(**ASK)
    with pytest.raises(openai.InternalServerError, match="circuit open") as caught:
        await ai.chat.completions.create(**ASK)
    assert caught.value.status_code == 503
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 4
    assert asked.count("gpt-4.1") == 10
    assert (await ai.chat.completions.create(**{**ASK, "model": "gpt-4o"})).choices[0].message.content == "at last"
    async with (
        aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as http,
        http.get(f"{served.url}/v0/management/health") as response,
    ):
        assert (await response.json())["resilience"]["circuits"] == {"gpt-4.1": "open", "gpt-4o": "closed"}


async def test_a_line_with_an_end(gateway, client):
    release = asyncio.Event()

    async def waits(_):
        async def events():
            yield TextDelta("x")
            await release.wait()
            yield Finish()

        return Reply(events())

    served = await gateway(model=waits, settings={"concurrency": 1, "queue": 1, "management_key": KEY})
    ai = await client(served)
    first = asyncio.ensure_future(ai.chat.completions.create(**ASK))
    while not served.app.seen or served.app.seen[-1].path != "/chat/completions":
        await asyncio.sleep(0.01)
    second = asyncio.ensure_future(ai.chat.completions.create(**ASK))
    third = asyncio.ensure_future(ai.chat.completions.create(**ASK))
    done, _ = await asyncio.wait((second, third), return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(done.pop().exception(), openai.InternalServerError)
    release.set()
    results = await asyncio.gather(first, second, third, return_exceptions=True)
    assert sum(not isinstance(r, Exception) for r in results) == 2


@pytest.mark.parametrize(("path", "end"), [("chat/completions", b"[DONE]"), ("messages", b"message_stop"), ("responses", b"response.completed")])  # fmt: skip
async def test_an_answer_that_takes_too_long_ends_as_an_error(gateway, path, end):
    async def forever(_):
        async def events():
            while True:
                yield TextDelta("again ")
                await asyncio.sleep(0.05)

        return Reply(events())

    served = await gateway(model=forever, settings={"answer_seconds": 0.5})
    async with aiohttp.ClientSession() as http:
        text = b""
        with pytest.raises(aiohttp.ClientPayloadError):
            body = {**ASK, "stream": True, "max_tokens": 99, "input": "x"}
            async with http.post(f"{served.url}/v1/{path}", json=body) as response:
                async for chunk in response.content.iter_any():
                    text += chunk
    assert b"again" in text
    assert b"within 0.5 s" in text
    assert b"error" in text
    assert end not in text


async def test_compressed_requests_are_taken_and_bombs_are_not(gateway):
    served = await gateway(settings={"body_limit": 1_000_000})
    body = json.dumps(ASK).encode()
    async with aiohttp.ClientSession() as http:

        async def post(data: bytes, encoding: str) -> tuple[int, str]:
            headers = {"content-encoding": encoding, "content-type": "application/json"}
            async with http.post(f"{served.url}/v1/chat/completions", data=data, headers=headers) as response:
                return response.status, await response.text()

        for encoding, data in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("identity", body)):
            status, text = await post(data, encoding)
            assert (status, "at last" in text) == (200, True), encoding
        assert (await post(gzip.compress(b" " * 50_000_000), "gzip"))[0] == 413
        halves = body[:20], body[20:]
        for sent, encoding, expected in (
            (b"".join(map(gzip.compress, halves)), "gzip", 200),
            (gzip.compress(body) + gzip.compress(b"") * 500, "gzip", 200),
            (gzip.compress(b"[") + gzip.compress(b" " * 600_000) * 2, "gzip", 413),
            (gzip.compress(body) + b"more", "gzip", 400),
            (gzip.compress(body) + bytes(8), "gzip", 400),
            (zlib.compress(body) + gzip.compress(body), "deflate", 400),
            (gzip.compress(body) + gzip.compress(body)[:-10], "gzip", 415),
        ):
            assert (await post(sent, encoding))[0] == expected, (encoding, len(sent))
        assert (await post(body, "gzip"))[0] == 415
        assert (await post(gzip.compress(body)[:-10], "gzip"))[0] == 415
        assert (await post(body, "br"))[0] == 415


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"attempts": 0}, "attempts"), ({"answer_seconds": 0}, "answer_seconds"), ({"concurrency": -1}, "concurrency"), ({"queue_seconds": 0}, "queue_seconds")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_by_name(settings, said):
    from rightseat import ConfigError
    from rightseat.gateway.config import Settings

    with pytest.raises(ConfigError, match=f"^{said}: "):
        Settings(**settings)
