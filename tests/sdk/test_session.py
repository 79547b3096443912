"""A session, event by event, with a scripted CLI."""

import asyncio

import pytest

from rightseat import (
    InvalidOptionError,
    InvalidToolError,
    SessionError,
    TurnAbortedError,
    UnknownOptionError,
    define_tool,
)


@define_tool
def noop() -> None:
    """Do nothing."""


# Creation.


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"streamin": True}, UnknownOptionError, "unknown session option 'streamin'; did you mean 'streaming'"),
        ({"streaming": "yes"}, InvalidOptionError, "'streaming' must be a True or False, not str: 'yes'"),
        ({"tools": "calculate"}, InvalidOptionError, "'tools' must be a list, not str"),
        ({"tools": [5]}, InvalidToolError, "5 is not a tool"),
        ({"tools": [noop, noop]}, InvalidOptionError, "two tools are named 'noop'"),
        ({"hooks": {"on_pre_tool_usage": print}}, UnknownOptionError, "did you mean 'on_pre_tool_use'"),
        ({"hooks": {"on_pre_tool_use": 1}}, InvalidOptionError, "must be a function"),
        ({"on_permission_request": "approve"}, InvalidOptionError, "must be a function"),
        (
            {"provider": {"bearer_token_provider": "token"}},
            InvalidOptionError,
            "must be a function that returns a token",
        ),
        ({"system_message": "be brief"}, InvalidOptionError, "'system_message' must be a dict"),
    ],
)
async def test_bad_options_are_named_and_nothing_is_sent(scripted, options, error, says):
    client, cli = await scripted()
    with pytest.raises(error, match=says):
        await client.create_session(options)
    assert [method for method, _ in cli.calls] == ["connect"]


async def test_an_unknown_option_is_a_type_error(scripted):
    client, _ = await scripted()
    with pytest.raises(TypeError):
        await client.create_session(no_such_option=1)


async def test_a_clients_working_directory_is_that_of_its_sessions(scripted):
    client, cli = await scripted(working_directory="/work")
    await client.create_session()
    assert (await cli.until("session.create"))["workingDirectory"] == "/work"
    await client.create_session(working_directory="/other")
    assert (await cli.until("session.create", 2))["workingDirectory"] == "/other"


async def test_options_reach_the_wire_in_its_spelling(scripted):
    client, cli = await scripted()
    await client.create_session(
        {"model": "gpt-5", "streaming": True, "cwd": "/work"},
        infinite_sessions={"enabled": True, "background_compaction_threshold": 0.5},
        mcp_servers={"my_server": {"command": "run", "env": {"MY_VAR": "1"}, "tools": ["*"]}},
        provider={"type": "openai", "base_url": "http://x", "headers": {"X-My_Header": "1"}, "max_prompt_tokens": 5},
        available_tools=("a", "b"),
        tools=[noop],
        reasoning_effort=None,
        extra={"brandNew": [1]},
    )
    params = await cli.until("session.create")
    assert params["model"] == "gpt-5"
    assert params["streaming"] is True
    assert params["workingDirectory"] == "/work"
    assert params["infiniteSessions"] == {"enabled": True, "backgroundCompactionThreshold": 0.5}
    assert params["mcpServers"] == {"my_server": {"command": "run", "env": {"MY_VAR": "1"}, "tools": ["*"]}}
    assert params["provider"] == {
        "type": "openai",
        "baseUrl": "http://x",
        "headers": {"X-My_Header": "1"},
        "maxPromptTokens": 5,
    }
    assert params["availableTools"] == ["a", "b"]
    assert params["tools"] == [{"name": "noop", "description": "Do nothing."}]
    assert params["brandNew"] == [1]
    assert "reasoningEffort" not in params
    assert (params["requestPermission"], params["requestUserInput"], params["requestElicitation"]) == (
        True,
        False,
        False,
    )


async def test_events_that_come_before_the_answer_are_heard(scripted):
    client, cli = await scripted()

    def create(params):
        cli.event(params["sessionId"], "session.start")
        return {"sessionId": params["sessionId"]}

    cli.methods["session.create"] = create
    seen = []
    await client.create_session(on_event=seen.append)
    assert [e.raw_type for e in seen] == ["session.start"]


# Turns.


async def send_and_wait(client, cli, **options):
    session = await client.create_session(**options)
    return session, asyncio.ensure_future(session.send_and_wait("hello", timeout=5))


async def test_the_answer_to_this_message_and_no_other_ends_the_wait(scripted):
    client, cli = await scripted()
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    cli.turn(session.session_id, "an older answer", message="message-0")
    cli.turn(session.session_id, "ours", message="message-1")
    assert (await waiting).data.content == "ours"


