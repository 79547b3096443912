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
from typing import Any, Generic, Self, TypeVar, Unpack, overload

from rightseat.chat import (
    ChatRequest,
    Completion,
    Folding,
    Message,
    Meta,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolSpec,
)
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import NotStartedError, ToolLoopError
from rightseat.facade.closing import ReadScope, close_all
from rightseat.facade.options import SESSION, ChatOptions, request_options
from rightseat.facade.progress import Progress
from rightseat.facade.question import ChatQuestion
from rightseat.facade.response import ChatChunk, ChatResponse, T_co, messages_of, told
from rightseat.handler import Handler
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.layers.checks import number
from rightseat.sdk.one_loop import OneLoop
from rightseat.sdk.tasks import result_of
from rightseat.sdk.tool_definition import as_tool
from rightseat.sdk.tool_run import run
from rightseat.sdk.tools import ToolInvocation, ToolResult

T = TypeVar("T")


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
        self._open: weakref.WeakSet[ChatStream[Any]] = weakref.WeakSet()
        self._loop = OneLoop("this ChatSession")
        self._closing: asyncio.Task[None] | None = None
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    @overload
    async def chat(
        self, prompt: str, *, response_format: type[T], **options: Unpack[ChatOptions]
    ) -> ChatResponse[T]: ...

    @overload
    async def chat(
        self, prompt: str, *, response_format: Mapping[str, object] | None = None, **options: Unpack[ChatOptions]
    ) -> ChatResponse: ...

    async def chat(self, prompt: str, *, response_format: Any = None, **options: Unpack[ChatOptions]) -> Any:
        """Ask, and wait for the whole answer.

        Args:
            prompt: the question.
            response_format: a type: a Pydantic model, a dataclass, a TypedDict, a `msgspec.Struct`, a list of these. The answer is a
                value of it in `response.parsed`; one that does not fit is asked for once more. Or a dict, sent as it is.
            **options: timeout (seconds, for this call alone), priority, images (paths, bytes, URLs), and what is to be sent with
                this request (temperature ...); see `ChatOptions`.

        Raises:
            UnknownOptionError, InvalidOptionError: the prompt is empty, or an option makes no sense.
            ContextTooLargeError, RateLimitedError, QueueFullError, CircuitOpenError, DeadlineExceededError: see the layers.
            UpstreamError, LoginError, TransportError: it went wrong on the other side.
            ToolLoopError: the model went on calling tools.
            AnswerTooLongError: the answer grew beyond `max_answer_chars`.
            AnswerFormatError: the answer is not of the type that was asked for; the error holds its text.
        """
        options = _with(options, response_format)
        self._note("chat", prompt, options)
        async with self._stream(prompt, options) as stream:
            async for _ in stream:
                pass
        assert stream.response is not None
        return stream.response

    @overload
    def stream(self, prompt: str, *, response_format: type[T], **options: Unpack[ChatOptions]) -> ChatStream[T]: ...

    @overload
    def stream(
        self, prompt: str, *, response_format: Mapping[str, object] | None = None, **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    def stream(self, prompt: str, *, response_format: Any = None, **options: Unpack[ChatOptions]) -> Any:
        """Ask, and iterate over the answer as it comes: `async for chunk in session.stream(...): chunk.text`.

        As a context manager it stops the answer when the block is left; afterwards `response` is the whole of it. Options and
        errors are those of `chat`; errors come while iterating. With a type as `response_format`, what an answer that does not fit
        has said is not taken back: the second one is not shown in pieces, and is `response`.
        """
        options = _with(options, response_format)
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

    def _stream(self, prompt: str, options: Mapping[str, object]) -> ChatStream[Any]:
        self._loop.check()
        if self.closed:
            raise NotStartedError("this session is closed")
        return ChatStream(self, ChatQuestion(prompt, options))

    # What a stream needs of its session.

    def _request(self, said: Sequence[Message], extra: Mapping[str, object], meta: Meta) -> ChatRequest:
        return ChatRequest(
            self.model, tuple(said), self._specs, stream=True, extra={**self._options, **extra}, meta=meta
        )

    async def _run_tools(self, calls: Sequence[ToolCall]) -> list[Message]:
        results = await asyncio.gather(*(self._run_tool(call) for call in calls))
        return [
            Message("tool", told(result), tool_call_id=call.id) for call, result in zip(calls, results, strict=True)
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


def _with(options: ChatOptions, response_format: object) -> Any:
    return {**options, "response_format": response_format} if response_format is not None else options


class ChatStream(Generic[T_co]):
    """An answer that is coming: an async iterator of ChatChunk and a context manager. Made by `ChatSession.stream`.

    Attributes:
        response: the whole answer, once it is there.
    """

    def __init__(self, session: ChatSession, question: ChatQuestion) -> None:
        self.response: ChatResponse[T_co] | None = None
        self._session = session
        self._question = question
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
        session, question = self._session, self._question
        deadline = session._clock.now() + question.timeout if question.timeout is not None else None
        progress = Progress(question.format, session.max_steps)
        before = session.history if session.forgets else ()
        async with self._reading.scope(lambda: session._open.discard(self)):
            progress.say(await question.message())
            while progress.goes_on():
                meta = Meta(question.priority, deadline, "", session._ids.uuid(), session.id)
                folding = Folding(question.limit, held=progress.held, option="max_answer_chars")
                async with await session._handler(
                    session._request((*before, *progress.sent), question.extra, meta)
                ) as reply:
                    async for event in reply:
                        folding.add(event)
                        if not progress.repaired and (chunk := _CHUNKS.get(type(event))) is not None:
                            yield chunk(event)
                    progress.warn(reply.warnings)
                progress.held = folding.held
                done = folding.completion()
                progress.add(done)
                if done.tool_calls and session._can_run(done.tool_calls):
                    progress.say(*messages_of(done), *await session._run_tools(done.tool_calls))
                elif not progress.asks_again(done):
                    self._finish(progress, done)
                    return
            raise ToolLoopError(session.max_steps)

    def _finish(self, progress: Progress, done: Completion) -> None:
        said = (*progress.kept, *messages_of(done))
        if self._session._keeps:
            self._session._history += said
        self.response = ChatResponse(
            text=done.text,
            model=self._session.model,
            finish_reason=done.finish_reason,
            usage=progress.usage,
            tool_calls=done.tool_calls,
            reasoning=done.reasoning,
            steps=progress.steps,
            messages=said,
            parsed=progress.parsed,
            warnings=tuple(progress.warnings),
        )


_CHUNKS: Mapping[type, Callable[[Any], ChatChunk]] = {
    TextDelta: lambda event: ChatChunk(event.text),
    ReasoningDelta: lambda event: ChatChunk("", event.text),
}
