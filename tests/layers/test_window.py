"""A conversation made to fit: the laws, and what users of it see."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.amounts import amount

from rightseat import InvalidOptionError, tokens
from rightseat.chat import ChatRequest, Image, Message, ToolCall, ToolSpec
from rightseat.errors import ContextTooLargeError
from rightseat.layers import ContextWindow, Priority, Window, extract, fit
from rightseat.layers.window import tokens_of
from rightseat.testing import ScriptedHandler

USER, BOT = (lambda text: Message("user", text)), (lambda text: Message("assistant", text))
SYSTEM = Message("system", "be brief")


def exchange(i: int, results: int) -> list[Message]:
    calls = tuple(ToolCall(f"c{i}-{n}", "look", '{"at": 1}') for n in range(results))
    return [Message("assistant", "", calls), *(Message("tool", "found " * 20, tool_call_id=call.id) for call in calls)]


@st.composite
def conversations(draw) -> list[Message]:
    messages = [Message("system", "rules " * draw(st.integers(0, 5)))] if draw(st.booleans()) else []
    for i in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["user", "bot", "tools", "system", "image"]))
        text = "word " * draw(st.integers(0, 40))
        match kind:
            case "user":
                messages.append(USER(text))
            case "bot":
                messages.append(BOT(text))
            case "system":
                messages.append(Message("system", text[:30]))
            case "image":
                messages.append(Message("user", text, parts=(text, Image("data:,x"))))
            case _:
                messages += exchange(i, draw(st.integers(1, 3)))
    messages.append(USER("question"))
    return messages


@settings(max_examples=amount(300, 1500), deadline=None)
@given(conversations(), st.integers(1, 3000), st.integers(0, 8))
def test_the_laws(messages, limit, recent):
    """Never above the limit; system messages and the question kept; calls and results together; order kept; nothing lost."""
    try:
        fitted = fit(messages, limit, recent=recent)
    except ContextTooLargeError as e:
        needed = sum(tokens_of(m) for m in messages if m.role == "system") + tokens_of(messages[-1])
        assert e.tokens > limit
        assert e.tokens >= needed
        return
    kept, gone = list(fitted.messages), list(fitted.left_out)
    assert sum(tokens_of(m) for m in kept) + 3 == fitted.tokens <= limit
    assert [m for m in messages if m.role == "system"] == [m for m in kept if m.role == "system"]
    assert kept[-1] is messages[-1]
    ids = [id(m) for m in messages]
    for part in (kept, gone):
        assert [ids.index(id(m)) for m in part] == sorted(ids.index(id(m)) for m in part)
    assert sorted(map(id, kept + gone)) == sorted(ids)
    called = {call.id for m in kept for call in m.tool_calls}
    answered = {m.tool_call_id for m in kept if m.role == "tool"}
    assert called == answered
    if not gone:
        assert kept == messages
    first = next((m for m in kept if m.role != "system"), None)
    assert (
        not gone
        or first is None
        or first.role != "assistant"
        or first is messages[-1]
        or messages.index(first) > max((n for n, m in enumerate(messages) if m.role == "user"), default=-1)
    )


def test_old_exchanges_go_before_recent_ones():
    messages = [SYSTEM]
    for i in range(10):
        messages += [USER(f"question {i} " + "word " * 10), BOT(f"answer {i} " + "word " * 10)]
    messages.append(USER("now"))
    fitted = fit(messages, 200)
    assert next(m.content.split(" word")[0] for m in fitted.left_out) == "question 0"
    assert fitted.messages[0] == SYSTEM
    assert fitted.messages[-1] == USER("now")
    assert fitted.messages[1].role == "user"  # never begins with an answer whose question is gone


def test_priorities_may_be_given():
    messages = [USER("keep me " + "word " * 30), BOT("x " * 30), USER("y " * 30), BOT("z " * 30), USER("now")]
    fitted = fit(messages, 100, priority=lambda m: Priority.CRITICAL if m.content.startswith("keep") else None)
    assert fitted.messages[0].content.startswith("keep me")
    with pytest.raises(ContextTooLargeError, match="Shorten them"):
        fit(messages, 20, priority=lambda _: Priority.CRITICAL)


async def test_the_layer_leaves_what_fits_alone_and_sums_up_what_does_not():
    upstream, left = ScriptedHandler(), []
    handler = Window(limit=200, summarise=extract, summary_tokens=60, on_left_out=left.append)(upstream)
    short = ChatRequest("gpt-5", (SYSTEM, USER("hi")))
    await handler(short)
    assert upstream.calls[0] is short
    history = [SYSTEM]
    for i in range(12):
        history += [USER(f"What is number {i}? " + "word " * 10), BOT("It is so. " + "word " * 10)]
    await handler(ChatRequest("gpt-5", (*history, USER("and now?"))))
    sent = upstream.calls[1].messages
    assert sent[0] == SYSTEM
    assert sent[1].role == "system"
    assert "What is number 0?" in sent[1].content
    assert sent[-1] == USER("and now?")
    assert sum(tokens_of(m) for m in sent) + 3 <= 200
    assert left[0][0].content.startswith("What is number 0?")


async def test_a_long_summary_is_cut_and_none_is_made_where_there_is_no_room():
    async def chatty(_):
        return "blah " * 1000

    upstream = ScriptedHandler()
    history = [USER("word " * 50), BOT("word " * 50), USER("word " * 20)]
    await Window(limit=80, summarise=chatty, summary_tokens=40)(upstream)(ChatRequest("gpt-5", tuple(history)))
    sent = upstream.calls[0].messages
    assert sent[0].content.startswith("blah")
    assert sum(tokens_of(m) for m in sent) + 3 <= 80
    await Window(limit=30, summarise=chatty, summary_tokens=25)(upstream)(ChatRequest("gpt-5", tuple(history)))
    assert [m.content for m in upstream.calls[1].messages] == ["word " * 20]


async def test_tools_take_room_and_the_limit_may_depend_on_the_model():
    tool = ToolSpec("t", "describes " * 50)
    upstream = ScriptedHandler()
    handler = Window(limit={"small": 100, "large": 1000}.__getitem__)(upstream)
    messages = (USER("word " * 40), BOT("word"), USER("now"))
    await handler(ChatRequest("large", messages, (tool,)))
    await handler(ChatRequest("small", messages, ()))
    with pytest.raises(ContextTooLargeError):
        await handler(ChatRequest("small", messages, (tool, ToolSpec("u", "describes " * 50))))
    assert [len(c.messages) for c in upstream.calls] == [3, 3]


def test_a_window_that_grows_as_in_the_guide():
    window = ContextWindow(max_tokens=60)
    window.add_message("system", "You are a helpful assistant.", Priority.SYSTEM)
    for i in range(10):
        window.add_message("user", f"question {i} with some words", Priority.CRITICAL if i == 9 else None)
        window.add_message("assistant", f"answer {i} with some words", Priority.HIGH)
    said = window.get_messages()
    assert said[0] == {"role": "system", "content": "You are a helpful assistant."}
    assert said[-2]["content"] == "question 9 with some words"
    assert window.tokens <= 60
    before = window.messages
    with pytest.raises(ContextTooLargeError):
        window.add_message("user", "word " * 200)
    assert window.messages == before


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Window(limit=0), "limit"),
        (lambda: Window(limit=100, summarise=extract, summary_tokens=100), "summary_tokens"),
        (lambda: Window(recent=-1), "recent"),
        (lambda: ContextWindow(max_tokens=0), "max_tokens"),
    ],
)
def test_nonsense_is_refused_by_name(make, field):
    with pytest.raises(InvalidOptionError, match=f"^{field}: "):
        make()


def test_an_estimate_is_there_where_no_tokeniser_is(monkeypatch):
    assert tokens.estimate("x" * 400) == 100
    assert tokens.estimate("日本語") >= 3
    assert tokens.estimate("") == 0
