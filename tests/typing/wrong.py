"""What both type checkers refuse: each marked line is an error for mypy and for pyright, else they say that the mark is not needed."""

import dataclasses

from rightseat import ChatSession, CopilotClient, CopilotSDK, LazySession, SessionPool


@dataclasses.dataclass
class City:
    name: str


async def names(sdk: CopilotSDK, session: ChatSession) -> None:
    await session.chat("hi", temprature=1)  # type: ignore[call-overload]
    session.stream("hi", temprature=1)  # type: ignore[call-overload]
    await sdk.chat("hi", temprature=1)  # type: ignore[call-overload]
    await sdk.create_session(systm="Be brief.")  # type: ignore[call-arg]
    await LazySession(sdk).chat("hi", image=[])  # type: ignore[call-overload]
    CopilotSDK(request_per_minute=5)  # type: ignore[call-arg]
    LazySession(sdk, modell="gpt-4.1")  # type: ignore[call-arg]
    SessionPool(sdk, modell="gpt-4.1")  # type: ignore[call-arg]
    await CopilotClient().create_session(streamin=True)  # type: ignore[call-arg]


async def values(sdk: CopilotSDK, session: ChatSession) -> None:
    await sdk.create_session(reasoning_effort="lots")  # type: ignore[arg-type]
    await session.chat("hi", temperature="hot")  # type: ignore[call-overload]
    await session.chat("hi", images="x.png", max_tokens="5")  # type: ignore[call-overload]
    CopilotSDK(requests_per_minute="5")  # type: ignore[arg-type]


async def parsed(session: ChatSession) -> None:
    response = await session.chat("?", response_format=City)
    print(response.parsed.nam)  # type: ignore[attr-defined]
    plain = await session.chat("?")
    print(plain.parsed.name)  # type: ignore[attr-defined]
