"""One conversation with the Copilot CLI, as users see it.

It says, listens and ends. What the options mean is for `creation`, what the CLI asks for `responder`, and waiting for an
answer for `turns`. It does not know processes, sockets and other sessions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, Unpack, cast

from msgspec import Raw

from rightseat.chat import MAX_ANSWER_CHARS
from rightseat.errors import (
    InvalidOptionError,
    NotStartedError,
    RightseatError,
    RpcTimeoutError,
    UnknownOptionError,
)
from rightseat.errors.nearest import did_you_mean
from rightseat.log import logger
from rightseat.sdk.context import current_context
from rightseat.sdk.creation import SessionSetup
from rightseat.sdk.options import SendOptions, SessionOptions, camelize
from rightseat.sdk.responder import ASKED, Responder
from rightseat.sdk.rpc import Rpc
from rightseat.sdk.subscriptions import MAX_BUFFERED, EventStream, Handler, Overflow, Subscriptions
from rightseat.sdk.tasks import CLOSE_SECONDS, Tasks, result_of
from rightseat.sdk.text_stream import TextStream
from rightseat.sdk.turns import PendingTurn, Turns
from rightseat.wire.events import AssistantMessageEvent, SessionEvent, event_from_dict
from rightseat.wire.record import Record
from rightseat.wire.session_events import SessionEventType as T

if TYPE_CHECKING:
    from rightseat.sdk.rpc_methods import SessionRpc

COMPACT_SECONDS = 600.0  # a compaction is a model call over the whole conversation

_SEND = frozenset({"prompt", *SendOptions.__annotations__})


class Connection(Protocol):
    """What a session needs of its client."""

    @property
    def rpc_timeout(self) -> float | None:
        """Seconds for one call."""
        ...

    @property
    def tasks(self) -> Tasks:
        """Where background work is done."""
        ...

    async def call(self, method: str, params: dict[str, object], timeout: float | None) -> Raw:  # noqa: ASYNC109
        """Call a method of the CLI."""
        ...

    def forget(self, session_id: str) -> None:
        """Route no more events to that session."""
        ...


class CopilotSession:
    """A session. Made by `CopilotClient.create_session` and `resume_session`.

    As an async context manager it disconnects at the end: the CLI keeps the session, and `resume_session` opens it again.

    Attributes:
        session_id: the session's id.
    """

    def __init__(self, session_id: str, options: SessionOptions, connection: Connection) -> None:
        setup = SessionSetup.read(options)
        self.session_id = session_id
        self._connection = connection
        self._setup = setup
        self._closed: RightseatError | None = None
        self._created = Record()
        timeout, tasks = connection.rpc_timeout, connection.tasks
        self._subscriptions = Subscriptions(tasks)
        self._turns = Turns(session_id, self._call, timeout, tasks)
        self._responder = Responder(session_id, setup, self._call, timeout, tasks)
        if (on_event := options.get("on_event")) is not None:
            self._subscriptions.on(on_event)

    # What it is.

    @property
    def workspace_path(self) -> Path | None:
        """Where the CLI keeps this session's files, or None when it keeps none (infinite sessions are off)."""
        path = self._created.get("workspacePath")
        return Path(path) if path else None

    @property
    def capabilities(self) -> Record:
        """What the CLI's host can do for this session, as it said at creation."""
        return Record(self._created.get("capabilities") or {})

    @property
    def model(self) -> str | None:
        """The model the CLI chose at creation."""
        state = self._created.get("modelState") or {}
        return state.get("modelId")

    @property
    def rpc(self) -> SessionRpc:
        """Any session method by name: `session.rpc.history.compact()`."""
        fixed = {"sessionId": self.session_id}
        return cast("SessionRpc", Rpc(self._call, "session", fixed, self._connection.rpc_timeout))

    @property
    def closed(self) -> bool:
        """The session can no longer be used through this object."""
        return self._closed is not None

    def __repr__(self) -> str:
        return f"<CopilotSession {self.session_id}{' closed' if self.closed else ''}>"

    # Talking.

    async def send(self, prompt: str | Mapping[str, object], **options: Unpack[SendOptions]) -> str:
        """Send a message. Does not wait for the answer.

        Args:
            prompt: the text, or a dict with `prompt` and options.
            **options: attachments, mode ("enqueue" or "immediate"), agent_mode, source, request_headers, display_prompt,
                prepend, billable, required_tool, response_format, traceparent, tracestate. Without a traceparent the current span
                of OpenTelemetry is passed on, if there is one.

        Returns:
            The message's id.

        Raises:
            UnknownOptionError, InvalidOptionError: a bad option, or no prompt.
            NotStartedError: the session is closed.
        """
        return await self._turns.send(self.send_params(prompt, **options))

    async def send_and_wait(
        self,
        prompt: str | Mapping[str, object],
        timeout: float | None = 60.0,  # noqa: ASYNC109
        *,
        inactivity_timeout: float | None = None,
        **options: Unpack[SendOptions],
    ) -> AssistantMessageEvent | None:
        """Send a message and wait until the turn has ended.

        Turns of one session run one after another: a call waits until those before it have ended, unless its mode is
        "immediate", which steers the turn that runs. Cancelling a call does not end its turn; `abort` does.

        Args:
            prompt: as in `send`.
            timeout: seconds for all of it: waiting for other turns, sending, the turn; None: no limit.
            inactivity_timeout: seconds without any event of the session; None: no limit. For long agent turns use this
                with `timeout=None`.
            **options: as in `send`.

        Returns:
            The turn's last assistant message (`event.data.content`), or None if there was none.

        Raises:
            TurnTimeoutError: naming the last event, its age, and pending tools and permissions. The turn goes on; `abort`
                ends it.
            SessionError: the session reported an error.
            TurnAbortedError: the turn was aborted.
            ConnectionLostError: the CLI died.
        """
        params = self.send_params(prompt, **options)
        pending = PendingTurn(self._turns, timeout, inactivity_timeout)
        try:
            await pending.begin(params)
            return await pending.end()
        finally:
            pending.close()

    def stream(
        self,
        prompt: str | Mapping[str, object],
        *,
        timeout: float | None = None,
        inactivity_timeout: float | None = None,
        max_answer_chars: int | None = MAX_ANSWER_CHARS,
        **options: Unpack[SendOptions],
    ) -> TextStream:
        """Send a message and iterate over the text of the answer as it comes.

            async with session.stream("Why is the sky blue?") as answer:
                async for text in answer:
                    print(text, end="", flush=True)

        With `streaming=True` at creation the text comes in deltas, else message by message. A consumer that is slow gets
        several deltas in one piece and loses nothing. Leaving the block before the end, or dropping the stream by a
        `break`, aborts the turn, and no other. `answer.reply` is the last assistant message, as `send_and_wait` returns it.
        Arguments and errors are those of `send_and_wait`; beyond `max_answer_chars` (None: any number), or with 16 million characters
        unread, AnswerTooLongError, and the turn is aborted.
        """
        return TextStream(
            self._turns, lambda: self.send_params(prompt, **options), timeout, inactivity_timeout, max_answer_chars
        )

    def on(self, handler: Handler, *types: T | str) -> Callable[[], None]:
        """Call `handler(event)` for each event, or for each of the given types. Returns the function that ends it.

        Handlers run on the event loop, in order. One that raises does not affect others; its first failure is logged, further ones
        are counted. An async handler gets its events one after another through a bounded buffer of its own, and is cancelled
        when the client stops.
        """
        return self._subscriptions.on(handler, types)

    def events(self, *types: T | str, max_buffered: int = MAX_BUFFERED, overflow: Overflow = "raise") -> EventStream:
        """Iterate over the session's events from now on: `async for event in session.events()`.

        At most `max_buffered` events wait for a slow consumer. When that is too few, `overflow` decides: "raise" delivers
        what came before the gap and then raises EventsLostError; "drop_oldest" keeps the newest and counts in
        `stream.lost`. The iteration ends when the session is closed, and raises ConnectionLostError when the CLI dies.
        """
        return self._subscriptions.stream(types, max_buffered, overflow)

    async def abort(self, reason: str | None = None) -> None:
        """Stop what the session is doing. Calls that wait for the turn raise TurnAbortedError."""
        await self.rpc("abort", {"reason": reason} if reason else {})

    def abort_soon(self) -> None:
        """`abort` for places that cannot wait. A failure is logged."""
        if not self.closed:
            with contextlib.suppress(RuntimeError):  # no loop runs any more
                self._connection.tasks.spawn(self.abort(), f"session {self.session_id}: aborting the turn")

    # Its past and its settings.

    async def get_events(self) -> list[SessionEvent]:
        """The events the CLI keeps of this session, oldest first. Deltas are not kept."""
        result = await self.rpc("getMessages")
        return [event_from_dict(event) for event in result.get("events") or ()]

    get_messages = get_events

    async def get_metadata(self) -> Record:
        """Start, last change, name, working directory ... of this session."""
        return Record((await self.rpc("getMetadata")).get("session") or {})

    async def compact(self, custom_instructions: str | None = None) -> Record:
        """Summarise the conversation so far to make room.

        Returns:
            success, tokens_removed, messages_removed, summary_content, context_window.
        """
        params = {"customInstructions": custom_instructions} if custom_instructions else {}
        return Record(await self.rpc("history.compact", params, timeout=COMPACT_SECONDS))

    async def set_model(self, model: str, **options: object) -> None:
        """Use another model from the next message on. `reasoning_effort` and others as in `session.model.switchTo`."""
        await self.rpc("model.switchTo", {"modelId": model, **options})

    async def log(self, message: str, *, level: str = "info", ephemeral: bool = False) -> str:
        """Add a line to the session's timeline. Returns the event's id."""
        result = await self.rpc("log", {"message": message, "level": level, "ephemeral": ephemeral})
        return str(result.get("eventId") or "")

    # Its end.

    async def disconnect(self) -> None:
        """Leave the session; the CLI keeps it for others and for `resume_session`. May be called twice.

        A CLI that does not answer is not waited for longer than two seconds.
        """
        try:
            await self._leave("session.detach")
        except RpcTimeoutError as e:
            logger.warning("session %s was left without the CLI's answer: %s", self.session_id, e)

    async def destroy(self) -> None:
        """Close the session for all clients. What it stored stays on disk until `delete_session`. May be called twice.

        Raises:
            RpcTimeoutError: the CLI did not answer within two seconds. For us the session is closed all the same.
        """
        await self._leave("session.destroy")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def _leave(self, method: str) -> None:
        if self._closed is None:
            # A caller that is cancelled while it leaves has left all the same: servers cancel what runs for a client that is gone.
            await result_of(self._connection.tasks.start(self._close(method)))

    async def _close(self, method: str) -> None:
        try:
            await self._call(method, {"sessionId": self.session_id}, CLOSE_SECONDS)
        finally:
            self.end(None)

    # For the client and for adapters.

    def send_params(self, prompt: str | Mapping[str, object], **options: Unpack[SendOptions]) -> dict[str, object]:
        """The parameters of session.send, without the session's id. Raises as `send` does."""
        given = {**prompt, **options} if isinstance(prompt, Mapping) else {"prompt": prompt, **options}
        for name in given:
            if name not in _SEND:
                hint = did_you_mean(name, _SEND, quote=True) or f"; known: {', '.join(sorted(_SEND))}"
                raise UnknownOptionError(f"unknown option {name!r} of send{hint}")
        if not isinstance(given.get("prompt"), str):
            raise InvalidOptionError(f"send needs a prompt, which is text; not {given.get('prompt')!r}")
        params = {name: value for name, value in given.items() if value is not None}
        headers = params.pop("request_headers", None)
        if headers is not None and not isinstance(headers, Mapping):
            raise InvalidOptionError(f"request_headers must be a dict, not {type(headers).__name__}")
        if "traceparent" not in params:
            params |= current_context()
        return {**camelize(params), **({"requestHeaders": dict(headers)} if headers else {})}

    def pending_turn(
        self,
        timeout: float | None,
        inactivity_timeout: float | None,
        *,
        sink: Callable[[SessionEvent], None],
        wanted: Collection[T],
        wake: Callable[[], None],
    ) -> PendingTurn:
        """A message that is to be sent by its `begin`; `sink` is given the events of the wanted kinds that belong to it."""
        return PendingTurn(self._turns, timeout, inactivity_timeout, sink=sink, wanted=wanted, wake=wake)

    def creation_params(self) -> dict[str, object]:
        """The parameters of session.create and session.resume."""
        return self._setup.params(self.session_id)

    def created(self, result: Record) -> None:
        """The CLI has created or resumed the session."""
        self._created = result

    def take(self, event: SessionEvent, now: float) -> None:
        """An event of this session, in order. `now` in seconds of the loop's clock."""
        self._turns.take(event, now)
        self._subscriptions.publish(event)
        if event.type in ASKED:
            self._responder.hear(event)

    async def answer(self, method: str, params: Record) -> dict[str, object]:
        """Answer a request of the CLI that concerns this session.

        Raises:
            LookupError: this session does not answer such requests.
        """
        return await self._responder.answer(method, params)

    def end(self, error: RightseatError | None) -> None:
        """No more events will come: the session was left (None), or the connection lost."""
        if self._closed is not None:
            return
        self._closed = error or NotStartedError(f"session {self.session_id} is closed")
        self._connection.forget(self.session_id)
        self._turns.end(self._closed)
        self._responder.end()
        self._subscriptions.end(error)

    async def _call(self, method: str, params: dict[str, object], timeout: float | None) -> Raw:  # noqa: ASYNC109
        if self._closed is not None:
            raise self._closed
        return await self._connection.call(method, params, timeout)
