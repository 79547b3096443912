"""Closing a conversation ends what others read of it, in bounded time; questions at once know what was there when they were asked."""

import asyncio

import pytest

from rightseat import CopilotSDK, NotStartedError
from rightseat.handler import tool_call
from rightseat.testing.clock import run_virtual


async def endless(request):
    yield "word "
    await asyncio.Event().wait()


async def test_a_session_can_be_closed_while_another_task_waits_for_the_next_piece():
    async with CopilotSDK(handler=endless) as sdk:
        session = await sdk.create_session()
        begun = asyncio.Event()

        async def read():
            async for _ in session.stream("hello"):
                begun.set()

        reading, asking = asyncio.ensure_future(read()), asyncio.ensure_future(session.chat("hello"))
        await begun.wait()
        await session.close()
        for task in (reading, asking):
            with pytest.raises(NotStartedError, match="closed"):
                await task


def test_closing_takes_two_seconds_at_most_whatever_hangs():
    async def main():
        sdk = CopilotSDK(handler=endless)
        for _ in range(20):
            session = await sdk.create_session()
            session.on_close(lambda: asyncio.sleep(60))
        begun = asyncio.get_running_loop().time()
        await sdk.close()
        assert asyncio.get_running_loop().time() - begun <= 2.01

    run_virtual(main)


async def test_closing_goes_on_when_whoever_closes_is_cancelled():
    closed = asyncio.Event()

    async def slowly():
        await asyncio.sleep(0)
        closed.set()

    async with CopilotSDK(handler=endless) as sdk:
        session = await sdk.create_session()
        session.on_close(slowly)
        closing = asyncio.ensure_future(session.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_question_knows_to_its_end_what_was_there_when_it_was_asked():
    """Else another one, answered meanwhile, would stand between a tool's call and the question."""
    said = []

    async def model(request):
        said.append([m.content for m in request.messages if m.role == "user"])
        yield tool_call("wait") if request.prompt == "slow" and not request.tool_results else "done"

    async def wait() -> str:
        """Wait."""
        await session.chat("quick")
        return "waited"

    async with CopilotSDK(handler=model) as sdk:
        session = await sdk.create_session(tools=[wait])
        await session.chat("slow")
    assert said == [["slow"], ["quick"], ["slow"]]
    assert [m.content for m in session.history if m.role == "user"] == ["quick", "slow"]
