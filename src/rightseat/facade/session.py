"""A conversation: what was said so far, tools that run on the way, and answers whole or in pieces.

An answer is added to the conversation when it is whole, with everything that led to it; what failed leaves no trace, so the same
can be asked again. Several questions at once are answered side by side, each knowing what was there when it was asked.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from msgspec import Struct

from rightseat.chat import (
    ChatRequest,
    Completion,
    Image,
    Message,
    Meta,
    ModelEvent,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolSpec,
    Usage,
    fold,
)
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import InvalidOptionError, NotStartedError, ToolLoopError
from rightseat.facade.closing import ReadScope, close_all
from rightseat.facade.options import QUESTION, SESSION, ChatOptions, request_options
from rightseat.handler import Handler
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.layers.checks import number
from rightseat.sdk.one_loop import OneLoop
from rightseat.sdk.tasks import result_of
from rightseat.sdk.tool_definition import as_tool
from rightseat.sdk.tool_run import run
from rightseat.sdk.tools import ToolInvocation, ToolResult


class ChatResponse(Struct, frozen=True):
    """An answer.

    Attributes:
        text: what was said.
        model: who said it.
        finish_reason: "stop", "length", "tool_calls" (with calls of tools that are not registered) or "content_filter".
        usage: tokens of all steps together; None: not reported.
        tool_calls: calls of the last step that were not run here.
        reasoning: what the model thought, as far as it tells.
        steps: how many times the model was asked.
        messages: what was added to the conversation.
    """

    text: str
    model: str
    finish_reason: str = "stop"
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    steps: int = 1
    messages: tuple[Message, ...] = ()

    def __str__(self) -> str:
        return self.text


class ChatChunk(Struct, frozen=True, gc=False):
    """A piece of an answer.

    Attributes:
        text: the next piece of what is said.
        reasoning: the next piece of what is thought; then `text` is "".
    """

    text: str
    reasoning: str = ""


class ChatSession:
    """A conversation. Made by `CopilotSDK.create_session`; close it, or use it as a context manager.

    Args:
        handler: who answers.
        model: the model.
        system: a system message.
        tools: what the model may call.
        max_steps: see `CopilotSDK.create_session`.
        options: sent with each request.
        keeps_history: the conversation is kept here; False: where the answers come from.
        on_close: called, and awaited if it is a coroutine function, when the session is closed.
        clock: the clock of deadlines.
        ids: the ids of the session and of its requests come from here.
    """

    def __init__(
        self,
        handler: Handler,
        model: str,
        *,
        system: str | None = None,
        tools: Sequence[object] = (),
        max_steps: int = 10,
        options: Mapping[str, object] | None = None,
        keeps_history: bool = True,
        on_close: Callable[[], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        ids: Ids = SYSTEM_IDS,
    ) -> None:
        number("max_steps", max_steps, least=1, whole=True)
        self.id = ids.uuid()
        self._clock = clock
        self._ids = ids
        self.model = model
        self.max_steps = max_steps
        self._handler = handler
        self._tools = {tool.name: tool for tool in map(as_tool, tools)}
        self._specs = tuple(ToolSpec(t.name, t.description, t.parameters or {}) for t in self._tools.values())
        self._options = request_options(options or {}, "create_session", also=SESSION)
        self._keeps = keeps_history
        self._system = (Message("system", system),) if system else ()
        self._history: list[Message] = []
        self._on_close: list[Callable[[], object]] = [on_close] if on_close is not None else []
        self._open: weakref.WeakSet[ChatStream] = weakref.WeakSet()
        self._loop = OneLoop("this ChatSession")
        self._closing: asyncio.Task[None] | None = None
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def chat(self, prompt: str, **options: Unpack[ChatOptions]) -> ChatResponse:
        """Ask, and wait for the whole answer.

        Args:
            prompt: the question.
            **options: timeout (seconds, for this call alone), priority, images (URLs, or `data:` URLs), and what is to be sent with
                this request (temperature ...); see `ChatOptions`.

        Raises:
            UnknownOptionError, InvalidOptionError: the prompt is empty, or an option makes no sense.
            ContextTooLargeError, RateLimitedError, QueueFullError, CircuitOpenError, DeadlineExceededError: see the layers.
            UpstreamError, LoginError, TransportError: it went wrong on the other side.
            ToolLoopError: the model went on calling tools.
        """
        self._note("chat", prompt, options)
        async with self._stream(prompt, options) as stream:
            async for _ in stream:
                pass
        assert stream.response is not None
        return stream.response

    def stream(self, prompt: str, **options: Unpack[ChatOptions]) -> ChatStream:
        """Ask, and iterate over the answer as it comes: `async for chunk in session.stream(...): chunk.text`.

        As a context manager it stops the answer when the block is left; afterwards `response` is the whole of it. Options and
        errors are those of `chat`; errors come while iterating.
        """
        self._note("stream", prompt, options)
        return self._stream(prompt, options)

    @property
    def history(self) -> tuple[Message, ...]:
        """The conversation so far, with the system message."""
        return (*self._system, *self._history)

    @property
    def forgets(self) -> bool:
        """`clear` is possible: the conversation is kept here."""
        return self._keeps

    def clear(self) -> None:
        """Forget what was said; the system message stays."""
        self._history.clear()

    async def close(self) -> None:
        """Stop what is under way. May be called twice. Takes two seconds at most, and goes on when whoever calls is cancelled."""
        self._loop.check()
        self.closed = True
        if self._closing is None:
            work = close_all([stream.aclose() for stream in list(self._open)], self._on_close)
            self._closing = asyncio.ensure_future(work)
        await result_of(self._closing)

    def on_close(self, callback: Callable[[], object]) -> None:
        """Call, and await if it is a coroutine function, when the session is closed."""
        self._on_close.append(callback)

    def _note(self, method: str, prompt: str, options: Mapping[str, object]) -> None:
        """A question is asked by `chat` or `stream`. For doubles that keep a record."""

    def _stream(self, prompt: str, options: Mapping[str, object]) -> ChatStream:
        self._loop.check()
        if self.closed:
            raise NotStartedError("this session is closed")
        if not isinstance(prompt, str) or not prompt.strip():
            raise InvalidOptionError("prompt: must be a non-empty string")
        return ChatStream(self, prompt, dict(options))

    # What a stream needs of its session.

    def _request(self, said: Sequence[Message], extra: Mapping[str, object], meta: Meta) -> ChatRequest:
        return ChatRequest(
            self.model, tuple(said), self._specs, stream=True, extra={**self._options, **extra}, meta=meta
        )

    async def _run_tools(self, calls: Sequence[ToolCall]) -> list[Message]:
        results = await asyncio.gather(*(self._run_tool(call) for call in calls))
        return [
            Message("tool", _told(result), tool_call_id=call.id) for call, result in zip(calls, results, strict=True)
        ]

    async def _run_tool(self, call: ToolCall) -> ToolResult:
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError as e:
            return ToolResult(f"The arguments are not JSON: {e}", "failure", error_type="InvalidArguments")
        invocation = ToolInvocation(self.id, call.id, call.name, arguments)
        return await run(self._tools[call.name], invocation)

    def _can_run(self, calls: Sequence[ToolCall]) -> bool:
        return all(call.name in self._tools and self._tools[call.name].handler is not None for call in calls)


class ChatStream:
    """An answer that is coming: an async iterator of ChatChunk and a context manager. Made by `ChatSession.stream`.

    Attributes:
        response: the whole answer, once it is there.
    """

    def __init__(self, session: ChatSession, prompt: str, options: dict[str, Any]) -> None:
        self.response: ChatResponse | None = None
        self._session = session
        images = tuple(Image(url) for url in options.pop("images", ()))
        self._asked = Message("user", prompt, parts=(prompt, *images) if images else ())
        timeout = options.pop("timeout", None)
        if timeout is not None:
            number("timeout", timeout, above=0)
        self._timeout = timeout
        self._priority = options.pop("priority", 0)
        number("priority", self._priority, least=-1000, most=1000, whole=True)
        self._extra = request_options(options, "chat", also=QUESTION)
        self._reading = ReadScope()
        self._begun = False
        self._block = False
        self._held: AsyncGenerator[ChatChunk, None] | None = None
        self._chunks: weakref.ref[AsyncGenerator[ChatChunk, None]] | None = None

    def __aiter__(self) -> AsyncGenerator[ChatChunk, None]:
        chunks = self._chunks() if self._chunks is not None else None
        if chunks is None:
            if self._begun:
                raise NotStartedError("this stream has been read already")
            self._begun = True
            self._session._open.add(self)
            chunks = self._run()
            # Without a block only the reader holds a reference: breaking out of the loop drops it, and the stream ends.
            self._chunks = weakref.ref(chunks)
            self._held = chunks if self._block else None
        return chunks

    async def __aenter__(self) -> Self:
        self._block = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the answer, if it is still coming. May be called twice. Whoever waits for its next piece gets NotStartedError."""
        self._session._open.discard(self)
        self._begun = True
        chunks = self._chunks() if self._chunks is not None else None
        if chunks is not None:
            await self._reading.close(chunks)

    async def _run(self) -> AsyncGenerator[ChatChunk, None]:
        session = self._session
        deadline = self._session._clock.now() + self._timeout if self._timeout is not None else None
        before = session.history if session.forgets else ()
        said: list[Message] = [self._asked]
        usage: Usage | None = None
        async with self._reading.scope(lambda: session._open.discard(self)):
            for step in range(1, session.max_steps + 1):
                meta = Meta(self._priority, deadline, "", session._ids.uuid(), session.id)
                events: list[ModelEvent] = []
                async with await session._handler(session._request((*before, *said), self._extra, meta)) as reply:
                    async for event in reply:
                        events.append(event)
                        if type(event) is TextDelta:
                            yield ChatChunk(event.text)
                        elif type(event) is ReasoningDelta:
                            yield ChatChunk("", event.text)
                done = fold(events)
                said += messages_of(done)
                usage = _sum(usage, done.usage)
                if not done.tool_calls or not session._can_run(done.tool_calls):
                    self._finish(done, said, usage, step)
                    return
                said += await session._run_tools(done.tool_calls)
            raise ToolLoopError(session.max_steps)

    def _finish(self, done: Completion, said: list[Message], usage: Usage | None, steps: int) -> None:
        if self._session._keeps:
            self._session._history += said
        self.response = ChatResponse(
            text=done.text,
            model=self._session.model,
            finish_reason=done.finish_reason,
            usage=usage,
            tool_calls=done.tool_calls,
            reasoning=done.reasoning,
            steps=steps,
            messages=tuple(said),
        )