async def test_an_answer_that_comes_before_the_acknowledgement_counts(scripted):
    client, cli = await scripted()
    session = await client.create_session()

    def send(_):
        cli.turn(session.session_id, "quick", message="message-9")
        return {"messageId": "message-9"}

    cli.methods["session.send"] = send
    assert (await session.send_and_wait("hello", timeout=5)).data.content == "quick"


async def test_sub_agents_complete_nothing(scripted):
    client, cli = await scripted()
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    cli.event(session.session_id, "user.message", {"content": "?", "messageId": "message-1"})
    cli.event(session.session_id, "assistant.message", {"messageId": "x", "content": "from a sub-agent"}, agentId="a1")
    cli.event(session.session_id, "session.idle", {}, agentId="a1")
    cli.event(session.session_id, "session.error", {"errorType": "query", "message": "sub"}, agentId="a1")
    cli.turn(session.session_id, "from the agent")
    assert (await waiting).data.content == "from the agent"


async def test_the_last_of_several_messages_is_the_reply(scripted):
    client, cli = await scripted()
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    cli.turn(session.session_id, "let me look", idle=False)
    cli.turn(session.session_id, "found it")
    assert (await waiting).data.content == "found it"


async def test_a_turn_without_message_is_none(scripted):
    client, cli = await scripted()
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    cli.event(session.session_id, "user.message", {"content": "?", "messageId": "message-1"})
    cli.event(session.session_id, "session.idle")
    assert await waiting is None


async def test_a_cli_that_gives_no_message_id_still_completes(scripted):
    client, cli = await scripted()
    cli.methods["session.send"] = lambda _: {}
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    await asyncio.sleep(0)
    cli.turn(session.session_id, "fine")
    assert (await waiting).data.content == "fine"


async def test_an_aborted_turn_and_a_failed_one(scripted):
    client, cli = await scripted()
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    cli.event(session.session_id, "user.message", {"content": "?", "messageId": "message-1"})
    cli.event(session.session_id, "session.idle", {"aborted": True})
    with pytest.raises(TurnAbortedError):
        await waiting
    waiting = asyncio.ensure_future(session.send_and_wait("again", timeout=5))
    await cli.until("session.send", 2)
    error = {"errorType": "quota", "message": "no credits", "statusCode": 402, "originatingMessageId": "message-2"}
    cli.event(session.session_id, "session.error", error)
    with pytest.raises(SessionError, match="no credits") as caught:
        await waiting
    assert (caught.value.error_type, caught.value.status_code) == ("quota", 402)


async def test_an_autopilot_goes_on_after_idle(scripted):
    client, cli = await scripted()
    session, waiting = await send_and_wait(client, cli)
    await cli.until("session.send")
    cli.turn(session.session_id, "step one", idle=False)
    cli.event(session.session_id, "session.idle", {"mode": "autopilot"})
    cli.turn(session.session_id, "step two", idle=False)
    cli.event(session.session_id, "session.autopilot_stopped", {"reason": "completed", "requestId": "message-1"})
    assert (await waiting).data.content == "step two"


