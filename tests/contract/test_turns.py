"""Turns with the real CLI: streaming and not, listeners, many sessions, timeouts, abort, errors."""

import asyncio
import time

import pytest

from rightseat import (
    EventsLostError,
    InvalidOptionError,
    SessionError,
    SessionEventType,
    TurnAbortedError,
    TurnTimeoutError,
    define_tool,
)
from rightseat.simulator.script import Rule, Script, ScriptedError

pytestmark = pytest.mark.contract
T = SessionEventType


async def test_streaming_gives_deltas_that_add_up_to_the_message(shared):
    async with shared() as client, await client.create_session(streaming=True) as session:
        events = []
        session.on(events.append)
        reply = await session.send_and_wait("Reply with exactly: one two three four five six seven eight nine ten")
    deltas = [e for e in events if e.type is T.ASSISTANT_MESSAGE_DELTA]
    assert len(deltas) > 3
    assert (
        reply.data.content
        == "".join(e.data.delta_content for e in deltas)
        == "one two three four five six seven eight nine ten"
    )
    assert events.index(deltas[-1]) < events.index(reply)
    assert all(e.ephemeral for e in deltas)


async def test_without_streaming_the_message_comes_whole(shared):
    async with shared() as client, await client.create_session() as session:
        kinds = []
        session.on(lambda e: kinds.append(e.type))
        reply = await session.send_and_wait("Reply with exactly: pong")
    assert reply.data.content == "pong"
    assert T.ASSISTANT_MESSAGE_DELTA not in kinds
    assert kinds.count(T.ASSISTANT_MESSAGE) == 1


async def test_reasoning_comes_in_deltas_and_whole(copilot, simulate):
    server = await simulate(script=Script([Rule(reasoning="First think. Then speak.", text="Done.")]))
    async with copilot(server) as client, await client.create_session(streaming=True) as session:
        events = []
        session.on(events.append)
        await session.send_and_wait("think")
    deltas = [e.data.delta_content for e in events if e.type is T.ASSISTANT_REASONING_DELTA]
    assert "".join(deltas) == "First think. Then speak."
    assert [e.data.content for e in events if e.type is T.ASSISTANT_REASONING] == ["First think. Then speak."]


async def test_two_sessions_on_one_client_may_differ(copilot, simulator):
    async with copilot(simulator) as client:
        loud, quiet = await client.create_session(streaming=True), await client.create_session()
        deltas = {loud: 0, quiet: 0}
        for session in deltas:
            session.on(lambda e, s=session: deltas.update({s: deltas[s] + 1}), T.ASSISTANT_MESSAGE_DELTA)
        await asyncio.gather(loud.send_and_wait("hello"), quiet.send_and_wait("hello"))
        assert deltas[loud] > 1
        assert deltas[quiet] == 0


async def test_a_listener_that_raises_harms_nobody(shared, caplog):
    def broken(event):
        raise RuntimeError("broken listener")

    async def broken_too(event):
        raise RuntimeError("broken async listener")

    async with shared() as client, await client.create_session(streaming=True) as session:
        before, after, late = [], [], []
        session.on(before.append)
        session.on(broken)
        session.on(broken_too)
        session.on(after.append)

        async def slow(event):
            await asyncio.sleep(0)
            late.append(event)

        session.on(slow)
        await session.send_and_wait("hello")
        while late != after:
            await asyncio.sleep(0.01)
    assert before == after
    assert len(before) > 10
    assert "broken listener" in caplog.text
    assert "broken async listener" in caplog.text


async def test_unsubscribing_ends_delivery(shared):
    async with shared() as client, await client.create_session() as session:
        seen = []
        stop = session.on(seen.append)
        await session.send_and_wait("hello")
        count = len(seen)
        stop()
        stop()
        await session.send_and_wait("hello")
        assert len(seen) == count > 0


async def test_stream_gives_the_text_with_and_without_streaming(shared):
    async with shared() as client:
        for streaming in (True, False):
            async with await client.create_session(streaming=streaming) as session:
                pieces = [text async for text in session.stream("Reply with exactly: alpha beta gamma delta epsilon")]
                assert "".join(pieces) == "alpha beta gamma delta epsilon"
                pieces = [text async for text in session.stream("Reply with exactly: again")]
                assert pieces == ["again"]


async def test_leaving_a_stream_early_aborts_the_turn(copilot, simulate):
    server = await simulate(pace=20, words=200)
    async with copilot(server) as client, await client.create_session(streaming=True) as session:
        idle = asyncio.Event()
        session.on(lambda e: idle.set(), T.SESSION_IDLE)
        begun = time.monotonic()
        async with session.stream("a long story") as story:
            async for _ in story:
                break
        await asyncio.wait_for(idle.wait(), 5)
        assert time.monotonic() - begun < 5
        assert (await session.send_and_wait("Reply with exactly: still here")).data.content == "still here"


async def test_events_can_be_iterated(shared):
    async with shared() as client, await client.create_session(streaming=True) as session:
        async with session.events() as events:
            await session.send("Reply with exactly: one two three")
            kinds = []
            async for event in events:
                kinds.append(event.type)
                if event.type is T.SESSION_IDLE:
                    break
        assert kinds.index(T.USER_MESSAGE) < kinds.index(T.ASSISTANT_MESSAGE_DELTA) < kinds.index(T.ASSISTANT_MESSAGE)


