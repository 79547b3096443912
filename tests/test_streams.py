"""Pieces of an answer: put together, bounded, shown; and nothing of them lost."""

import asyncio
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rightseat import AnswerTooLongError, InvalidOptionError, UpstreamError, terminal
from rightseat.facade import ChatChunk
from rightseat.streams import bounded, collect, regroup, render
from rightseat.testing import run_virtual


async def say(*items, pause: float = 0.0, closed: list | None = None):
    try:
        for item in items:
            if pause:
                await asyncio.sleep(pause)
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        if closed is not None:
            closed.append(True)


@given(st.lists(st.text(max_size=20)), st.integers(1, 50))
def test_nothing_is_lost_and_every_group_but_the_last_is_large_enough(texts, size):
    async def main():
        return [group async for group in regroup(say(*texts), size)]

    groups = run_virtual(main)
    assert "".join(groups) == "".join(texts)
    assert all(len(group) >= size for group in groups[:-1])
    assert all(groups)


def test_no_character_waits_for_longer_than_told():
    async def main():
        loop, came = asyncio.get_running_loop(), []
        async for group in regroup(say(*"abcdefghij", pause=0.3), 1000, seconds=1.0):
            came.append((group, round(loop.time(), 1)))
        return came

    assert run_virtual(main) == [("abcd", 1.3), ("efgh", 2.5), ("ij", 3.0)]


def test_what_was_said_before_an_error_is_given_first():
    async def main():
        for seconds in (None, 5.0):
            closed, groups = [], []
            with pytest.raises(UpstreamError):
                async for group in regroup(say("a", "b", UpstreamError(503, "x"), closed=closed), 100, seconds=seconds):
                    groups.append(group)
            assert (groups, closed) == (["ab"], [True])

    run_virtual(main)


def test_leaving_closes_the_source():
    async def main():
        for make in (lambda s: regroup(s, 1), lambda s: regroup(s, 1, seconds=1), bounded):
            closed = []
            groups = make(say("a", "b", "c", pause=0.1, closed=closed))
            await anext(groups)
            await groups.aclose()
            assert closed == [True]

    run_virtual(main)


async def test_a_bound_is_kept_and_what_fits_is_given():
    given, chunks = [], say(ChatChunk("12345"), ChatChunk("", "thought"), ChatChunk("67890"), "!")
    with pytest.raises(AnswerTooLongError, match="longer than 8 characters"):
        async for piece in bounded(chunks, 8):
            given.append(piece)
    assert given == ["12345", "678"]
    assert await collect(say("a", "b")) == "ab"
    with pytest.raises(AnswerTooLongError):
        await collect(say("a" * 11), 10)


def test_showing_is_limited_in_rate_and_ends_with_all_of_it():
    async def main():
        loop, shown = asyncio.get_running_loop(), []
        text = await render(say(*["word "] * 1000, pause=0.001), lambda text: shown.append((text, loop.time())))
        assert text == shown[-1][0] == "word " * 1000
        assert 8 <= len(shown) <= 12  # a second's worth
        assert all(b - a > 0.099 for (_, a), (_, b) in itertools.pairwise(shown))
        seen = []

        async def slowly(text):
            await asyncio.sleep(1)
            seen.append(text)

        await render(say("a", "b"), slowly)
        assert seen[-1] == "ab"

    run_virtual(main)


async def test_at_a_terminal_it_is_markdown_and_elsewhere_plain_text():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, height=10)
    markdown = "# Title\n\n" + "\n\n".join(f"Paragraph **{i}**" for i in range(30)) + "\n\n```python\nx = 1\n```\n"
    text = await terminal.show(say(*(markdown[i : i + 7] for i in range(0, len(markdown), 7))), console)
    assert text == markdown
    assert "**" not in screen.getvalue()
    assert "Paragraph" in screen.getvalue()
    pipe = io.StringIO()
    assert await terminal.show(say("**a** ", "b"), Console(file=pipe)) == "**a** b"
    assert pipe.getvalue() == "**a** b\n"


@pytest.mark.parametrize(("call", "said"), [(lambda: regroup(say(), 0), "size"), (lambda: regroup(say(), 1, seconds=0), "seconds"), (lambda: bounded(say(), 0), "limit")])  # fmt: skip
async def test_nonsense_is_refused_by_name(call, said):
    with pytest.raises(InvalidOptionError, match=f"^{said}: "):
        await anext(call())
