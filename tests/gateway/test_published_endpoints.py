"""Faults F5 and F8: the endpoints that the published APIs have beside conversations, names of models as clients write them, and what the
Open Responses compliance suite demands of the responses socket (openresponses/openresponses, src/lib/compliance-tests.ts)."""

import json

import aiohttp
import anthropic
import openai
import pytest
from tests.gateway.test_codex import post, sent

MODELS = ["gpt-5", "gpt-4.1", "claude-sonnet-4.5"]  # over responses, over chat, over messages
HELLO = "Reply with exactly: hello from the other side"


async def test_legacy_completions_with_every_model_that_chats(gateway, client):
    served = await gateway()
    ai = await client(served)
    for model in MODELS:
        whole = await ai.completions.create(model=model, prompt=HELLO, echo=True, max_tokens=99)
        (choice,) = whole.choices
        assert (whole.object, choice.text, choice.finish_reason, choice.logprobs) == ("text_completion", f"{HELLO}hello from the other side", "stop", None)  # fmt: skip
        assert whole.usage.completion_tokens > 0
        stream = await ai.completions.create(
            model=model, prompt=[HELLO], stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].text for c in chunks if c.choices) == "hello from the other side"
        assert chunks[-1].usage.total_tokens > 0
        assert {c.choices[0].finish_reason for c in chunks if c.choices} == {None, "stop"}
    answer = await ai.completions.with_raw_response.create(model="gpt-4.1", prompt=HELLO, best_of=3, logprobs=2, n=2)
    assert {"best_of", "logprobs", "n"} <= set(answer.headers["warning"].replace(",", "").replace('"', "").split())
    for wrong in ({"prompt": [1, 2]}, {"prompt": ["a", "b"]}, {"prompt": "a", "suffix": "b"}, {"prompt": ""}):
        with pytest.raises(openai.BadRequestError, match=r"prompt|suffix"):
            await ai.completions.create(model="gpt-4.1", **wrong)


async def test_input_tokens_are_counted_for_every_model(gateway, client):
    ai = await client(await gateway())
    for model in MODELS:
        short = await ai.responses.input_tokens.count(model=model, input="hi", tools=[{"type": "web_search"}])
        long = await ai.responses.input_tokens.count(
            model=model, input=[{"role": "user", "content": "word " * 100}], instructions="Be brief."
        )
        assert short.object == "response.input_tokens"
        assert 0 < short.input_tokens < 50 < long.input_tokens
    with pytest.raises(openai.BadRequestError, match="model"):
        await ai.responses.input_tokens.count(input="hi")


async def test_names_with_a_provider_in_front_or_a_date_behind(gateway, client):
    served = await gateway()
    ai = await client(served)
    for name, meant in {
        "openai/gpt-5": "gpt-5",
        "gpt-5-2025-08-07": "gpt-5",
        "openai/gpt-4.1-2025-04-14": "gpt-4.1",
        "github_copilot/gpt-4.1": "gpt-4.1",
        "anthropic/claude-sonnet-4-5-20250929": "claude-sonnet-4.5",
        "claude-sonnet-4-5": "claude-sonnet-4.5",
    }.items():
        done = await ai.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Reply with exactly: ok"}]
        )
        assert sent(served)[1]["model"] == meant
        assert done.choices[0].message.content == "ok"
        assert (await ai.models.retrieve(name)).id == meant
    for name in ("elsewhere/gpt-5", "gpt-5-2025", "openai/"):
        with pytest.raises(openai.NotFoundError):
            await ai.chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}])


async def test_the_list_of_models_in_pages(gateway):
    served = await gateway()
    async with anthropic.AsyncAnthropic(base_url=served.url, api_key="any", max_retries=0) as ai:
        every = [model.id async for model in await ai.models.list()]
        assert [model.id async for model in await ai.models.list(limit=2)] == every
        page = await ai.models.list(limit=3, after_id=every[1])
        assert ([m.id for m in page.data], page.has_more, page.first_id, page.last_id) == (
            every[2:5],
            True,
            every[2],
            every[4],
        )
        back = await ai.models.list(limit=2, before_id=every[2])
        assert ([m.id for m in back.data], back.has_more) == (every[:2], False)
        assert (await ai.models.retrieve(every[0])).max_tokens > 0
        for wrong in (
            {"limit": 0},
            {"limit": 1001},
            {"after_id": "nobody"},
            {"after_id": every[0], "before_id": every[1]},
        ):
            with pytest.raises(anthropic.BadRequestError, match=next(iter(reversed(wrong)))):
                await ai.models.list(**wrong)


async def test_the_socket_forgets_what_it_could_not_go_on_from(gateway):
    served = await gateway()
    async with aiohttp.ClientSession() as http:
        for model in MODELS:
            async with http.ws_connect(f"{served.url}/v1/responses", headers={"authorization": "Bearer any"}) as socket:

                async def ask(socket=socket, model=model, **frame):
                    await socket.send_json({"type": "response.create", "model": model, "store": False, **frame})
                    while True:
                        event = json.loads((await socket.receive(timeout=20)).data)
                        if event["type"] in ("response.completed", "error"):
                            return event

                first = (await ask(input="Reply with exactly: ok"))["response"]["id"]
                await socket.send_json({"type": "response.processed", "response_id": first})  # tells, and asks nothing
                second = (await ask(previous_response_id=first, input="Reply with exactly: on"))["response"]
                assert second["output"][0]["content"][0]["text"] == "on"
                orphan = {"type": "function_call_output", "call_id": "call_missing", "output": "x"}
                failed = await ask(previous_response_id=second["id"], input=[orphan])
                assert (failed["type"], failed["status"], failed["error"]["code"]) == (
                    "error",
                    400,
                    "invalid_request_error",
                )
                assert "call_missing" in failed["error"]["message"]
                stale = await ask(previous_response_id=second["id"], input="go on")
                assert stale["error"]["code"] == "previous_response_not_found"
                assert (await ask(input="Reply with exactly: anew"))["type"] == "response.completed"
                alone = await ask(input=[{"type": "compaction_trigger"}])
                assert "nothing to compact" in alone["error"]["message"]
                said = {"type": "message", "role": "user", "content": "The code word is slate."}
                done = (await ask(input=[said, {"type": "compaction_trigger"}]))["response"]
                assert [item["type"] for item in done["output"]] == ["compaction"]
                assert (await ask(previous_response_id=done["id"], input="Reply with exactly: on"))[
                    "type"
                ] == "response.completed"
                assert said["content"] not in json.dumps(sent(served)[1])  # what was compacted is not said again


async def test_answers_of_wrong_requests_are_in_the_dialect_of_the_endpoint(gateway):
    served = await gateway()
    for path in ("/v1/completions", "/v1/responses/compact", "/v1/responses/input_tokens"):
        status, _, data = await post(served, path, {"model": ""})
        assert (status, json.loads(data)["error"]["type"]) == (400, "invalid_request_error"), path
