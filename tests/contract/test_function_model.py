"""A Python function as the model of the real CLI: no network, no account, no HTTP server."""

import asyncio

import pytest

from rightseat import InvalidOptionError, SessionError, SessionEventType, define_tool
from rightseat.chat import ReasoningDelta, ToolCall
from rightseat.simulator.model import SimulatedModel

pytestmark = pytest.mark.contract


@define_tool
def stock(item: str) -> str:
    """How many of an item are in stock."""
    return f"{len(item)} {item}"


async def test_an_async_generator_streams(copilot):
    async def model(request):
        for word in request.prompt.upper().split(" "):
            yield word + " "

    async with copilot(None) as client, await client.create_session(model=model, streaming=True) as session:
        deltas = []
        session.on(lambda e: deltas.append(e.data.delta_content), SessionEventType.ASSISTANT_MESSAGE_DELTA)
        assert (await session.send_and_wait("say this back")).data.content == "SAY THIS BACK "
        assert len(deltas) == 3
        assert session.model == "model"


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_full_turn_with_a_tool(copilot, streaming):
    async def model(request):
        assert "stock" in [tool.name for tool in request.tools]
        if request.tool_results:
            return f"We have {request.tool_results[-1].content}."
        return ["Let me see. ", ToolCall("call_1", "stock", '{"item": "screws"}')]

    async with (
        copilot(None) as client,
        await client.create_session(model=model, streaming=streaming, tools=[stock]) as session,
    ):
        assert (await session.send_and_wait("how many screws?")).data.content == "We have 6 screws."


async def test_objects_sync_functions_and_reasoning(copilot):
    class Model:
        model_id = "my-model"
        max_prompt_tokens = 50_000

        def __call__(self, request):
            return [ReasoningDelta("hm"), "an object speaks"]

    async with copilot(None) as client:
        one = await client.create_session(model=Model(), streaming=True)
        two = await client.create_session(model=lambda request: "a lambda speaks")
        assert one.model == "my-model"
        replies = await asyncio.gather(one.send_and_wait("?"), two.send_and_wait("?"))
        assert [r.data.content for r in replies] == ["an object speaks", "a lambda speaks"]


async def test_the_simulated_model_is_such_a_function(copilot):
    async with (
        copilot(None) as client,
        await client.create_session(model=SimulatedModel(pace=0), tools=[stock]) as session,
    ):
        assert "5 nails" in (await session.send_and_wait('Use the stock tool for "nails"')).data.content


async def test_a_function_that_fails_is_an_error_at_once(copilot, caplog):
    async def model(request):
        raise ValueError("no weights loaded")

    async with copilot(None) as client, await client.create_session(model=model) as session:
        with pytest.raises(SessionError, match="the model function failed: ValueError: no weights loaded"):
            await session.send_and_wait("hello", timeout=10)
    assert "the model function failed" in caplog.text


async def test_aborting_stops_the_function(copilot):
    stopped, begun = asyncio.Event(), asyncio.Event()

    async def model(request):
        try:
            yield "word "
            begun.set()
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with copilot(None) as client, await client.create_session(model=model, streaming=True) as session:
        await session.send("hello")
        await asyncio.wait_for(begun.wait(), 10)
        await session.abort()
        await asyncio.wait_for(stopped.wait(), 5)


async def test_the_two_kinds_of_session_do_not_mix_on_one_client(copilot):
    async with copilot(None) as client:
        await client.create_session(model=lambda request: "hi")
        with pytest.raises(InvalidOptionError, match="on another CopilotClient"):
            await client.create_session(model="gpt-5")
        with pytest.raises(InvalidOptionError, match="needs no provider"):
            await client.create_session(model=lambda request: "hi", provider={"type": "openai"})
    async with copilot(None) as client:
        await client.create_session()
        with pytest.raises(InvalidOptionError, match="on another CopilotClient"):
            await client.create_session(model=lambda request: "hi")
