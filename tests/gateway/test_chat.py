"""The OpenAI face with the unmodified OpenAI client, over the simulated cloud."""

import asyncio
import json
import os
import signal

import aiohttp
import openai
import pytest

from rightseat.chat import Finish, TextDelta
from rightseat.simulator.script import Rule, Script, ScriptedError

HELLO = [{"role": "user", "content": "Reply with exactly: hello from the other side"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "calculate",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}


async def test_whole_and_streamed_answers(gateway, client):
    served = await gateway()
    ai = await client(served)
    whole = await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    assert whole.choices[0].message.content == "hello from the other side"
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.completion_tokens > 0
    chunks = [c async for c in await ai.chat.completions.create(model="gpt-5", messages=HELLO, stream=True)]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello from the other side"
    assert chunks[-1].usage.completion_tokens > 0
    assert len(chunks) > 4


async def test_upstream_is_always_asked_for_a_stream_and_told_who_began(gateway, client):
    served = await gateway()
    ai = await client(served)
    await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    image = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}, {"type": "text", "text": "hi"}],
    }
    await ai.chat.completions.create(model="gpt-5", messages=[image, {"role": "assistant", "content": "x"}])
    first, second = [s for s in served.app.seen if s.path == "/chat/completions"]
    assert json.loads(first.body)["stream"] is True
    assert first.headers["x-initiator"] == "user"
    assert "copilot-vision-request" not in first.headers
    assert second.headers["x-initiator"] == "agent"
    assert second.headers["copilot-vision-request"] == "true"
    assert first.headers["copilot-integration-id"] == "vscode-chat"


async def test_bytes_and_unknown_fields_pass_as_they_are(gateway):
    served = await gateway()
    body = b'{"model":"gpt-5",  "messages":[{"role":"user","content":"Reply with exactly: x"}], "stream":true, "brand_new":{"a":1}}'
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/chat/completions", data=body) as response:
        text = await response.text()
    assert response.content_type == "text/event-stream"
    assert text.count("data: [DONE]") == 1
    assert served.app.seen[-1].body == body


async def test_a_tool_turn(gateway, client):
    ai = await client(await gateway())
    messages = [{"role": "user", "content": "What is 25 * 4 + 10? Use the calculate tool."}]
    for streamed in (False, True):
        if streamed:
            async with ai.chat.completions.stream(model="gpt-5", messages=messages, tools=[TOOL]) as stream:
                message = (await stream.get_final_completion()).choices[0].message
        else:
            done = await ai.chat.completions.create(model="gpt-5", messages=messages, tools=[TOOL])
            assert done.choices[0].finish_reason == "tool_calls"
            message = done.choices[0].message
        (call,) = message.tool_calls
        assert json.loads(call.function.arguments) == {"expression": "25 * 4 + 10"}
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call.id, "type": "function", "function": {"name": "calculate", "arguments": "{}"}}],
    }
    answer = await ai.chat.completions.create(
        model="gpt-5", messages=[*messages, said, {"role": "tool", "tool_call_id": call.id, "content": "110"}]
    )
    assert "110" in answer.choices[0].message.content


async def test_models_and_their_limits(gateway, client):
    ai = await client(await gateway())
    models = {m.id: m async for m in ai.models.list()}
    assert models["gpt-5"].max_input_tokens == 128_000
    assert (await ai.models.retrieve("gpt-5")).id == "gpt-5"
    with pytest.raises(openai.NotFoundError):
        await ai.models.retrieve("no-such-model")


async def test_embeddings_in_both_forms_and_of_a_bare_string(gateway, client):
    ai = await client(await gateway())
    model = "text-embedding-3-small"
    numbers = (await ai.embeddings.create(model=model, input=["a", "b"], encoding_format="float")).data
    packed = (await ai.embeddings.create(model=model, input="a")).data  # base64 on the wire
    assert len(numbers) == 2
    assert packed[0].embedding == pytest.approx(numbers[0].embedding, abs=1e-6)
    with pytest.raises(openai.BadRequestError, match="input: must be"):
        await ai.embeddings.create(model=model, input=[[1, 2]])


async def test_dated_names_are_mapped(gateway, client):
    served = await gateway()
    ai = await client(served)
    await ai.chat.completions.create(model="claude-sonnet-4-5-20250929", messages=HELLO)
    assert json.loads(served.app.seen[-1].body)["model"] == "claude-sonnet-4.5"
    with pytest.raises(openai.NotFoundError, match="claude-opus-9"):
        await ai.chat.completions.create(model="claude-opus-9", messages=HELLO)


async def test_before_login_there_are_seed_models_and_a_clear_error(gateway, client):
    ai = await client(await gateway(logged_in=False))
    assert "gpt-5-mini" in [m.id async for m in ai.models.list()]
    with pytest.raises(openai.InternalServerError, match="rightseat login") as caught:
        await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (402, openai.APIStatusError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
async def test_upstream_errors_pass_with_status_message_and_code(gateway, client, status, error):
    script = Script([Rule(error=ScriptedError(status, "said upstream", "the_code", retry_after=2.4))])
    ai = await client(await gateway(script=script))
    with pytest.raises(error, match="said upstream") as caught:
        await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    assert caught.value.status_code == status
    assert caught.value.code == "the_code"
    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.response.headers.get("x-should-retry") == (
        "false" if status in (400, 402, 403, 404, 422) else None
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"messages":[]}', "model"),
        (b'{"model":"gpt-5"}', "messages"),
        (b'{"model":"gpt-5","messages":[{"role":"user"},5]}', "messages[1]"),
    ],
)
async def test_bad_requests_name_the_field(gateway, body, param):
    served = await gateway()
    async with aiohttp.ClientSession() as http, http.post(f"{served.url}/v1/chat/completions", data=body) as response:
        error = (await response.json())["error"]
    assert response.status == 400
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


