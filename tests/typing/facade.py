"""The types of the facade, for type checkers: this file is checked (mypy and pyright, strict), never run."""

import dataclasses
from typing import TypedDict, assert_type

import msgspec
import pydantic

from rightseat import (
    ChatChunk,
    ChatResponse,
    ChatSession,
    ChatStream,
    CopilotClient,
    CopilotSDK,
    LazySession,
    SessionPool,
)
from rightseat.backends.registry import Model
from rightseat.layers import Backoff, QueuePolicy


class City(pydantic.BaseModel):
    name: str


@dataclasses.dataclass
class Data:
    name: str


class Typed(TypedDict):
    name: str


class Struct(msgspec.Struct):
    name: str


def plain(response: ChatResponse) -> str:
    return response.text


def anything(response: ChatResponse[object]) -> str:
    return response.text


async def parsed(sdk: CopilotSDK, session: ChatSession) -> None:
    response = await session.chat("?", response_format=City, temperature=0.1)
    assert_type(response, ChatResponse[City])
    assert_type(response.parsed.name, str)
    anything(response)
    assert_type((await sdk.chat("?", response_format=Data, system="Be brief.")).parsed, Data)
    assert_type((await sdk.chat("?", response_format=Typed)).parsed, Typed)
    assert_type((await sdk.chat("?", response_format=Struct)).parsed, Struct)
    assert_type((await sdk.chat("?", response_format=list[City])).parsed, list[City])
    assert_type((await LazySession(sdk).chat("?", response_format=City)).parsed, City)
    assert_type(session.stream("?", response_format=City), ChatStream[City])
    assert_type(await session.chat("?", response_format={"type": "json_object"}), ChatResponse)
    assert_type((await session.chat("?")).parsed, None)
    plain(await session.chat("?"))
    assert_type(await sdk.models(), list[Model])
    async with session.stream("?", response_format=City) as stream:
        async for chunk in stream:
            assert_type(chunk, ChatChunk)
        if stream.response is not None:
            assert_type(stream.response.parsed, City)


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
