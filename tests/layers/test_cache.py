"""Answers from before, and one call for all who ask the same."""

import asyncio
import contextlib

import pytest

from rightseat import InvalidOptionError
from rightseat.chat import ChatRequest, Message, Meta, TextDelta, ToolSpec
from rightseat.errors import UpstreamError
from rightseat.layers import Cache, CachePolicy, MemoryCache
from rightseat.layers.cache import CacheStats, key_of
from rightseat.testing import FakeClock, LoopClock, ScriptedHandler, run_virtual

DOWN = UpstreamError(503, "down")


def ask(text: str = "hi", **more) -> ChatRequest:
    return ChatRequest("gpt-5", (Message("user", text),), **more)


async def pieces(handler, request: ChatRequest | None = None) -> list[str]:
    async with await handler(request or ask()) as reply:
        return [e.text async for e in reply if isinstance(e, TextDelta)]


async def test_a_stream_is_given_again_as_a_stream_until_it_is_too_old():
    clock, stats = FakeClock(), CacheStats()
    upstream = ScriptedHandler(sequence=["one two", "three"])
    handler = Cache(clock=clock, stats=stats)(upstream)
    assert await pieces(handler) == await pieces(handler) == ["one ", "two"]
    clock.advance(299)
    assert await pieces(handler, ask(stream=True, meta=Meta(priority=3, caller="b"))) == ["one ", "two"]
    clock.advance(2)
    assert await pieces(handler) == ["three"]
    assert (stats.hits, stats.misses) == (2, 2)


def test_what_makes_two_requests_the_same():
    assert key_of(ask()) == key_of(ask(stream=True)) == key_of(ask(meta=Meta(1, 2.0, "c", "id")))
    assert key_of(ask(extra={"a": 1, "b": 2})) == key_of(ask(extra={"b": 2, "a": 1, "user": "x", "stream_options": {}}))
    different = [
        ask("yo"),
        ask(extra={"temperature": 0}),
        ChatRequest("gpt-4", ask().messages),
        ask(tools=(ToolSpec("t"),)),
    ]
    assert len({key_of(request) for request in (ask(), *different)}) == 5


async def test_tools_are_not_answered_from_before_unless_asked_for():
    request = ask(tools=(ToolSpec("t"),))
    for tools, calls in ((False, 2), (True, 1)):
        upstream = ScriptedHandler()
        handler = Cache(policy=CachePolicy(tools=tools))(upstream)
        await pieces(handler, request)
        await pieces(handler, request)
        assert len(upstream.calls) == calls


async def test_what_broke_or_was_cut_short_is_not_kept():
    from rightseat.chat import Finish

    for broken in ([DOWN], ["one ", DOWN], ["one ", Finish("length")], ["one ", Finish("content_filter")]):
        upstream = ScriptedHandler(sequence=[broken, "whole"])
        handler = Cache()(upstream)
        with contextlib.suppress(UpstreamError):
            await pieces(handler)
        assert await pieces(handler) == ["whole"]


def test_many_who_ask_the_same_are_one_call_and_all_get_all_of_it():
    async def main():
        upstream = ScriptedHandler(default="a b c d e", pause=1)
        stats = CacheStats()
        handler = Cache(clock=LoopClock(), stats=stats)(upstream)

        async def late(seconds):
            await asyncio.sleep(seconds)
            return await pieces(handler)

        results = await asyncio.gather(*(late(0.1 * i) for i in range(50)))
        assert {tuple(r) for r in results} == {("a ", "b ", "c ", "d ", "e")}
        assert len(upstream.calls) == 1
        assert (stats.misses, stats.joined) == (1, 49)

    run_virtual(main)


def test_the_first_may_leave_and_the_others_are_served():
    async def main():
        upstream = ScriptedHandler(default="a b c", pause=1)
        handler = Cache(clock=LoopClock())(upstream)
        first = asyncio.ensure_future(pieces(handler))
        second = asyncio.ensure_future(pieces(handler))
        await asyncio.sleep(1.5)
        first.cancel()
        assert await second == ["a ", "b ", "c"]
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_when_the_last_one_leaves_the_call_is_stopped_and_the_next_asks_anew():
    async def main():
        upstream = ScriptedHandler(default="a b c", pause=1)
        handler = Cache(clock=LoopClock())(upstream)
        tasks = [asyncio.ensure_future(pieces(handler)) for _ in range(3)]
        await asyncio.sleep(1.5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await pieces(handler) == ["a ", "b ", "c"]  # asked in the very moment of the stop
        assert len(upstream.calls) == 2
        assert upstream.open == 0

    run_virtual(main)


def test_an_error_is_everybodys_and_the_firsts_deadline_is_not():
    async def main():
        upstream = ScriptedHandler(default=DOWN, pause=1)
        handler = Cache(clock=LoopClock())(upstream)
        results = await asyncio.gather(
            *(pieces(handler, ask(meta=Meta(deadline=0.5))) for _ in range(5)), return_exceptions=True
        )
        assert {str(e) for e in results} == {str(DOWN)}
        assert len(upstream.calls) == 1
        assert upstream.calls[0].meta.deadline is None

    run_virtual(main)


async def test_an_old_answer_is_better_than_none_if_wanted():
    clock, stats = FakeClock(), CacheStats()
    upstream = ScriptedHandler(sequence=["old", DOWN, UpstreamError(400, "bad"), DOWN])
    handler = Cache(policy=CachePolicy(seconds=10, stale_seconds=60), clock=clock, stats=stats)(upstream)
    await pieces(handler)
    clock.advance(11)
    assert await pieces(handler) == ["old"]
    with pytest.raises(UpstreamError, match="bad"):  # the caller's fault is told
        await pieces(handler)
    clock.advance(60)
    with pytest.raises(UpstreamError, match="down"):
        await pieces(handler)
    assert stats.stale == 1


async def test_the_store_is_bounded_and_forgets_what_was_not_asked_for_longest():
    store = MemoryCache(max_bytes=3000)
    policy = CachePolicy(max_bytes=3000, max_answer_bytes=2000)
    upstream = ScriptedHandler(default=lambda request: "x" * int(request.last_user_text), pieces=500)
    handler = Cache(policy=policy, store=store)(upstream)
    for size in ("500", "400", "300"):
        await pieces(handler, ask(size))
    await pieces(handler, ask("500"))
    await pieces(handler, ask("1000"))  # 400 has to go
    calls = len(upstream.calls)
    await pieces(handler, ask("500"))
    assert len(upstream.calls) == calls
    await pieces(handler, ask("400"))
    assert len(upstream.calls) == calls + 1
    await pieces(handler, ask("2500"))
    await pieces(handler, ask("2500"))  # too large to keep
    assert len(upstream.calls) == calls + 3
    assert store.size <= 3000


async def test_a_key_may_say_no_and_keep_callers_apart():
    upstream = ScriptedHandler()
    handler = Cache(key=lambda r: None if r.meta.caller == "secret" else r.meta.caller.encode() + key_of(r))(upstream)
    for caller in ("a", "a", "b", "secret", "secret"):
        await pieces(handler, ask(meta=Meta(caller=caller)))
    assert len(upstream.calls) == 4


@pytest.mark.parametrize(
    ("options", "field"),
    [({"seconds": 0}, "seconds"), ({"stale_seconds": -1}, "stale_seconds"), ({"max_bytes": 0}, "max_bytes"), ({"max_answer_bytes": 1 << 40}, "max_answer_bytes")],
)  # fmt: skip
def test_nonsense_is_refused_by_name(options, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        CachePolicy(**options)
