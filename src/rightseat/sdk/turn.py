"""What a session is doing, as plain values fed with events. No I/O, no clock: time comes in as a number.

`Turn` decides when the answer to one message is complete and which events belong to it; `Activity` remembers what explains a
session that hangs.

Facts of protocol 3: `session.send` returns a message id. `user.message` with that id begins the turn and names its
interaction. `assistant.message` with it as `originatingMessageId` answers; deltas carry neither, so they belong to the
message that was begun last, unless that one steers the same interaction. `session.idle` after the beginning ends the turn,
unless the session is on autopilot; so does the beginning of the next message in the CLI's queue. Events with an agent id belong to sub-agents and complete nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import cast

from rightseat.errors import NotLoggedInError, ProtocolError, RightseatError, SessionError, TurnAbortedError
from rightseat.wire.events import AssistantMessageEvent, SessionEvent
from rightseat.wire.session_events import SessionEventType as T

MAX_EARLY = 4096  # events that may come between a message's beginning and the answer of session.send

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
# What the CLI says without an account, since 1.0.102 and before.
_NO_LOGIN = ("No GitHub OAuth token", "not created with authentication info")


class Turn:
    """One message and its answer.

    Feed it every event of the session from before the message is sent, and `admit` it with the id that sending returned.

    Args:
        session_id: for error messages.
        sink: called with each event of the wanted kinds that belongs to this turn.
        wanted: the kinds.

    Attributes:
        done: the turn has ended, or failed.
        over: the CLI has said that the turn has ended.
        started: the CLI has begun to work on the message.
        reply: the last assistant message of the turn, or None.
        error: why it ended without an answer, or None.
    """

    def __init__(
        self,
        session_id: str,
        sink: Callable[[SessionEvent], None] | None = None,
        wanted: Collection[T] = (),
    ) -> None:
        self.done = False
        self.over = False
        self.started = False
        self.reply: AssistantMessageEvent | None = None
        self.error: RightseatError | None = None
        self.message_id: str | None = None
        self._session_id = session_id
        self._sink = sink
        self._wanted = frozenset(wanted)
        self._kinds = _RELEVANT | self._wanted
        self._interaction: str | None = None
        self._speaking = False  # deltas belong to this turn
        self._admitted = False
        self._early: list[SessionEvent] = []

    def admit(self, message_id: str | None) -> None:
        """The message was sent and has this id (None: the CLI gave none, any turn counts)."""
        self.message_id = message_id
        self._admitted = True
        if message_id is None:
            self.started = self._speaking = True
        early, self._early = self._early, []
        for event in early:
            self.feed(event)

    def feed(self, event: SessionEvent) -> None:
        """Take the next event."""
        kind = event.type
        if kind not in self._kinds or event.agent_id or self.over:
            return
        if not self._admitted:
            self._keep(event)
        elif kind in _RELEVANT:
            self._judge(event)
        elif self._speaking:
            self._show(event)

    def fail(self, error: RightseatError) -> None:
        """End the wait from outside: time is up, the session was closed, the connection lost. The turn itself may go on."""
        if not self.done:
            self.error, self.done = error, True

    def _keep(self, event: SessionEvent) -> None:
        """Whose it is shows when the id is known. A delta before anything else is of a turn that ran already."""
        if not self._early and event.type not in _RELEVANT:
            return
        self._early.append(event)
        if len(self._early) > MAX_EARLY:
            self._early.clear()
            what = f"the CLI sent more than {MAX_EARLY} events before it answered session.send"
            self.fail(ProtocolError(f"session {self._session_id}: {what}"))

    def _judge(self, event: SessionEvent) -> None:
        data = event.data
        match event.type:
            case T.USER_MESSAGE:
                self._begin(data)
            case T.ASSISTANT_MESSAGE:
                if self._is_answer(data):
                    self.started = True
                    self.reply = self.reply if self.done else cast("AssistantMessageEvent", event)
                    self._show(event)
            case T.SESSION_WARNING:
                blocked = getattr(data, "warning_type", None) == "policy_blocked"
                self.started = self.started or (blocked and self._is_ours(_origin(data)))
            case T.SESSION_ERROR:
                if _origin(data) is None or self._is_ours(_origin(data)):
                    self.fail(_error_of(event, self._session_id))
            case T.SESSION_IDLE:
                if self.started and getattr(data, "mode", None) != "autopilot":
                    self._finish(aborted=bool(getattr(data, "aborted", None)))
            case T.SESSION_AUTOPILOT_STOPPED:
                if self._is_ours(getattr(data, "request_id", None)):
                    self._finish(aborted=getattr(data, "reason", None) == "aborted")

    def _show(self, event: SessionEvent) -> None:
        if self._sink is not None and event.type in self._wanted and not self.done:
            self._sink(event)

    def _begin(self, data: object) -> None:
        """A message was taken up: ours, one that continues or steers our interaction, or another turn's."""
        sent_id, interaction = getattr(data, "message_id", None), getattr(data, "interaction_id", None)
        if sent_id is None or self._is_ours(sent_id):
            self.started = self._speaking = True
            self._interaction = interaction
        elif self.started and not getattr(data, "is_autopilot_continuation", None):
            same = interaction is not None and interaction == self._interaction
            delivery = getattr(data, "delivery", None)
            self._speaking = same or delivery == "steering"
            if delivery in ("queued", "idle") and None not in (interaction, self._interaction) and not same:
                self._finish(aborted=False)  # the next in line: the CLI is idle only after the last of them

    def _is_answer(self, data: object) -> bool:
        origin = _origin(data)
        if origin is None:
            return self._speaking
        interaction = getattr(data, "interaction_id", None)
        # A message that steers a running turn is answered in the name of the message that began it.
        steered = self._speaking and interaction is not None and interaction == self._interaction
        return self._is_ours(origin) or steered

    def _is_ours(self, message_id: str | None) -> bool:
        return self.message_id is None or message_id == self.message_id

    def _finish(self, *, aborted: bool) -> None:
        if aborted:
            what = f"session {self._session_id}: the turn was aborted before its answer was complete"
            self.fail(TurnAbortedError(what))
        self.done = self.over = True


def _origin(data: object) -> str | None:
    return getattr(data, "originating_message_id", None)


def _error_of(event: SessionEvent, session_id: str) -> RightseatError:
    """The error of a `session.error`; one that only a login can end has our words, and the CLI's as its cause."""
    error = _session_error(event, session_id)
    if not any(words in error.message for words in _NO_LOGIN):
        return error
    missing = NotLoggedInError(
        "the Copilot CLI is not logged in: run `copilot login` once, or set COPILOT_GITHUB_TOKEN; "
        "to try this without an account: rightseat simulate -- python FILE.py"
    )
    missing.__cause__ = error
    return missing


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
        permissions: request id -> kind, of the requests without an answer.
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