def messages_of(done: Completion) -> list[Message]:
    """An answer as messages of the assistant: what was thought goes before what was said because of it."""
    found: list[Message] = []
    text: list[str] = []
    calls: list[ToolCall] = []
    thought = Reasoning()

    def settle() -> None:
        nonlocal thought
        if text or calls or thought.text or thought.opaque:
            found.append(
                Message(
                    "assistant",
                    "".join(text),
                    tuple(calls),
                    reasoning=thought.text,
                    reasoning_opaque=thought.opaque,
                )
            )
        text.clear()
        calls.clear()
        thought = Reasoning()

    for block in done.blocks:
        if isinstance(block, Reasoning):
            settle()
            thought = block
        elif isinstance(block, ToolCall):
            calls.append(block)
        else:
            if calls:
                settle()
            text.append(block)
    settle()
    return found or [Message("assistant", "")]


def _sum(a: Usage | None, b: Usage | None) -> Usage | None:
    if a is None or b is None:
        return a or b
    return Usage(*(getattr(a, name) + getattr(b, name) for name in Usage.__struct_fields__))


def _told(result: ToolResult) -> str:
    """What the model reads of a result; of a failure, in a form that programs can tell."""
    if result.result_type == "success":
        return result.text_result_for_llm
    try:
        told = json.loads(result.text_result_for_llm)
        if isinstance(told, dict) and told.get("success") is False:
            return result.text_result_for_llm  # the tool's own
    except ValueError:
        pass
    failure = {"success": False, "error": result.text_result_for_llm, "error_type": result.error_type or "error"}
    return json.dumps(failure)
