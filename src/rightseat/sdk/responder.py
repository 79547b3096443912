"""Answers what the CLI asks of a session: tool calls, permissions, elicitation, commands, hooks, user input ...

The CLI asks in two ways, by events that are answered with a call and by requests that are answered directly. Both go through
one table: what is asked -> who answers, and with which call the answer travels. What the answers mean is for `tools`,
`permissions` and `hooks`; how bytes travel is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from rightseat.sdk import hooks as asks
from rightseat.sdk.calling import call
from rightseat.sdk.creation import Function, SessionSetup
from rightseat.sdk.failures import Failures
from rightseat.sdk.permissions import decide
from rightseat.sdk.rpc import CallMethod
from rightseat.sdk.tasks import Tasks
from rightseat.sdk.tool_run import run
from rightseat.sdk.tools import Tool, ToolInvocation, ToolResult
from rightseat.wire.events import SessionEvent
from rightseat.wire.record import Record
from rightseat.wire.session_events import SessionEventType as T

# Events that `Responder.hear` acts on.
ASKED = frozenset(
    {
        T.EXTERNAL_TOOL_REQUESTED,
        T.EXTERNAL_TOOL_COMPLETED,
        T.PERMISSION_REQUESTED,
        T.ELICITATION_REQUESTED,
        T.COMMAND_EXECUTE,
    }
)


class Question(NamedTuple):
    """Something the CLI asks.

    Attributes:
        name: an event's type or a request's method.
        data: what it says.
        agent_id: the sub-agent that asks, or None.
    """

    name: str
    data: Record
    agent_id: str | None = None

    @property
    def request_id(self) -> str:
        """The CLI's id for it; "None" for requests, which need none."""
        return str(self.data.get("requestId"))


# The answer, or None where this session has none.
Answerer: TypeAlias = Callable[[Question], Awaitable[dict[str, object] | None]]


class _Route(NamedTuple):
    answer: Answerer
    reply: str = ""  # the method that takes the answer to an event; "" for requests


