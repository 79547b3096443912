"""The public types, for type checkers: this file is checked (mypy and pyright, strict), never run."""

from collections.abc import AsyncIterator
from typing import assert_type

from rightseat import (
    CopilotClient,
    CopilotSession,
    EventStream,
    PermissionHandler,
    Record,
    RuntimeConnection,
    SessionEvent,
    SessionEventType,
    Tool,
    define_tool,
)
from rightseat.chat import ChatRequest
from rightseat.pytest_plugin import StartClient, StartGateway
from rightseat.testing import ScriptedSession
from rightseat.wire.events import AssistantMessageEvent


@define_tool
def plain(name: str) -> str:
    return name


@define_tool("named", description="d", timeout=1.0)
async def named(name: str) -> str:
    return name


async def model(request: ChatRequest) -> AsyncIterator[str]:
    yield request.prompt


async def use() -> None:
    assert_type(plain, Tool)
    assert_type(named, Tool)
    async with CopilotClient(log_level="debug", connection=RuntimeConnection.for_stdio()) as client:
        session = await client.create_session(
            model=model, streaming=True, tools=[plain, named], on_permission_request=PermissionHandler.approve_all
        )
        assert_type(session, CopilotSession)
        assert_type(await session.send("hello"), str)
        assert_type(await session.send_and_wait({"prompt": "hello"}, timeout=5), AssistantMessageEvent | None)
        assert_type(session.events(SessionEventType.SESSION_IDLE), EventStream)
        async for event in session.events():
            assert_type(event, SessionEvent)
            assert_type(event.type, SessionEventType)
        async for text in session.stream("hello"):
            assert_type(text, str)
        stop = session.on(lambda e: print(e.raw_type))
        stop()
        assert_type(await client.list_models(), list[Record])
    await client.create_session({"streaming": True})
    await client.create_session(no_such_option=1)  # type: ignore[call-arg]
    await client.create_session(streaming="yes")  # type: ignore[arg-type]


async def fixtures(
    scripted_session: type[ScriptedSession], copilot_gateway: StartGateway, copilot_client: StartClient
) -> None:
    assert_type(scripted_session({"python": "A language."}), ScriptedSession)
    gateway = await copilot_gateway(words=5, settings={"metrics": False})
    assert_type(gateway.url, str)
    await copilot_gateway(wrods=5)  # type: ignore[call-arg]
    assert_type(await copilot_client(pace=0.0), CopilotClient)
