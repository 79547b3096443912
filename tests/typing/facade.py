"""The types of the facade, for type checkers: this file is checked (pyright strict), never run."""

from typing import assert_type

from rightseat import ChatChunk, ChatSession, CopilotClient, CopilotSDK, LazySession, SessionPool
from rightseat.layers import Backoff, QueuePolicy


async def use() -> None:
    async with CopilotSDK(
        "gho_x", timeout=30, retry=Backoff(), breaker=None, concurrency=QueuePolicy(), fallbacks={"gpt-5": ["gpt-4.1"]}
    ) as sdk:
        session = await sdk.create_session(system="Be brief.", temperature=0.2, reasoning_effort="low")
        assert_type(session, ChatSession)
        assert_type((await session.chat("hi", max_tokens=5, stop=["a"], images=[b"", "a.png"])).text, str)
        async for chunk in session.stream("hi", extra_body={"top_k": 5}):
            assert_type(chunk, ChatChunk)
        await sdk.chat("hi", system="Be brief.", timeout=5, temperature=None)
        SessionPool(sdk, size=3, system="Be brief.")
        LazySession(sdk, model="gpt-4.1")
        await CopilotSDK(client=CopilotClient()).create_session(working_directory="/tmp", streaming=False)

        await session.chat("hi", temprature=1)  # pyright: ignore[reportCallIssue]
        session.stream("hi", temprature=1)  # pyright: ignore[reportCallIssue]
        await sdk.chat("hi", temprature=1)  # pyright: ignore[reportCallIssue]
        await sdk.create_session(systm="Be brief.")  # pyright: ignore[reportCallIssue]
        await sdk.create_session(reasoning_effort="lots")  # pyright: ignore[reportArgumentType]
        await session.chat("hi", temperature="hot")  # pyright: ignore[reportArgumentType]
    CopilotSDK(request_per_minute=5)  # pyright: ignore[reportCallIssue]
    CopilotSDK(requests_per_minute="5")  # pyright: ignore[reportArgumentType]
    LazySession(CopilotSDK(), modell="gpt-4.1")  # pyright: ignore[reportCallIssue]