class Responder:
    """Answers for one session.

    Args:
        session_id: the session.
        setup: its tools, handlers and hooks.
        call: calls a method of the CLI.
        timeout: seconds for one such call.
        tasks: where answers to events are worked out.
    """

    def __init__(
        self, session_id: str, setup: SessionSetup, call: CallMethod, timeout: float | None, tasks: Tasks
    ) -> None:
        self._session_id = session_id
        self._setup = setup
        self._call = call
        self._timeout = timeout
        self._tasks = tasks
        self._failures = Failures()
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by request id
        self._routes: dict[str, _Route] = {
            T.EXTERNAL_TOOL_REQUESTED: _Route(self._tool, "session.tools.handlePendingToolCall"),
            T.PERMISSION_REQUESTED: _Route(self._permission, "session.permissions.handlePendingPermissionRequest"),
            T.ELICITATION_REQUESTED: _Route(self._elicitation, "session.ui.handlePendingElicitation"),
            T.COMMAND_EXECUTE: _Route(self._command, "session.commands.handlePendingCommand"),
            "hooks.invoke": _Route(self._hook),
            "systemMessage.transform": _Route(self._transform),
            "providerToken.getToken": _Route(self._token),
            **dict.fromkeys(asks.QUESTIONS, _Route(self._question)),
        }

    def hear(self, event: SessionEvent) -> None:
        """Answer an event that is a question, one of ASKED. Returns at once."""
        route = self._routes.get(event.type)
        if route is not None:
            question = Question(event.type, event.raw, event.agent_id)
            what = f"session {self._session_id}: the answer to {event.raw_type}"
            task = self._tasks.spawn(self._deliver(route, question), what)
            self._under_way[question.request_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(question.request_id, None))
        else:
            self._settled(str(event.raw.get("requestId")))

    def _settled(self, request_id: str) -> None:
        """Another client has answered, or the turn was aborted: our own answer is no longer wanted."""
        task = self._under_way.get(request_id)
        if task is not None:
            task.cancel()

    async def answer(self, method: str, params: Record) -> dict[str, object]:
        """Answer a request.

        Raises:
            LookupError: this session does not answer such requests.
        """
        route = self._routes.get(method)
        answer = await route.answer(Question(method, params)) if route is not None and not route.reply else None
        if answer is None:
            raise LookupError(method)
        return answer

    def end(self) -> None:
        """The session has ended: work on no answer any more."""
        for task in list(self._under_way.values()):
            task.cancel()
        self._failures.sum_up()

    async def _deliver(self, route: _Route, question: Question) -> None:
        answer = await route.answer(question)
        if answer is not None:
            params = {"sessionId": self._session_id, "requestId": question.data.get("requestId"), **answer}
            await self._call(route.reply, params, self._timeout)

    @property
    def _context(self) -> dict[str, str]:
        return {"session_id": self._session_id}

    # Events.

    async def _tool(self, question: Question) -> dict[str, object] | None:
        data = question.data
        tool = self._setup.tools.get(str(data.get("toolName")))
        if tool is None or tool.handler is None:
            return None  # another client of this session runs it
        invocation = ToolInvocation(
            session_id=self._session_id,
            tool_call_id=str(data.get("toolCallId")),
            tool_name=tool.name,
            arguments=data.get("arguments"),
            request_id=question.request_id,
            agent_id=question.agent_id,
            working_directory=data.get("workingDirectory"),
        )
        return {"result": (await _result(tool, invocation)).to_wire()}

    async def _permission(self, question: Question) -> dict[str, object] | None:
        if question.data.get("resolvedByHook"):
            return None
        request = Record(question.data.get("permissionRequest") or {})
        decision = await decide(self._setup.decide, request, self._context, self._failures)
        return None if decision is None else {"result": decision}

    async def _elicitation(self, question: Question) -> dict[str, object] | None:
        handler = self._setup.options.get("on_elicitation_request")
        if handler is None:
            return None
        try:
            return {"result": asks.elicitation_answer(await call(handler, question.data, self._context))}
        except Exception:
            self._failures.note(handler, "elicitation requests, which are cancelled then,")
            return {"result": {"action": "cancel"}}

    async def _command(self, question: Question) -> dict[str, object] | None:
        name = str(question.data.get("commandName"))
        handler = self._setup.commands.get(name)
        if handler is None:
            return None
        try:
            await call(handler, question.data)
        except Exception as e:
            self._failures.note(handler, f"command {name}")
            return {"error": type(e).__name__}
        return {}

    # Requests.

    async def _hook(self, question: Question) -> dict[str, object]:
        given = Record(question.data.get("input") or {})
        output = await asks.run_hook(
            self._setup.hooks, str(question.data.get("hookType")), given, self._context, self._failures
        )
        return {} if output is None else {"output": output}

    async def _transform(self, question: Question) -> dict[str, object]:
        sections = question.data.get("sections") or {}
        return {"sections": await asks.transform_sections(self._setup.transforms, sections, self._failures)}

    async def _token(self, question: Question) -> dict[str, object] | None:
        providers: Mapping[str, Function] = self._setup.token_providers
        provider = providers.get(str(question.data.get("providerName")), providers.get(""))
        if provider is None:
            return None
        token = await call(provider, question.data)
        return dict(token) if isinstance(token, Mapping) else {"token": str(token)}

    async def _question(self, question: Question) -> dict[str, object] | None:
        option, read = asks.QUESTIONS[question.name]
        handler = self._setup.options.get(option)
        if not callable(handler):
            return None
        return read(await call(handler, question.data, self._context), question.data)


async def _result(tool: Tool, invocation: ToolInvocation) -> ToolResult:
    try:
        return await run(tool, invocation)
    except asyncio.CancelledError:  # a tool that cancelled itself still owes an answer
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        return ToolResult(f"Tool {tool.name} was cancelled.", "failure", error="cancelled")
