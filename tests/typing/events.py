"""`event.data` is known once `event.type` is. Checked by mypy and pyright (strict), never run."""

from typing import assert_type

from rightseat import CopilotSession, Record, SessionEvent, SessionEventType
from rightseat.wire.session_events import (
    AssistantMessageData,
    AssistantMessageDeltaData,
    SessionErrorData,
    ToolExecutionStartData,
)


def by_comparison(event: SessionEvent) -> str:
    assert_type(event.type, SessionEventType)
    if event.type == "session.idle":  # works at run time, and narrows nothing
        return ""
    if event.type == SessionEventType.ASSISTANT_MESSAGE_DELTA:
        assert_type(event.data, AssistantMessageDeltaData)
        return event.data.delta_content
    if event.type is SessionEventType.ASSISTANT_MESSAGE:
        assert_type(event.data, AssistantMessageData)
        return event.data.content
    if event.type == SessionEventType.UNKNOWN:
        assert_type(event.data, Record)
        return str(event.data["anything"])
    return event.type.value


def by_match(event: SessionEvent) -> str:
    match event.type:
        case SessionEventType.SESSION_ERROR:
            assert_type(event.data, SessionErrorData)
            return event.data.message
        case SessionEventType.TOOL_EXECUTION_START:
            assert_type(event.data, ToolExecutionStartData)
            return event.data.tool_name
        case _:
            return event.raw_type


def by_the_guides_names(event: SessionEvent) -> str:
    if event.type == SessionEventType.TOOL_CALL:
        return event.data.name
    return ""


async def of_a_session(session: CopilotSession) -> None:
    async for event in session.events(SessionEventType.ASSISTANT_MESSAGE):
        if event.type == SessionEventType.ASSISTANT_MESSAGE:
            assert_type(event.data.content, str)

    def handler(event: SessionEvent) -> None:
        print(event.type == SessionEventType.SESSION_IDLE and event.data.aborted)

    session.on(handler)
    session.on(lambda e: print(e.raw_type, e.data))
    reply = await session.send_and_wait("hello")
    if reply is not None:
        assert_type(reply.data, AssistantMessageData)
        assert_type(reply.data.content, str)
    for past in await session.get_events():
        if past.type == SessionEventType.ASSISTANT_MESSAGE:
            assert_type(past.data.content, str)
