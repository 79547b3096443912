"""One conversation with the Copilot CLI.

A session hears its events in order, tells them to whoever listens, and answers what the CLI asks: tool calls and permission
requests come as events and are answered by calls. It refuses to know processes, sockets and other sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from msgspec import Raw

from rightseat.errors import (
    InvalidOptionError,
    NotStartedError,
    RightseatError,
    UnknownOptionError,
)
from rightseat.log import logger
from rightseat.sdk import hooks as asks
from rightseat.sdk import tools as tool_runner
from rightseat.sdk.calling import call
from rightseat.sdk.context import current_context
from rightseat.sdk.options import SessionOptions, camelize, wire_options
from rightseat.sdk.permissions import DefaultPolicy, decide
from rightseat.sdk.rpc import Rpc, decode_result
from rightseat.sdk.subscriptions import MAX_BUFFERED, EventStream, Handler, Overflow, Subscriptions
from rightseat.sdk.tools import Tool, ToolInvocation, as_tool
from rightseat.sdk.turn import INTERESTING, Activity, Turn
from rightseat.sdk.waiting import TextStream, Waiting
from rightseat.wire.events import SessionEvent, event_from_dict
from rightseat.wire.record import Record
from rightseat.wire.session_events import SessionEventType as T

COMPACT_SECONDS = 600.0  # a compaction is a model call over the whole conversation

_SEND = frozenset(
    {
        "prompt", "attachments", "mode", "agent_mode", "source", "request_headers", "display_prompt", "prepend", "billable",
        "required_tool", "response_format", "traceparent", "tracestate", "wait",
    }
)  # fmt: skip


class Connection(Protocol):
    """What a session needs of its client."""

    @property
    def rpc_timeout(self) -> float | None:
        """Seconds for one call."""
        ...

    async def call(self, method: str, params: dict[str, Any], timeout: float | None) -> Raw:  # noqa: ASYNC109
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
        self.session_id = session_id
        self._connection = connection
        self._options = options
        self._subscriptions = Subscriptions()
        self._activity = Activity()
        self._turns: dict[Turn, Callable[[], None]] = {}  # whoever waits for a turn, and how to wake them
        self._tasks: dict[str, asyncio.Task[None]] = {}  # answers under way, by request id
        self._closed: RightseatError | None = None
        self._created = Record()
        self._tools = _by_name(options.get("tools") or ())
        self._decide = options.get("on_permission_request") or DefaultPolicy(self._tools)
        self._hooks = asks.check_hooks(options.get("hooks") or {})
        self._commands = {
            _field(command, "name"): _field(command, "handler") for command in options.get("commands") or ()
        }
        self._system_message, self._transforms = asks.split_system_message(options.get("system_message") or {})
        self._token_providers = _token_providers(options)
        if (on_event := options.get("on_event")) is not None:
            self._subscriptions.on(on_event)
        self._reactions: dict[T, Callable[[SessionEvent], None]] = {
            T.EXTERNAL_TOOL_REQUESTED: self._on_tool_requested,
            T.EXTERNAL_TOOL_COMPLETED: self._on_settled,
            T.PERMISSION_REQUESTED: self._on_permission_requested,
            T.ELICITATION_REQUESTED: self._on_elicitation_requested,
            T.COMMAND_EXECUTE: self._on_command,
        }

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
    def rpc(self) -> Rpc:
        """Any session method by name: `session.rpc.history.compact()`."""
        return Rpc(self._call, "session", {"sessionId": self.session_id}, self._connection.rpc_timeout)

    @property
    def closed(self) -> bool:
        """The session can no longer be used through this object."""
        return self._closed is not None

    def __repr__(self) -> str:
        return f"<CopilotSession {self.session_id}{' closed' if self.closed else ''}>"

    # Talking.

    async def send(self, prompt: str | Mapping[str, Any], **options: Any) -> str:
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
        result = await self._call("session.send", self._send_params(prompt, options), self._connection.rpc_timeout)
        return str(decode_result(result).get("messageId") or "")

    async def send_and_wait(
        self,
        prompt: str | Mapping[str, Any],
        timeout: float | None = 60.0,  # noqa: ASYNC109
        *,
        inactivity_timeout: float | None = None,
        **options: Any,
    ) -> SessionEvent | None:
        """Send a message and wait until the turn has ended.

        Args:
            prompt: as in `send`.
            timeout: seconds for the whole turn; None: no limit.
            inactivity_timeout: seconds without any event of the session; None: no limit. For long agent turns use this
                with `timeout=None`.
            **options: as in `send`.

        Returns:
            The turn's last assistant message (`event.data.content`), or None if there was none.

        Raises:
            TurnTimeoutError: naming the last event, its age, and pending tools and permissions. The turn goes on; `abort`
                ends it.
            SessionError: the session reported an error.
            TurnAbortedError: somebody aborted the turn.
            ConnectionLostError: the CLI died.
        """
        async with Waiting(self) as waiting:
            waiting.turn.admit(await self.send(prompt, **options) or None)
            await waiting.wait(timeout, inactivity_timeout)
            return waiting.turn.reply

    def stream(
        self,
        prompt: str | Mapping[str, Any],
        *,
        timeout: float | None = None,
        inactivity_timeout: float | None = None,
        **options: Any,
    ) -> TextStream:
        """Send a message and iterate over the text of the answer as it comes.

            async with session.stream("Why is the sky blue?") as answer:
                async for text in answer:
                    print(text, end="", flush=True)

        With `streaming=True` at creation the text comes in deltas, else message by message. A consumer that is slow gets
        several deltas in one piece and loses nothing. Leaving the block before the end, or dropping the stream by a
        `break`, aborts the turn. `answer.reply` is the
        last assistant message, as `send_and_wait` returns it. Arguments and errors are those of `send_and_wait`.
        """
        return TextStream(self, prompt, options, timeout, inactivity_timeout)

    def on(self, handler: Handler, *types: T | str) -> Callable[[], None]:
        """Call `handler(event)` for each event, or for each of the given types. Returns the function that ends it.

        Handlers run on the event loop, in order. One that raises is logged and harms nobody else. An async handler gets its
        events one after another through a bounded buffer of its own.
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
        """Stop what the session is doing. Whoever waits for the turn gets a TurnAbortedError."""
        await self.rpc("abort", {"reason": reason} if reason else {})

    def abort_soon(self) -> None:
        """`abort` for places that cannot wait. A failure is logged."""
        if not self.closed:
            with contextlib.suppress(RuntimeError):  # no loop runs any more
                self._spawn(f"abort-{id(self)}", self.abort())

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

    async def set_model(self, model: str, **options: Any) -> None:
        """Use another model from the next message on. `reasoning_effort` and others as in `session.model.switchTo`."""
        await self.rpc("model.switchTo", {"modelId": model, **options})

    async def log(self, message: str, *, level: str = "info", ephemeral: bool = False) -> str:
        """Add a line to the session's timeline. Returns the event's id."""
        result = await self.rpc("log", {"message": message, "level": level, "ephemeral": ephemeral})
        return str(result.get("eventId") or "")

    # Its end.

    async def disconnect(self) -> None:
        """Leave the session; the CLI keeps it for others and for `resume_session`. May be called twice."""
        await self._leave("session.detach")

    async def destroy(self) -> None:
        """Close the session for everybody. What it stored stays on disk until `delete_session`. May be called twice."""
        await self._leave("session.destroy")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def _leave(self, method: str) -> None:
        if self._closed is not None:
            return
        try:
            await self._call(method, {"sessionId": self.session_id}, self._connection.rpc_timeout)
        finally:
            self.end(None)

    # For the client.

    def creation_params(self) -> dict[str, Any]:
        """The parameters of session.create and session.resume."""
        options = self._options
        params = {
            "requestPermission": True,
            "requestElicitation": "on_elicitation_request" in options,
            "requestExitPlanMode": "on_exit_plan_mode_request" in options,
            "requestAutoModeSwitch": "on_auto_mode_switch_request" in options,
            "requestUserInput": "on_user_input_request" in options,
            "includeSubAgentStreamingEvents": True,
            "envValueMode": "direct",
            "toolFilterPrecedence": "excluded",
            **wire_options(options),
            "sessionId": self.session_id,
        }
        if isinstance(options.get("model"), str):
            params["model"] = options["model"]
        if self._tools:
            params["tools"] = [tool.to_wire() for tool in self._tools.values()]
        if self._hooks:
            params["hooks"] = True
        if self._system_message:
            params["systemMessage"] = self._system_message
        if self._commands:
            params["commands"] = [
                {"name": _field(c, "name"), "description": _field(c, "description") or ""} for c in options["commands"]
            ]
        if "provider" in options:
            params["provider"] = _wire_provider(options["provider"])
        if "providers" in options:
            params["providers"] = [_wire_provider(provider) for provider in options["providers"]]
        return {**params, **options.get("extra", {})}

    def created(self, result: Record) -> None:
        """The CLI has created or resumed the session."""
        self._created = result

    def take(self, event: SessionEvent, now: float) -> None:
        """An event of this session, in order. `now` in seconds of the loop's clock."""
        activity, kind = self._activity, event.type
        activity.last_event, activity.last_at = event, now
        if kind in INTERESTING:
            activity.note(event)
        if self._turns:
            for turn, wake in list(self._turns.items()):
                turn.feed(event)
                if turn.done:
                    wake()
        self._subscriptions.publish(event)
        if (reaction := self._reactions.get(kind)) is not None:
            reaction(event)

    async def answer(self, method: str, params: Record) -> Any:
        """Answer a request of the CLI that concerns this session.

        Raises:
            LookupError: nobody here answers such requests.
        """
        context = {"session_id": self.session_id}
        if method == "hooks.invoke":
            given = Record(params.get("input") or {})
            output = await asks.run_hook(self._hooks, str(params.get("hookType")), given, context)
            return {} if output is None else {"output": output}
        if method == "systemMessage.transform":
            return {"sections": await asks.transform_sections(self._transforms, params.get("sections") or {})}
        if method == "providerToken.getToken":
            provider = self._token_providers.get(str(params.get("providerName")), self._token_providers.get(""))
            if provider is not None:
                token = await call(provider, params)
                return dict(token) if isinstance(token, Mapping) else {"token": str(token)}
        if method in asks.QUESTIONS:
            option, read = asks.QUESTIONS[method]
            handler: Any = self._options.get(option)
            if handler is not None:
                return read(await call(handler, params, context), params)
        raise LookupError(method)

    def end(self, error: RightseatError | None) -> None:
        """No more events will come: the session was left (None), or the connection lost."""
        if self._closed is not None:
            return
        self._closed = error or NotStartedError(f"session {self.session_id} is closed")
        self._connection.forget(self.session_id)
        for turn, wake in list(self._turns.items()):
            turn.fail(self._closed)
            wake()
        for task in list(self._tasks.values()):
            task.cancel()
        self._subscriptions.end(error)

    # Inside.

    def _send_params(self, prompt: str | Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        given = {**prompt, **options} if isinstance(prompt, Mapping) else {"prompt": prompt, **options}
        for name in given:
            if name not in _SEND:
                raise UnknownOptionError(f"unknown option {name!r} of send; known: {', '.join(sorted(_SEND))}")
        if not isinstance(given.get("prompt"), str):
            raise InvalidOptionError(f"send needs a prompt, which is text; not {given.get('prompt')!r}")
        params = {name: value for name, value in given.items() if value is not None}
        headers = params.pop("request_headers", None)
        if "traceparent" not in params:
            params |= current_context()
        return {
            "sessionId": self.session_id,
            **camelize(params),
            **({"requestHeaders": dict(headers)} if headers else {}),
        }

    async def _call(self, method: str, params: dict[str, Any], timeout: float | None) -> Raw:  # noqa: ASYNC109
        if self._closed is not None:
            raise self._closed
        return await self._connection.call(method, params, timeout)

    def _on_tool_requested(self, event: SessionEvent) -> None:
        data = event.raw
        tool = self._tools.get(str(data.get("toolName")))
        if tool is None or tool.handler is None:
            return  # another client of this session runs it
        invocation = ToolInvocation(
            session_id=self.session_id,
            tool_call_id=str(data.get("toolCallId")),
            tool_name=tool.name,
            arguments=data.get("arguments"),
            request_id=str(data.get("requestId")),
            agent_id=event.agent_id,
            working_directory=data.get("workingDirectory"),
        )
        self._spawn(str(data.get("requestId")), self._run_tool(tool, invocation))

    async def _run_tool(self, tool: Tool, invocation: ToolInvocation) -> None:
        params: dict[str, Any] = {"requestId": invocation.request_id}
        try:
            result = await tool_runner.run(tool, invocation)
        except asyncio.CancelledError:  # a tool that cancelled itself still owes an answer
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            result = tool_runner.ToolResult(f"Tool {tool.name} was cancelled.", "failure", error="cancelled")
        await self.rpc("tools.handlePendingToolCall", {**params, "result": result.to_wire()})

    def _on_permission_requested(self, event: SessionEvent) -> None:
        data = event.raw
        if data.get("resolvedByHook"):
            return
        request = Record(data.get("permissionRequest") or {})
        self._spawn(str(data.get("requestId")), self._decide_permission(str(data.get("requestId")), request))

    async def _decide_permission(self, request_id: str, request: Record) -> None:
        decision = await decide(self._decide, request, {"session_id": self.session_id})
        if decision is not None:
            params = {"sessionId": self.session_id, "requestId": request_id, "result": decision}
            await self._call("session.permissions.handlePendingPermissionRequest", params, self._connection.rpc_timeout)

    def _on_elicitation_requested(self, event: SessionEvent) -> None:
        handler = self._options.get("on_elicitation_request")
        if handler is not None:
            self._spawn(event.raw["requestId"], self._elicit(handler, event.raw))

    async def _elicit(self, handler: Callable[..., Any], request: Record) -> None:
        try:
            answer = asks.elicitation_answer(await call(handler, request, {"session_id": self.session_id}))
        except Exception:
            logger.exception("the elicitation handler failed; the request is cancelled")
            answer = {"action": "cancel"}
        params = {"sessionId": self.session_id, "requestId": request["requestId"], "result": answer}
        await self._call("session.ui.handlePendingElicitation", params, self._connection.rpc_timeout)

    def _on_command(self, event: SessionEvent) -> None:
        data = event.raw
        handler = self._commands.get(str(data.get("commandName")))
        if handler is not None:
            self._spawn(str(data.get("requestId")), self._run_command(handler, data))

    async def _run_command(self, handler: Callable[..., Any], data: Record) -> None:
        params: dict[str, Any] = {"requestId": data.get("requestId")}
        try:
            await call(handler, data)
        except Exception as e:
            logger.exception("command %s failed", data.get("commandName"))
            params["error"] = f"{type(e).__name__}"
        await self.rpc("commands.handlePendingCommand", params)

    def _on_settled(self, event: SessionEvent) -> None:
        """Another client has answered, or the turn was aborted: our own answer is no longer wanted."""
        task = self._tasks.get(str(event.raw.get("requestId")))
        if task is not None:
            task.cancel()

    def _spawn(self, request_id: str, work: Awaitable[None]) -> None:
        async def logged() -> None:
            try:
                await work
            except RightseatError as e:
                logger.warning("session %s: an answer could not be delivered: %s", self.session_id, e)

        task = asyncio.ensure_future(logged())
        self._tasks[request_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request_id, None))


def _by_name(given: Iterable[Any]) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    for value in given:
        tool = as_tool(value)
        if tool.name in tools:
            raise InvalidOptionError(f"two tools are named {tool.name!r}")
        tools[tool.name] = tool
    return tools


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _wire_provider(provider: Mapping[str, Any]) -> dict[str, Any]:
    wire = {name: value for name, value in provider.items() if name != "bearer_token_provider"}
    if provider.get("bearer_token_provider") is not None:
        wire["has_bearer_token_provider"] = True
    return dict(camelize(wire))


def _token_providers(options: SessionOptions) -> dict[str, Callable[..., Any]]:
    """Provider name -> the function that gives its bearer token; "" for the unnamed `provider`."""
    found = {}
    for provider in [options.get("provider") or {}, *(options.get("providers") or ())]:
        function = provider.get("bearer_token_provider")
        if function is not None:
            if not callable(function):
                raise InvalidOptionError("bearer_token_provider must be a function that returns a token")
            found[str(provider.get("name") or "")] = function
    return found