async def test_a_body_that_is_too_large(gateway):
    served = await gateway(settings={"body_limit": 1000})
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{served.url}/v1/chat/completions", data=b"x" * 1001) as response,
    ):
        assert response.status == 413


async def test_keys(gateway, client):
    served = await gateway(settings={"keys": ("a-key-of-16-chars-or-more",)})
    with pytest.raises(openai.AuthenticationError, match="Invalid API key"):
        await (await client(served)).models.list()
    with pytest.raises(openai.AuthenticationError, match="never a token"):
        await (await client(served, api_key="gho_abcdefghijklmnopqrstuvwxyz")).models.list()
    assert [m async for m in (await client(served, api_key="a-key-of-16-chars-or-more")).models.list()]
    async with aiohttp.ClientSession() as http:
        for path, headers, status in (
            ("/health", {}, 200),
            ("/v1/models", {"x-api-key": "a-key-of-16-chars-or-more"}, 200),
            ("/v1/models", {}, 401),
        ):
            async with http.get(served.url + path, headers=headers) as response:
                assert response.status == status


async def test_an_expired_token_is_renewed_once_for_many(gateway, client):
    served = await gateway()
    ai = await client(served)
    await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    assert served.cloud.exchanges == 1
    served.cloud.revoke_all()
    answers = await asyncio.gather(*(ai.chat.completions.create(model="gpt-5", messages=HELLO) for _ in range(50)))
    assert {a.choices[0].message.content for a in answers} == {"hello from the other side"}
    assert served.cloud.exchanges == 2


async def test_trouble_with_our_own_token_is_never_the_clients_401(gateway, client):
    served = await gateway(behaviour={"refuse_exchange": "no_copilot_access"})
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await (await client(served)).chat.completions.create(model="gpt-5", messages=HELLO)
    assert caught.value.code == "no_copilot_access"


async def test_a_stream_that_breaks_is_an_error_and_never_a_clean_end(gateway, client):
    async def breaks(request):
        async def events():
            yield TextDelta("the beginning ")
            raise ConnectionResetError

        from rightseat.chat import Reply

        return Reply(events())

    served = await gateway(model=breaks)
    ai = await client(served)
    with pytest.raises(openai.APIError, match="disconnected|cut off"):
        async for _ in await ai.chat.completions.create(model="gpt-5", messages=HELLO, stream=True):
            pass
    with pytest.raises(openai.APIStatusError, match="disconnected") as caught:
        await ai.chat.completions.create(model="gpt-5", messages=HELLO)
    assert caught.value.status_code == 408


async def test_a_client_that_leaves_closes_upstream_at_once(gateway):
    stopped = asyncio.Event()

    async def endless(request):
        async def events():
            try:
                while True:
                    yield TextDelta("more ")
                    await asyncio.sleep(0.01)
            finally:
                stopped.set()

        from rightseat.chat import Reply

        return Reply(events())

    served = await gateway(model=endless)
    async with aiohttp.ClientSession() as http:
        body = {"model": "gpt-5", "messages": HELLO, "stream": True}
        response = await http.post(f"{served.url}/v1/chat/completions", json=body)
        await response.content.readany()
        response.close()
    await asyncio.wait_for(stopped.wait(), 1)


async def test_silence_is_filled_with_comments_that_clients_read_over(gateway, client):
    async def thinks(request):
        async def events():
            await asyncio.sleep(0.35)
            yield TextDelta("at last")
            yield Finish("stop")

        from rightseat.chat import Reply

        return Reply(events())

    served = await gateway(model=thinks, settings={"ping_seconds": 0.1})
    ai = await client(served)
    chunks = [c async for c in await ai.chat.completions.create(model="gpt-5", messages=HELLO, stream=True)]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "at last"
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{served.url}/v1/chat/completions", json={"model": "gpt-5", "messages": HELLO, "stream": True}
        ) as response,
    ):
        assert (await response.text()).count(": ping\n\n") >= 2


async def test_two_hundred_open_streams_finish_when_the_gateway_is_told_to_stop(gateway):
    served = await gateway(pace=20, words=40, settings={"drain_seconds": 20})

    async def read(http: aiohttp.ClientSession) -> bool:
        body = {"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": "a story"}]}
        async with http.post(f"{served.url}/v1/chat/completions", json=body) as response:
            return (await response.text()).endswith("data: [DONE]\n\n")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        reading = [asyncio.ensure_future(read(http)) for _ in range(200)]
        while len([s for s in served.app.seen if s.path == "/chat/completions"]) < 200:
            await asyncio.sleep(0.01)
        assert not any(task.done() for task in reading)
        os.kill(os.getpid(), signal.SIGTERM)
        assert all(await asyncio.gather(*reading))
