"""What a session is doing, as plain values fed with events. No I/O, no clock: time comes in as a number.

`Turn` decides when the answer to one message is complete; `Activity` remembers what explains a session that hangs.

The rules of completion (facts of protocol 3): `session.send` returns a message id; `user.message` with that id admits the
turn; `assistant.message` with it as `originatingMessageId` answers; `session.idle` after the admission ends it, unless the
session is on autopilot. Events with an agent id belong to sub-agents and complete nothing.
"""

from __future__ import annotations

from rightseat.errors import RightseatError, SessionError, TurnAbortedError
from rightseat.wire.events import SessionEvent
from rightseat.wire.session_events import SessionEventType as T

_RELEVANT = frozenset(
    {
        T.USER_MESSAGE,
        T.ASSISTANT_MESSAGE,
        T.SESSION_IDLE,
        T.SESSION_ERROR,
        T.SESSION_WARNING,
        T.SESSION_AUTOPILOT_STOPPED,
    }
)


class Turn:
    """One message and its answer.

    Feed it every event of the session from before the message is sent, and `admit` it with the id that sending returned.

    Attributes:
        done: the turn has ended.
        reply: the last assistant message of the turn, or None.
        error: why it ended without an answer, or None.
    """

    def __init__(self, session_id: str) -> None:
        self.done = False
        self.reply: SessionEvent | None = None
        self.error: RightseatError | None = None
        self._session_id = session_id
        self._message_id: str | None = None
        self._started = False
        self._early: list[SessionEvent] = []

    @property
    def started(self) -> bool:
        """The CLI has begun to work on the message."""
        return self._started

    def admit(self, message_id: str | None) -> None:
        """The message was sent and has this id (None: the CLI gave none, any turn counts)."""
        self._message_id = message_id
        self._started = self._started or message_id is None
        early, self._early = self._early, []
        self._admitted = True
        for event in early:
            self.feed(event)

    _admitted = False

    def feed(self, event: SessionEvent) -> None:
        """Take the next event."""
        if event.type not in _RELEVANT or event.agent_id or self.done:
            return
        if not self._admitted:
            self._early.append(event)
            return
        data = event.data
        match event.type:
            case T.USER_MESSAGE:
                sent_id = data.get("messageId") if isinstance(data, dict) else data.message_id
                self._started = self._started or sent_id is None or sent_id == self._message_id
            case T.ASSISTANT_MESSAGE:
                origin = getattr(data, "originating_message_id", None)
                if self._is_ours(origin) or (origin is None and self._started):
                    self._started, self.reply = True, event
            case T.SESSION_WARNING:
                blocked = getattr(data, "warning_type", None) == "policy_blocked"
                self._started = self._started or (
                    blocked and self._is_ours(getattr(data, "originating_message_id", None))
                )
            case T.SESSION_ERROR:
                origin = getattr(data, "originating_message_id", None)
                if origin is None or self._is_ours(origin):
                    self._fail(_session_error(event, self._session_id))
            case T.SESSION_IDLE:
                if self._started and getattr(data, "mode", None) != "autopilot":
                    self._finish(aborted=bool(getattr(data, "aborted", None)))
            case T.SESSION_AUTOPILOT_STOPPED:
                if self._is_ours(getattr(data, "request_id", None)):
                    self._finish(aborted=data.reason == "aborted")

    def fail(self, error: RightseatError) -> None:
        """End the turn from outside: the session was closed, the connection lost."""
        if not self.done:
            self._fail(error)

    def _is_ours(self, message_id: str | None) -> bool:
        return self._message_id is None or message_id == self._message_id

    def _fail(self, error: RightseatError) -> None:
        self.error, self.done = error, True

    def _finish(self, *, aborted: bool) -> None:
        if aborted:
            self.error = TurnAbortedError(
                f"session {self._session_id}: the turn was aborted before its answer was complete"
            )
        self.done = True


def _session_error(event: SessionEvent, session_id: str) -> SessionError:
    data = event.data
    return SessionError(
        str(getattr(data, "message", "unknown error")),
        error_type=getattr(data, "error_type", None),
        status_code=getattr(data, "status_code", None),
        session_id=session_id,
    )


class Activity:
    """What a session was last seen doing.

    Attributes:
        last_event: the last event, or None.
        last_at: when it came, in seconds of the caller's clock.
        tools: tool call id -> tool name, of the tools that run.
        permissions: request id -> kind, of the requests that nobody has answered.
    """

    def __init__(self) -> None:
        self.last_event: SessionEvent | None = None
        self.last_at: float | None = None
        self.tools: dict[str, str] = {}
        self.permissions: dict[str, str] = {}

    def note(self, event: SessionEvent) -> None:
        """Take an event of one of the kinds in `INTERESTING`."""
        data = event.data
        match event.type:
            case T.TOOL_EXECUTION_START:
                self.tools[_text(data, "tool_call_id")] = _text(data, "tool_name")
            case T.TOOL_EXECUTION_COMPLETE:
                self.tools.pop(_text(data, "tool_call_id"), None)
            case T.PERMISSION_REQUESTED:
                request = getattr(data, "permission_request", None) or {}
                self.permissions[_text(data, "request_id")] = str(request.get("kind", "?"))
            case T.PERMISSION_COMPLETED:
                self.permissions.pop(_text(data, "request_id"), None)
            case T.SESSION_IDLE:
                self.tools.clear()
                self.permissions.clear()


INTERESTING = frozenset(
    {T.TOOL_EXECUTION_START, T.TOOL_EXECUTION_COMPLETE, T.PERMISSION_REQUESTED, T.PERMISSION_COMPLETED, T.SESSION_IDLE}
)


def _text(data: object, name: str) -> str:
    return str(getattr(data, name, ""))
