"""The synchronous twins, for type checkers: this file is checked (mypy and pyright, strict), never run."""

from collections.abc import Iterator
from typing import assert_type

from rightseat import ChatChunk, Record, SessionEvent
from rightseat.sync import ChatSession, ChatStream, CopilotClient, CopilotSDK, CopilotSession, SessionPool, TextStream
from rightseat.wire.events import AssistantMessageEvent


def use() -> None:
    with CopilotClient(log_level="debug") as client, client.create_session(streaming=True) as session:
        assert_type(session, CopilotSession)
        assert_type(session.send("hello"), str)
        assert_type(session.send_and_wait("hello", timeout=5), AssistantMessageEvent | None)
        assert_type(session.stream("hello"), TextStream)
        for text in session.stream("hello"):
            assert_type(text, str)
        for event in session.events():
            assert_type(event, SessionEvent)
        assert_type(client.list_models(), list[Record])
        client.create_session(no_such_option=1)  # type: ignore[call-arg]
        client.create_session(streaming="yes")  # type: ignore[arg-type]
    with CopilotSDK(client=client, timeout=5.0) as sdk, sdk.create_session(system="Be brief.") as chat:
        assert_type(chat, ChatSession)
        assert_type(chat.chat("hello").text, str)
        with chat.stream("hello") as stream:
            assert_type(stream, ChatStream)
            assert_type(iter(stream), Iterator[ChatChunk])
        with SessionPool(sdk) as pool, pool.session() as pooled:
            assert_type(pooled, ChatSession)
        sdk.chat("hello", no_such_option=1)  # type: ignore[call-overload]
