"""Waiting for the answer to a message: the only place where that is done.

The turns of a session run one after another, in the order in which they were asked for, so that each caller gets his own
answer and leaving one turn ends no other. A time limit covers the whole of it: the wait in the queue, `session.send`, the turn.
What ends a turn and which events belong to it is decided by `Turn`; what an answer is made of is for the callers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, TypeVar

from rightseat.errors import RightseatError, TurnAbortedError, TurnTimeoutError
from rightseat.log import logger
from rightseat.sdk.rpc import CallMethod, decode_result
from rightseat.sdk.tasks import CLOSE_SECONDS, Tasks, result_of
from rightseat.sdk.turn import INTERESTING, Activity, Turn
from rightseat.wire.events import AssistantMessageEvent, SessionEvent
from rightseat.wire.session_events import SessionEventType as T

_SLACK_SECONDS = 1e-3  # timers may fire this much too early

R = TypeVar("R")


class Turns:
    """The turns of one session.

    Args:
        session_id: the session.
        call: calls a method of the CLI.
        timeout: seconds for one such call; None: no limit.
        tasks: where background work is done.
    """

    def __init__(self, session_id: str, call: CallMethod, timeout: float | None, tasks: Tasks) -> None:
        self.session_id = session_id
        self.activity = Activity()
        self.line = asyncio.Lock()  # fair: who asked first is next
        self.tasks = tasks
        self._call = call
        self._timeout = timeout
        self._in_line: set[PendingTurn] = set()
        self._sent: dict[Turn, PendingTurn] = {}
        self._sending = 0  # messages that the CLI has not acknowledged yet
        self._acknowledged = asyncio.Event()
        self._aborts = asyncio.Lock()  # while the CLI aborts a turn, no other begins

    def __len__(self) -> int:
        """How many turns are waited for."""
        return sum(not pending.left for pending in self._everybody())

    def take(self, event: SessionEvent, now: float) -> None:
        """An event of the session, in order. `now` in seconds of the loop's clock."""
        activity = self.activity
        activity.last_event, activity.last_at = event, now
        if event.type in INTERESTING:
            activity.note(event)
        if self._sent:
            for turn, pending in list(self._sent.items()):
                turn.feed(event)
                if turn.over or (turn.done and not pending.left):
                    pending.ended()
            if event.type is T.SESSION_IDLE and getattr(event.data, "aborted", None) and self._not_begun():
                self.tasks.spawn(self._look_for_dropped(), f"session {self.session_id}: reading the CLI's queue")

    def end(self, error: RightseatError) -> None:
        """No more events will come: pending calls, also queued ones, raise the error."""
        for pending in self._everybody():
            pending.turn.fail(error)
            pending.ended()

    def queue(self, pending: PendingTurn) -> None:
        """It waits for its place."""
        self._in_line.add(pending)

    def feed(self, pending: PendingTurn) -> None:
        """Its message is being sent: give it the session's events from now on."""
        self._in_line.discard(pending)
        self._sent[pending.turn] = pending

    def remove(self, pending: PendingTurn) -> None:
        """Give it no more events."""
        self._in_line.discard(pending)
        self._sent.pop(pending.turn, None)

    def _everybody(self) -> list[PendingTurn]:
        return [*self._in_line, *self._sent.values()]

    async def send(self, params: Mapping[str, object]) -> str:
        """Send a message. Returns its id, or "" where the CLI gives none."""
        async with self._aborts:
            self._sending += 1
            self._acknowledged.clear()
        try:
            raw = await self._call("session.send", {"sessionId": self.session_id, **params}, self._timeout)
        finally:
            self._sending -= 1
            if not self._sending:
                self._acknowledged.set()
        return str(decode_result(raw).get("messageId") or "")

    async def abort(self, turn: Turn) -> None:
        """End one turn, and no other.

        A message that waits in the CLI's own queue is taken out of it. `session.abort` ends whatever runs and empties that queue: it is
        called only when what runs is the turn that is meant alone, and nothing waits. Else the turn goes on, unheard.
        """
        queue = await self._queue()
        if not turn.started and turn.message_id and queue is not None:
            for item in queue.get("items") or ():
                if item.get("messageId") == turn.message_id and await self._withdraw(str(item.get("id"))):
                    return
            queue = await self._queue()
        async with self._aborts:
            others = any(pending.turn is not turn and not pending.left for pending in self._sent.values())
            if not (turn.over or others or self._sending or (queue is not None and _holds_messages(queue, turn))):
                await self._call("session.abort", {"sessionId": self.session_id}, self._timeout)

    def _not_begun(self) -> list[Turn]:
        return [turn for turn in self._sent if turn.message_id and not turn.started and not turn.done]

    async def _look_for_dropped(self) -> None:
        """Something was aborted, which empties the CLI's queue: messages that waited in it will not be answered."""
        waited = self._not_begun()
        queue = await self._queue()
        kept = {item.get("messageId") for item in (queue or {}).get("items") or ()}
        for turn in waited if queue is not None else ():
            if turn.message_id not in kept and not turn.started and (pending := self._sent.get(turn)) is not None:
                turn.fail(
                    TurnAbortedError(
                        f"session {self.session_id}: the message was dropped when another turn was aborted"
                    )
                )
                pending.ended()

    async def _queue(self) -> Mapping[str, Any] | None:
        """What waits in the CLI, all messages of ours included that were sent so far; None: it does not tell."""
        try:
            while True:
                if self._sending:
                    await self._acknowledged.wait()
                raw = await self._call("session.queue.pendingItems", {"sessionId": self.session_id}, self._timeout)
                if not self._sending:
                    queue: Mapping[str, Any] = decode_result(raw) or {}
                    return queue
        except RightseatError as e:
            logger.debug("session %s: the CLI does not show its queue: %s", self.session_id, e)
            return None

    async def _withdraw(self, item_id: str) -> bool:
        """Take a message out of the CLI's queue. False: it is not there any more."""
        params: dict[str, object] = {"sessionId": self.session_id, "id": item_id}
        try:
            done = decode_result(await self._call("session.queue.removeAt", params, self._timeout))
        except RightseatError as e:
            logger.debug("session %s: the CLI's queue cannot be changed: %s", self.session_id, e)
            return False
        return bool(done.get("removed"))