async def test_a_slow_reader_of_text_gets_fewer_and_longer_pieces(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    async with session.stream("hello") as answer:
        cli.turn(session.session_id, *"abcdefghij")
        while (
            session._turns.activity.last_event is None or session._turns.activity.last_event.raw_type != "session.idle"
        ):
            await asyncio.sleep(0)
        assert [text async for text in answer] == ["abcdefghij"]
    assert answer.reply.data.content == "abcdefghij"
    assert [m for m, _ in cli.calls if m == "session.abort"] == []


async def test_a_stream_left_early_aborts(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    async with session.stream("hello") as answer:
        cli.turn(session.session_id, "a", "b", idle=False)
        async for _ in answer:
            break
    assert await cli.until("session.abort") == {"sessionId": session.session_id}
    assert not session._turns


async def test_breaking_out_of_a_stream_without_a_block_aborts_too(scripted):
    client, cli = await scripted()
    session = await client.create_session(streaming=True)
    cli.methods["session.send"] = lambda _: (
        cli.turn(session.session_id, "a", "b", idle=False) or {"messageId": "message-1"}
    )
    async for _ in session.stream("hello"):
        break
    await asyncio.wait_for(cli.until("session.abort"), 5)
    assert not session._turns
    assert session._subscriptions._to_kind == {} or not any(session._subscriptions._to_kind.values())


async def test_unknown_options_of_send(scripted):
    client, _ = await scripted()
    session = await client.create_session()
    with pytest.raises(UnknownOptionError, match="unknown option 'promt' of send"):
        await session.send({"promt": "x"})


async def test_attachments_and_headers_are_spelled_for_the_wire(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    files = [{"type": "file", "path": "/a", "display_name": "a"}]
    await session.send("look", attachments=files, request_headers={"X-My_Id": "1"}, agent_mode="plan")
    params = await cli.until("session.send")
    assert params["attachments"] == [{"type": "file", "path": "/a", "displayName": "a"}]
    assert params["requestHeaders"] == {"X-My_Id": "1"}
    assert params["agentMode"] == "plan"


# Listeners.


async def test_listeners_by_type_and_their_names_are_checked(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    seen = []
    session.on(lambda e: seen.append(e.raw_type), "session.idle", "assistant.message")
    events = session.events("session.idle")
    cli.turn(session.session_id, "a")
    assert (await anext(events)).raw_type == "session.idle"
    assert seen == ["assistant.message", "session.idle"]
    with pytest.raises(InvalidOptionError, match="unknown event type"):
        session.on(print, "session.idel")
    with pytest.raises(InvalidOptionError, match="must be a function"):
        session.on(None)
    with pytest.raises(InvalidOptionError, match="max_buffered must be at least 1"):
        session.events(max_buffered=0)
    with pytest.raises(InvalidOptionError, match="overflow must be"):
        session.events(overflow="block")


async def test_a_listener_may_remove_itself_and_others_while_it_listens(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    seen = []

    def once(event):
        seen.append(event.raw_type)
        stop()

    stop = session.on(once)
    events = session.events("session.idle")
    cli.turn(session.session_id, "a")
    await anext(events)
    assert seen == ["user.message"]


async def test_a_dropped_iteration_no_longer_listens(scripted):
    client, cli = await scripted()
    session = await client.create_session()
    cli.event(session.session_id, "session.idle")
    async for _ in session.events():
        break
    assert session._subscriptions._to_all == ()


async def test_a_slow_async_listener_is_bounded_and_told_of(scripted, caplog, monkeypatch):
    monkeypatch.setattr("rightseat.sdk.subscriptions.MAX_BUFFERED", 10)
    client, cli = await scripted()
    session = await client.create_session()
    go, seen = asyncio.Event(), []

    async def slow(event):
        await go.wait()
        seen.append(event)

    stop = session.on(slow)
    done = session.events("session.idle")
    for _ in range(50):
        cli.event(session.session_id, "session.info", {"infoType": "x", "message": "y"})
    cli.event(session.session_id, "session.idle")
    await anext(done)
    go.set()
    while not seen or seen[-1].raw_type != "session.idle":
        await asyncio.sleep(0)
    assert len(seen) <= 11
    assert "too slow" in caplog.text
    stop()


# Tools and permissions.


async def test_a_tool_of_another_client_is_left_alone(scripted):
    client, cli = await scripted()
    session = await client.create_session(tools=[noop])
    for name, request in (("theirs", "1"), ("noop", "2")):
        data = {
            "requestId": request,
            "sessionId": session.session_id,
            "toolCallId": "t",
            "toolName": name,
            "arguments": {},
        }
        cli.event(session.session_id, "external_tool.requested", data)
    answered = await cli.until("session.tools.handlePendingToolCall")
    assert answered["requestId"] == "2"
    assert answered["result"] == {"textResultForLlm": "", "resultType": "success"}


async def test_a_tool_answered_elsewhere_is_cancelled(scripted):
    cancelled, started = asyncio.Event(), asyncio.Event()

    @define_tool
    async def slow() -> str:
        """Be slow."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    client, cli = await scripted()
    session = await client.create_session(tools=[slow])
    data = {"requestId": "1", "sessionId": session.session_id, "toolCallId": "t", "toolName": "slow"}
    cli.event(session.session_id, "external_tool.requested", data)
    await started.wait()
    cli.event(session.session_id, "external_tool.completed", {"requestId": "1"})
    await cancelled.wait()
    assert [m for m, _ in cli.calls if "handlePending" in m] == []


async def test_a_permission_resolved_by_a_hook_is_not_answered_again(scripted):
    asked = []
    client, cli = await scripted()
    session = await client.create_session(on_permission_request=lambda r: asked.append(r) or True)
    request = {"requestId": "1", "permissionRequest": {"kind": "shell"}, "resolvedByHook": True}
    cli.event(session.session_id, "permission.requested", request)
    cli.event(session.session_id, "permission.requested", {**request, "requestId": "2", "resolvedByHook": False})
    answered = await cli.until("session.permissions.handlePendingPermissionRequest")
    assert answered == {"sessionId": session.session_id, "requestId": "2", "result": {"kind": "approve-once"}}
    assert len(asked) == 1
