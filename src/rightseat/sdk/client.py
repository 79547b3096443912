"""A Copilot CLI and the sessions in it.

The client creates sessions, hands each its events and questions, and leaves nothing behind when it stops. How a CLI is reached
is for `link`; what sessions talk about is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from msgspec import Raw

from rightseat.clock import SYSTEM_CLOCK
from rightseat.errors import InvalidOptionError, NotStartedError, ProtocolError, RightseatError, RpcError
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.sdk.further_requests import FurtherRequests
from rightseat.sdk.lifecycle import LifecycleListeners
from rightseat.sdk.link import Link
from rightseat.sdk.one_loop import OneLoop
from rightseat.sdk.options import ClientOptions, SessionOptions, client_options, session_options
from rightseat.sdk.rpc import Rpc, decode_result
from rightseat.sdk.runtime import RuntimeConnection, connection_of
from rightseat.sdk.session import CopilotSession
from rightseat.sdk.tasks import CLOSE_SECONDS, Tasks
from rightseat.wire.events import EventParams, event_params_from_raw
from rightseat.wire.record import Record

if TYPE_CHECKING:
    from rightseat.sdk.model_provider import ModelProvider
    from rightseat.sdk.rpc_methods import ClientRpc

RPC_SECONDS = 60.0
# What async handlers may still take for events they have not seen when the client stops. The rest is cancelled.
HANDLER_SECONDS = 0.5


class CopilotClient:
    """A client for the Copilot CLI. Options as a dict, as keywords, or both; see `ClientOptions`.

        async with CopilotClient() as client:
            session = await client.create_session(streaming=True)
            async for text in session.stream("Why is the sky blue?"):
                print(text, end="", flush=True)

    One client holds any number of sessions, for any number of users. It belongs to one event loop.

    Raises:
        UnknownOptionError, InvalidOptionError: a bad option.
    """

    def __init__(
        self, options: ClientOptions | Mapping[str, object] | None = None, **keywords: Unpack[ClientOptions]
    ) -> None:
        self._options = client_options(options, keywords)
        self._connection = connection_of(self._options)
        self._sessions: dict[str, CopilotSession] = {}
        self._ids: Ids = self._options.get("ids", SYSTEM_IDS)
        self._link: Link | None = None
        self._last: Link | None = None  # the same, also after the end: for what is asked about it
        self._starting: asyncio.Task[None] | None = None
        self._loop = OneLoop("this CopilotClient")
        self._tasks = Tasks(self._loop)
        self._now: Callable[[], float] = SYSTEM_CLOCK.now  # the loop's time, once there is one
        self._lifecycle = LifecycleListeners(self._tasks)
        self._further = FurtherRequests()
        self._opening_models = asyncio.Lock()
        self._models: ModelProvider | None = None  # made when a session wants a function as its model

    # Start and end.

    async def start(self) -> None:
        """Start or reach the CLI and complete the handshake. Does nothing when that is done already; starts anew after a crash.

        Raises:
            CliNotFoundError, CliNotRunnableError: there is no CLI, or it cannot be run.
            ConnectError, AuthenticationError: no server at that address, or a wrong connection token.
            StartTimeoutError, ConnectionLostError: the CLI did not become ready, or died at once.
            UnsupportedVersionError: the CLI is too old.
        """
        self._loop.check()
        if self._link is not None and self._link.lost is None:
            return
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
            self._starting.add_done_callback(lambda _: setattr(self, "_starting", None))
        try:
            await asyncio.shield(self._starting)
        finally:
            if self._link is None and self._starting is None:
                self._loop.release()

    async def stop(self) -> None:
        """Leave all sessions, end the CLI if this client started it, and everything the CLI started. May be called twice.

        Takes two seconds at most, also with a CLI that does not answer. Nothing of this client runs afterwards, handlers included.
        """
        self._loop.check()
        await self._stop_starting()
        link, self._link = self._link, None
        if link is not None:
            sessions = list(self._sessions.values())
            answered = await link.detach([session.session_id for session in sessions])
            ending = self._end_sessions(sessions, asyncio.current_task())
            await asyncio.gather(link.close() if answered else link.terminate(), ending)
        self._loop.release()

    async def force_stop(self) -> None:
        """End the CLI at once, without detaching from its sessions."""
        self._loop.check()
        await self._stop_starting()
        link, self._link = self._link, None
        if link is not None:
            ending = self._end_sessions(list(self._sessions.values()), asyncio.current_task())
            await asyncio.gather(link.kill(), ending)
        self._loop.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def state(self) -> str:
        """One of "disconnected", "connecting", "connected" and "error" (the connection was lost)."""
        if self._starting is not None:
            return "connecting"
        if self._link is None:
            return "disconnected"
        return "connected" if self._link.lost is None else "error"

    @property
    def connection(self) -> RuntimeConnection:
        """How the CLI is reached."""
        return self._connection

    @property
    def runtime_port(self) -> int | None:
        """The TCP port of the CLI that this client started, for others to connect to; None over stdio."""
        return self._last.port if self._last is not None else None

    @property
    def process_id(self) -> int | None:
        """The process id of the CLI that this client started, or None."""
        return self._last.process_id if self._last is not None else None

    @property
    def cli_version(self) -> str | None:
        """The CLI's version, as it said in the handshake; None before, and for CLIs that do not say."""
        return self._last.version.get("version") if self._last is not None else None

    # Sessions.

    async def create_session(
        self, options: SessionOptions | Mapping[str, object] | None = None, **keywords: Unpack[SessionOptions]
    ) -> CopilotSession:
        """Begin a session. Options as a dict, as keywords, or both; see `SessionOptions`.

        Raises:
            UnknownOptionError, InvalidOptionError, InvalidToolError: a bad option.
            RpcError: the CLI refused.
        """
        checked = session_options(options, keywords)
        return await self._open("session.create", checked.get("session_id") or self._ids.uuid(), checked)

    async def resume_session(  # type: ignore[misc]  # the id is an option of create_session, and here a parameter
        self,
        session_id: str,
        options: SessionOptions | Mapping[str, object] | None = None,
        **keywords: Unpack[SessionOptions],
    ) -> CopilotSession:
        """Open a session that exists: one that was left, one on disk, or one that another client uses now.

        Tools, handlers and hooks are not stored and are given again.

        Raises:
            SessionNotFoundError: there is no such session.
            UnknownOptionError, InvalidOptionError, InvalidToolError, RpcError: as `create_session`.
        """
        return await self._open("session.resume", session_id, session_options(options, keywords))

    async def list_sessions(self, filter: Mapping[str, object] | None = None) -> list[Record]:  # noqa: A002 - the wire's word
        """The sessions the CLI keeps: session_id, start_time, modified_time, summary, context ..."""
        result = await self.rpc("session.list", {"filter": dict(filter)} if filter else {})
        return list(result.get("sessions") or ())

    async def get_session_metadata(self, session_id: str) -> Record | None:
        """The same for one session, or None when the CLI does not know it."""
        session: Record | None = (await self.rpc("session.getMetadata", {"sessionId": session_id})).get("session")
        return session

    async def get_last_session_id(self) -> str | None:
        """The session that was used last, or None."""
        session_id: str | None = (await self.rpc("session.getLastId")).get("sessionId")
        return session_id

    async def delete_session(self, session_id: str) -> None:
        """Remove a session and what it stored.

        Raises:
            RpcError: the CLI could not.
        """
        result = await self.rpc("session.delete", {"sessionId": session_id})
        if not result.get("success", True):
            raise RpcError("session.delete", -32603, str(result.get("error") or "the CLI gave no reason"))
        session = self._sessions.get(session_id)
        if session is not None:
            session.end(None)

    # The CLI itself.

    @property
    def rpc(self) -> ClientRpc:
        """Any method of the CLI by name: `await client.rpc("account.getQuota")`."""
        return cast("ClientRpc", Rpc(self.call, timeout=self.rpc_timeout))

    async def ping(self, message: str = "") -> Record:
        """message, timestamp, protocol_version."""
        return Record(decode_result(await self.call("ping", {"message": message}, self.rpc_timeout)))

    async def get_status(self) -> Record:
        """version, protocol_version."""
        return Record(await self.rpc("status.get"))

    async def get_auth_status(self) -> Record:
        """is_authenticated, auth_type, host, login, status_message."""
        return Record(await self.rpc("auth.getStatus"))

    async def list_models(self) -> list[Record]:
        """The models of the account: id, name, capabilities, policy, billing ...

        Raises:
            AuthenticationError: no account is logged in.
        """
        return list((await self.rpc("models.list")).get("models") or ())

    def on_lifecycle(self, *arguments: object) -> Callable[[], None]:
        """Be told when sessions come, change and go: `on_lifecycle(handler)` or `on_lifecycle("session.created", handler)`.

        `handler(event)` gets a Record: type, session_id, metadata. Returns the function that ends it.
        """
        return self._lifecycle.on(arguments)

    on = on_lifecycle

    def on_request(self, method: str, handler: Callable[[Record], object]) -> Callable[[], None]:
        """Answer a further method that the CLI calls: one that neither a session's options nor this client answers.

        `handler(params)` is a function or a coroutine function; what it returns is the result. An RpcError that it raises is told with its
        code, anything else as an internal error. Returns the function that ends it.

        Raises:
            InvalidOptionError: the method has a handler, or this is none.
        """
        return self._further.on(method, handler)

    # For sessions (the protocol `sdk.session.Connection`).

    @property
    def rpc_timeout(self) -> float | None:
        """Seconds for one call; None waits forever."""
        return self._options.get("rpc_timeout", RPC_SECONDS)

    @property
    def tasks(self) -> Tasks:
        """Where background work is done."""
        return self._tasks

    async def call(self, method: str, params: dict[str, object], timeout: float | None) -> Raw:  # noqa: ASYNC109
        """Call a method of the CLI; the raw result. `rpc` is more comfortable."""
        if self._link is None:
            raise NotStartedError(
                "the client is not started: use `async with CopilotClient()` or `await client.start()`"
            )
        self._loop.check()
        return await self._link.pump.call(method, params, timeout)

    def forget(self, session_id: str) -> None:
        """Route no more events to that session."""
        self._sessions.pop(session_id, None)

    # Inside.

    async def _start(self) -> None:
        self._now = asyncio.get_running_loop().time
        if self._models is not None:
            self._models.close()
        self._models = None
        self._last = self._link = await Link.open(
            self._connection,
            self._options,
            on_notification=self._notified,
            on_request=self._asked,
            on_lost=self._lost,
        )

    async def _stop_starting(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])

    async def _end_sessions(self, sessions: list[CopilotSession], caller: asyncio.Task[object] | None) -> None:
        for session in sessions:
            session.end(None)
        if self._models is not None:
            self._models.close()
        await self._tasks.end(HANDLER_SECONDS, CLOSE_SECONDS / 2, but=caller)

    async def _open(self, method: str, session_id: str, options: SessionOptions) -> CopilotSession:
        if self._link is None and self._options.get("auto_start", True):
            await self.start()
        if session_id in self._sessions:
            raise InvalidOptionError(f"session {session_id} is already open on this client")
        if directory := self._options.get("working_directory"):  # a running server has a directory of its own
            options = {"working_directory": _absolute(directory), **options}
        session = CopilotSession(session_id, options, self)
        params = {**session.creation_params(), **await self._function_model(options)}
        self._sessions[session_id] = session  # before the call: its events come before the answer
        try:
            session.created(Record(decode_result(await self.call(method, params, self.rpc_timeout))))
        except BaseException:
            session.end(None)
            raise
        return session

    async def _function_model(self, options: SessionOptions) -> dict[str, object]:
        """What session.create needs when the model is a Python function; nothing otherwise.

        The CLI routes the model calls of a whole connection to us or none, so the two kinds of session need two clients.
        """
        model = options.get("model")
        if not callable(model):
            if self._models is not None:
                raise InvalidOptionError(
                    "model: this client serves models from Python functions; open sessions with other models on another CopilotClient"
                )
            return {}
        if "provider" in options:
            raise InvalidOptionError("model: a Python function needs no provider=; give one or the other")
        if self._sessions and self._models is None:
            raise InvalidOptionError(
                "model: this client has sessions with other models open; open the one with a Python function on another CopilotClient"
            )
        async with self._opening_models:
            models = self._models
            if models is None:
                from rightseat.sdk.model_provider import ModelProvider  # the codecs of a dialect, which few need

                models = ModelProvider(self.call, self._tasks, self._ids)
            name, provider = models.register(model)
            if self._models is None:
                await models.open(self.rpc_timeout)
                self._models = models
        return {"model": name, "provider": provider}

    def _notified(self, method: str, params: Any) -> None:  # an EventParams where it fits, else Raw
        if method == "session.event":
            if type(params) is not EventParams:
                try:
                    params = event_params_from_raw(params)
                except ProtocolError as e:
                    logger.warning("%s", e)
                    return
            session = self._sessions.get(params.session_id)
            if session is not None:
                session.take(params.event, self._now())
        elif method == "session.lifecycle":
            self._lifecycle.tell(params)

    async def _asked(self, method: str, params: Raw) -> object:
        record = Record(decode_result(params) or {})
        if method.startswith("llmInference.") and self._models is not None:
            return self._models.answer(method, record)
        session = self._sessions.get(str(record.get("sessionId")))
        if session is not None:
            with contextlib.suppress(LookupError):
                return await session.answer(method, record)
        return await self._further.answer(method, record)

    def _lost(self, error: RightseatError) -> None:
        logger.warning("the connection to the Copilot CLI was lost: %s", str(error).splitlines()[0])
        for session in list(self._sessions.values()):
            session.end(error)
        if self._link is not None:
            self._tasks.spawn(self._link.clean_up(), "cleaning up after the CLI")


def _absolute(path: str) -> str:
    return str(Path(path).absolute())