def _holds_messages(queue: Mapping[str, Any], turn: Turn) -> bool:
    """Whether messages wait besides that of the turn."""
    others = [
        item for item in queue.get("items") or () if not turn.message_id or item.get("messageId") != turn.message_id
    ]
    return bool(others or queue.get("steeringMessages") or queue.get("inFlightSteeringCount"))


class PendingTurn:
    """One message: its wait in the queue, its sending, its turn.

    Args:
        turns: of the session.
        timeout: seconds for all of it; None: no limit.
        inactivity_timeout: seconds without any event of the session; None: no limit.
        sink: called with each event of the wanted kinds that belongs to the turn.
        wanted: the kinds.
        wake: called once when the turn has ended.

    Attributes:
        turn: what is known of it.
        left: its caller has stopped waiting.
    """

    def __init__(
        self,
        turns: Turns,
        timeout: float | None,
        inactivity_timeout: float | None,
        *,
        sink: Callable[[SessionEvent], None] | None = None,
        wanted: Collection[T] = (),
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.turn = Turn(turns.session_id, sink, wanted)
        self.left = False
        self._turns = turns
        self._limits = (timeout, inactivity_timeout)
        self._wake = wake
        turns.tasks.check()
        self._loop = asyncio.get_running_loop()
        self._begun_at = self._loop.time()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._in_line = False
        self._sending: asyncio.Task[str] | None = None
        self._calling_off = False
        self._timer: asyncio.TimerHandle | None = None
        self._scope: asyncio.Timeout | None = None

    async def begin(self, params: Mapping[str, object]) -> None:
        """Wait for the turns before this one, and send the message.

        One that is sent in mode "immediate" does not wait: it steers the turn that runs.

        Whatever it raises, `close`, `leave` or `drop` has to follow.

        Raises:
            TurnTimeoutError: time was up.
            RightseatError: the message could not be sent, or the session ended.
        """
        self._turns.queue(self)
        self._watch()
        await self._limited(self._send(params))

    async def end(self) -> AssistantMessageEvent | None:
        """Wait until the turn has ended. Returns its last assistant message, or None.

        Raises:
            RightseatError: what ended it instead.
        """
        await asyncio.shield(self._done)
        if self.turn.error is not None:
            raise self.turn.error
        return self.turn.reply

    def ended(self) -> None:
        """The turn is done: by its own end, by an error, or because time is up."""
        if not self._calling_off:  # else the abort, which is under way, would hit the next turn
            self.close()
        self._tell()

    def close(self) -> None:
        """Stop waiting; the turn itself continues. May be called twice."""
        self.left = True
        self._turns.remove(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._in_line:
            self._in_line = False
            self._turns.line.release()

    async def leave(self) -> None:
        """The answer is no longer wanted: abort the turn if it still runs. Takes CLOSE_SECONDS at most.

        The next queued message is sent when the turn has ended, or after that time. Cancelling the caller does not stop the abort.
        """
        leaving = self._leave()
        if leaving is not None:
            await result_of(leaving)

    def give_up(self, error: RightseatError) -> None:
        """Abort the turn, and end the wait with `error`. For sinks."""
        self.turn.fail(error)
        self._leave()
        self._tell()

    def drop(self) -> None:
        """`leave` for places that cannot wait, in any thread."""
        if not self.left:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> asyncio.Task[None] | None:
        if self.left or self._sending is None:
            self.close()
            return None
        self.left = True
        if self._timer is not None:
            self._timer.cancel()
        self._calling_off = True
        self._timer = self._loop.call_later(CLOSE_SECONDS, self.close)
        return self._turns.tasks.spawn(self._call_off(self._sending), "aborting a turn that was left")

    async def _call_off(self, sending: asyncio.Task[str]) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self.turn.message_id is None:  # only with its id it can be told from others
                    self.turn.admit(await result_of(sending) or None)
                await self._turns.abort(self.turn)
        except (RightseatError, TimeoutError) as e:
            logger.debug("session %s: a turn could not be aborted: %s", self._turns.session_id, e)
        finally:
            self._calling_off = False
            if not self.turn.started or self.turn.over:  # it was taken back, and no end of it will come
                self.close()

    def _tell(self) -> None:
        """Wake everything that waits for the end."""
        if not self._done.done():
            self._done.set_result(None)
            if self._scope is not None:
                self._scope.reschedule(self._loop.time())
            if self._wake is not None:
                self._wake()

    async def _send(self, params: Mapping[str, object]) -> None:
        if params.get("mode") != "immediate":
            await self._turns.line.acquire()
            self._in_line = True
        self._turns.feed(self)
        # A caller that is cancelled here has sent it all the same; its id is needed to take it back.
        self._sending = self._turns.tasks.start(self._turns.send(params))
        self.turn.admit(await result_of(self._sending) or None)
        if self.turn.done:
            self.ended()

    async def _limited(self, work: Coroutine[object, object, R]) -> R:
        """Until the turn ends, which is also how a time limit shows."""
        try:
            async with asyncio.timeout(None) as self._scope:
                return await work
        except TimeoutError:
            if self.turn.error is not None and self._scope is not None and self._scope.expired():
                raise self.turn.error from None
            raise
        finally:
            self._scope = None

    # Time.

    def _watch(self) -> None:
        deadline, _ = self._deadline()
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._check)

    def _check(self) -> None:
        deadline, kind = self._deadline()
        if deadline is None or deadline > self._loop.time() + _SLACK_SECONDS:
            self._watch()  # an event has moved it
            return
        self.turn.fail(self._timed_out(kind))
        self.ended()

    def _deadline(self) -> tuple[float | None, str]:
        total, inactivity = self._limits
        end = None if total is None else self._begun_at + total
        if inactivity is not None:
            last = max(self._begun_at, self._turns.activity.last_at or 0)
            if end is None or last + inactivity < end:
                return last + inactivity, "inactivity"
        return end, "total"

    def _timed_out(self, kind: str) -> TurnTimeoutError:
        activity, now = self._turns.activity, self._loop.time()
        return TurnTimeoutError(
            session_id=self._turns.session_id,
            kind=kind,
            limit=self._limits[0 if kind == "total" else 1] or 0,
            waited=now - self._begun_at,
            last_event=activity.last_event.raw_type if activity.last_event else None,
            last_event_age=None if activity.last_at is None else now - activity.last_at,
            pending_tools=tuple(activity.tools.values()),
            pending_permissions=tuple(activity.permissions.values()),
        )