async def test_a_slow_consumer_is_told_and_costs_a_bounded_buffer(copilot, simulator):
    async with copilot(simulator) as client, await client.create_session(streaming=True) as session:
        strict = session.events(max_buffered=5)
        loose = session.events(max_buffered=5, overflow="drop_oldest")
        await session.send_and_wait("hello")
        seen = []
        with pytest.raises(EventsLostError) as caught:
            async for event in strict:
                seen.append(event)
        assert len(seen) == 5
        assert caught.value.lost > 10
        assert loose.lost == caught.value.lost
        loose.close()
        newest = [event.type async for event in loose]
        assert len(newest) == 5
        assert newest[-1] is T.SESSION_IDLE


async def test_twenty_sessions_at_once(shared):
    async with shared() as client:
        sessions = await asyncio.gather(*(client.create_session(streaming=True) for _ in range(20)))
        replies = await asyncio.gather(
            *(s.send_and_wait(f"Reply with exactly: answer number {i} of twenty") for i, s in enumerate(sessions))
        )
        assert [f"answer number {i} of twenty" for i in range(20)] == [r.data.content for r in replies]


async def test_messages_that_wait_in_line_get_their_own_answers(shared):
    async with shared() as client, await client.create_session() as session:
        one, two, three = await asyncio.gather(
            *(session.send_and_wait(f"Reply with exactly: {n}") for n in ("one", "two", "three"))
        )
        assert [r.data.content for r in (one, two, three)] == ["one", "two", "three"]


async def test_a_turn_that_takes_too_long_says_what_it_was_doing(shared):
    started = asyncio.Event()

    @define_tool(skip_permission=True)
    async def wait_for_ever() -> str:
        """Wait."""
        started.set()
        await asyncio.Event().wait()
        return "never"

    async with shared() as client, await client.create_session(tools=[wait_for_ever]) as session:
        with pytest.raises(TurnTimeoutError) as caught:
            await session.send_and_wait("Use the wait_for_ever tool", timeout=1.5)
        assert started.is_set()
        assert caught.value.kind == "total"
        assert caught.value.pending_tools == ("wait_for_ever",)
        assert caught.value.last_event is not None
        assert caught.value.last_event_age > 0
        assert "tools still running: wait_for_ever" in str(caught.value)
        assert isinstance(caught.value, TimeoutError)

        with pytest.raises(TurnTimeoutError) as caught:
            await session.send_and_wait("hello", timeout=None, inactivity_timeout=0.7)
        assert caught.value.kind == "inactivity"
        await session.abort()


async def test_an_unanswered_permission_is_named_by_the_timeout(shared):
    async def ask_nobody(request, invocation):
        await asyncio.Event().wait()

    async with shared() as client, await client.create_session(on_permission_request=ask_nobody) as session:
        with pytest.raises(TurnTimeoutError) as caught:
            await session.send_and_wait("Run the shell command `echo hi` and reply with its output", timeout=2)
        assert caught.value.pending_permissions == ("shell",)
        await session.abort()


async def test_activity_keeps_a_long_turn_alive(copilot, simulate):
    server = await simulate(pace=20, words=40)
    async with copilot(server) as client, await client.create_session(streaming=True) as session:
        begun = time.monotonic()
        await session.send_and_wait("a story", timeout=None, inactivity_timeout=1.5)
        assert time.monotonic() - begun > 1.6


async def test_abort_ends_the_turn_for_who_waits(copilot, simulate):
    server = await simulate(pace=10, words=300)
    async with copilot(server) as client, await client.create_session(streaming=True) as session:
        first = asyncio.Event()
        session.on(lambda e: first.set(), T.ASSISTANT_MESSAGE_DELTA)
        waiting = asyncio.ensure_future(session.send_and_wait("a very long story"))
        await asyncio.wait_for(first.wait(), 10)
        await session.abort()
        with pytest.raises(TurnAbortedError):
            await asyncio.wait_for(waiting, 5)


async def test_a_refusal_of_the_model_api_is_a_session_error(copilot, simulate):
    server = await simulate(
        script=Script([Rule(times=1, error=ScriptedError(status=400, message="the prompt is too odd"))])
    )
    async with copilot(server) as client, await client.create_session() as session:
        with pytest.raises(SessionError, match="too odd") as caught:
            await session.send_and_wait("odd")
        assert caught.value.status_code == 400
        assert caught.value.session_id == session.session_id
        assert (await session.send_and_wait("Reply with exactly: fine again")).data.content == "fine again"


async def test_send_takes_text_dict_and_options(shared):
    async with shared() as client, await client.create_session() as session:
        assert await session.send("Reply with exactly: a")
        assert (await session.send_and_wait({"prompt": "Reply with exactly: b", "mode": "enqueue"})).data.content == "b"
        with pytest.raises(InvalidOptionError, match="send needs a prompt"):
            await session.send({"mode": "enqueue"})


async def test_half_an_emoji_in_a_delta_does_no_harm(copilot, simulate):
    server = await simulate(script=Script([Rule(chunks=["a\U0001f600b", "\U0001f468\u200d\U0001f469"])]))
    async with copilot(server) as client, await client.create_session(streaming=True) as session:
        assert (await session.send_and_wait("smile")).data.content == "a\U0001f600b\U0001f468\u200d\U0001f469"
