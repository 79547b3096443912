"""A scripted Copilot CLI: the other side of a session, on any ByteStream, for tests and benchmarks that want it exact.

It knows the handshake and a few methods of protocol 3, and can be told the rest. For what only the real CLI can show, use the
real CLI.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import uuid
from collections.abc import Callable
from typing import Any, Self

import msgspec

from rightseat.json_types import JsonObject
from rightseat.transport.base import ByteStream
from rightseat.wire import jsonrpc
from rightseat.wire.jsonrpc import Answered, Called, Peer, Refused


class ScriptedRefusal(Exception):  # noqa: N818
    """Raise it in a method to answer with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ScriptedCli:
    """Plays the CLI on a stream: `async with ScriptedCli(stream) as cli`.

    Attributes:
        methods: what answers each method: a function of the parameters. Add to it, or take away.
        calls: every call that came, as (method, parameters).
        notified: every notification that came, as (method, parameters).
    """

    def __init__(self, stream: ByteStream, *, protocol_version: object = 3, version: str = "0.0.0-scripted") -> None:
        self.calls: list[tuple[str, JsonObject]] = []
        self.notified: list[tuple[str, JsonObject]] = []
        self.methods: dict[str, Callable[[JsonObject], Any]] = {
            "connect": lambda _: {"ok": True, "protocolVersion": protocol_version, "version": version},
            "ping": lambda p: {
                "message": f"pong: {p.get('message', '')}",
                "timestamp": "",
                "protocolVersion": protocol_version,
            },
            "session.create": lambda p: {
                "sessionId": p["sessionId"],
                "workspacePath": None,
                "modelState": {"modelId": p.get("model")},
            },
            "session.resume": lambda p: {"sessionId": p["sessionId"]},
            "session.send": lambda _: {"messageId": f"message-{next(self._messages)}"},
            "session.detach": lambda _: {"success": True},
            "session.destroy": lambda _: {"success": True},
            "session.abort": lambda _: {"success": True},
            "session.tools.handlePendingToolCall": lambda _: {"success": True},
            "session.permissions.handlePendingPermissionRequest": lambda _: {"success": True},
            "runtime.shutdown": lambda _: None,
        }
        self._stream = stream
        self._peer = Peer()
        self._messages = itertools.count(1)
        self._waiting: dict[Any, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, **how: object) -> None:
        """Hang up. Keywords go to the stream's `close`, to say how the end shall look."""
        await self._stream.close(**how)
        for task in [*self._tasks, *([self._task] if self._task else [])]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def event(self, session_id: str, kind: str, data: JsonObject | None = None, **envelope: Any) -> None:
        """Send one session event."""
        event = {
            "type": kind,
            "data": data or {},
            "id": str(uuid.uuid4()),
            "timestamp": "2026-01-01T00:00:00.000Z",
            "parentId": None,
            **envelope,
        }
        self.notify("session.event", {"sessionId": session_id, "event": event})

    def turn(self, session_id: str, *pieces: str, message: str = "message-1", idle: bool = True) -> None:
        """Send the events of one turn: a delta a piece, the message, idle."""
        self.event(session_id, "user.message", {"content": "?", "messageId": message})
        for piece in pieces:
            self.event(session_id, "assistant.message_delta", {"messageId": "m", "deltaContent": piece}, ephemeral=True)
        reply = {"messageId": "m", "content": "".join(pieces), "originatingMessageId": message}
        self.event(session_id, "assistant.message", reply)
        if idle:
            self.event(session_id, "session.idle", ephemeral=True)

    def notify(self, method: str, params: object) -> None:
        """Send one notification."""
        self._stream.write(self._peer.notify(method, params))

    def raw(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        self._stream.write(data)

    async def ask(self, method: str, params: object) -> Any:
        """Call a method of the client. An error answer is raised as ScriptedRefusal."""
        call_id, data = self._peer.call(method, params)
        future = self._waiting[call_id] = asyncio.get_running_loop().create_future()
        self._stream.write(data)
        return await future

    async def until(self, method: str, count: int = 1) -> JsonObject:
        """Wait until a method has been called `count` times; the parameters of that call."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: sum(m == method for m, _ in self.calls) >= count)
        return [params for m, params in self.calls if m == method][count - 1]

    async def _run(self) -> None:
        while data := await self._stream.read():
            for message in self._peer.feed(data):
                match message:
                    case Called():
                        task = asyncio.ensure_future(self._answer(message))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
                    case Answered(call_id, result):
                        self._waiting.pop(call_id).set_result(msgspec.json.decode(result))
                    case Refused(call_id, _, code, text):
                        self._waiting.pop(call_id).set_exception(ScriptedRefusal(code, text))
                    case jsonrpc.Notified(method, params):
                        self.notified.append((method, msgspec.json.decode(params)))
                    case jsonrpc.Cancelled(call_id):
                        self.notified.append(("$/cancelRequest", {"id": call_id}))

    async def _answer(self, message: Called) -> None:
        params = msgspec.json.decode(message.params)
        async with self._arrived:
            self.calls.append((message.method, params))
            self._arrived.notify_all()
        method = self.methods.get(message.method)
        if method is None:
            self._stream.write(
                self._peer.refuse(message.id, jsonrpc.METHOD_NOT_FOUND, f"Unhandled method {message.method}")
            )
            return
        try:
            result = method(params)
            if inspect.isawaitable(result):
                result = await result
        except ScriptedRefusal as e:
            self._stream.write(self._peer.refuse(message.id, e.code, str(e)))
        else:
            self._stream.write(self._peer.answer(message.id, result))
