"""The composition root: settings in, an ASGI application out. Everything that is put together is put together here.

What lives as long as the process (`Parts`) is opened once, on one exit stack, and closed in the opposite order, also when opening fails half
way. What follows from settings that may change (`_routed`) is made anew when they are reloaded; requests under way keep what they began with.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from rightseat.accounts.device_flow import Prompt
from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.login import log_in
from rightseat.accounts.quota import Quota, fetch_quota
from rightseat.accounts.store import Account, AccountStore, FileStore
from rightseat.backends.copilot import CopilotBackend
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import RightseatError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.access.origins import check_host, check_origin
from rightseat.gateway.background import running
from rightseat.gateway.config import Settings
from rightseat.gateway.endpoints.management.access_keys import KeyOperations
from rightseat.gateway.endpoints.management.accounts import AccountOperations
from rightseat.gateway.endpoints.management.endpoint import ManagementEndpoint
from rightseat.gateway.endpoints.management.logins import LoginOperations
from rightseat.gateway.endpoints.management.overview import OverviewOperations, Sources
from rightseat.gateway.endpoints.multiplex import Multiplex
from rightseat.gateway.endpoints.responses_socket import ResponsesSocket
from rightseat.gateway.endpoints.sockets import SocketLimits, Sockets
from rightseat.gateway.endpoints_of import conversations, small_endpoints
from rightseat.gateway.http.asgi import AsgiExchange, Receive, Scope, Send, head_of
from rightseat.gateway.http.exchange import ClientGoneError, Exchange, Fields, Head
from rightseat.gateway.http.held import BodyLimits
from rightseat.gateway.http.limits import MemoryBudget
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.websocket import AsgiSocket, Socket
from rightseat.gateway.observe.logging import AccessLog
from rightseat.gateway.observe.metrics import REFRESH_SECONDS, Metrics
from rightseat.gateway.observe.request_log import RequestLog, RequestRecord
from rightseat.gateway.observe.timeseries import TimeSeries
from rightseat.gateway.pipeline.content import Content
from rightseat.gateway.pipeline.intake import Intake
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Endpoint
from rightseat.gateway.router import NoSuchEndpointError, Router
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.layers import Backoff, QueuePolicy
from rightseat.layers.observe import ObserverOf
from rightseat.layers.presets import Layers, Resilience
from rightseat.layers.transient import is_worth_retrying
from rightseat.masking import mask
from rightseat.state.base import State
from rightseat.telemetry.metrics import is_shared
from rightseat.telemetry.tracing import Tracing, is_wanted, provider_of_environment
from rightseat.transport.http.base import HttpSender
from rightseat.transport.http.choice import sender_of

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_DECODED_BYTES = 24 * 1024 * 1024  # of objects in one body, at most
_PATIENCE_SECONDS = 2.0  # a client learns of longer waits and decides by itself


class Parts(Struct):
    """What lives as long as the process."""

    sender: HttpSender
    store: AccountStore
    backend: CopilotBackend
    access: Access
    layers: Layers
    log: RequestLog
    timeseries: TimeSeries
    metrics: Metrics | None
    live: Live[Caller]
    bodies: MemoryBudget
    held: MemoryBudget


class Outside(Struct, frozen=True):
    """What a gateway reaches beyond its process, where that is not what the settings name.

    Attributes:
        state: what several processes share.
        store: the accounts.
        sender: sends requests.
        pepper: see KeyRing.
    """

    state: State
    store: AccountStore
    sender: HttpSender
    pepper: Callable[[bool], Awaitable[bytes]]


class Gateway:
    """The application: `async with Gateway(settings) as app`, then serve `app`.

    Args:
        settings: see Settings.
        clock, ids: time and chance.
        accounts: the accounts; None: those in the settings' folder.
        outside: see Outside; None: what the settings name.

    Raises:
        ConfigError: on entering: the database of keys cannot be used, or an extra is missing.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock = SYSTEM_CLOCK,
        ids: Ids = SYSTEM_IDS,
        *,
        accounts: AccountStore | None = None,
        outside: Outside | None = None,
    ) -> None:
        self.settings = settings
        self._accounts = accounts
        self._clock = clock
        self._ids = ids
        self._outside = outside
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._parts = await self._opened(stack)
            self._management = self._managed(stack)
            self._router = self._routed(self.settings)
            self._sockets = self._socketed(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, e, tb)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.converse(AsgiSocket(scope, receive, send))

    @property
    def socket_memory(self) -> MemoryBudget:
        """Where the bytes count that sockets hold."""
        return self._parts.held

    @property
    def live(self) -> Live[Caller]:
        """What is under way."""
        return self._parts.live

    @property
    def body_limits(self) -> BodyLimits:
        """Of the bodies of requests."""
        return BodyLimits(self._parts.bodies, self.settings.body_limit, self.settings.body_seconds)

    @property
    def clock(self) -> Clock:
        """Time."""
        return self._clock

    async def serve(self, exchange: Exchange, caller: Caller | None = None) -> None:
        """Answer an exchange; see Router. For the HTTP servers, and for callers in the same process."""
        await self._router.serve(exchange, caller)

    async def converse(self, socket: Socket) -> None:
        """Serve a socket until it is closed."""
        head, settings = socket.head, self.settings
        endpoint = self._sockets.get(head.path.removeprefix("/v1").rstrip("/"))
        try:
            check_host(head.headers, settings.host, settings.allowed_hosts)
            check_origin(head.headers, settings.allowed_origins)
            if endpoint is None:
                raise NoSuchEndpointError(f"no such endpoint: {head.path[:200]}")
        except RightseatError as e:
            with contextlib.suppress(ClientGoneError):
                await self._socket_parts.turn_away(head, self._ids.uuid(), socket.refuse, e)
            return
        await endpoint(socket)

    def reload(self, settings: Settings) -> tuple[str, ...]:
        """Apply other settings; requests in progress keep the old ones. Returns the names of those that need a restart and were not applied."""
        _, needs_restart = self.settings.changes(settings)
        kept = {name: getattr(self.settings, name) for name in needs_restart}
        self.settings = msgspec.structs.replace(settings, **kept)
        self._parts.access.authenticator.configure(self.settings)
        self._parts.backend.rename(self.settings.aliases)
        self._parts.backend.reload()
        self._router = self._routed(self.settings)
        return needs_restart

    async def refresh(self) -> None:
        """Look at the keys again. Raises KeyDatabaseError."""
        await self._parts.access.keys.look()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = head_of(scope)
        request_id = self.request_id(head.headers.get("x-request-id", ""))
        exchange = AsgiExchange(head, request_id, receive, send, self.body_limits, clock=self._clock)
        exchange.attach(scope)
        with contextlib.closing(exchange):
            await self.serve(exchange)

    def refused(self, head: Head, error: RightseatError) -> tuple[bytes, Fields]:
        """What the client of a head that no server takes is told."""
        return self._router.refused(head, self.request_id(head.headers.get("x-request-id", "")), error)

    def request_id(self, given: str) -> str:
        """The client's own id for the request, if it gives one that can stand in a log; else a new one."""
        if _REQUEST_ID.fullmatch(given) and mask(given) == given:  # clients may put anything there
            return given
        return self._ids.uuid()

    # What lives as long as the process.

    async def _opened(self, stack: AsyncExitStack) -> Parts:
        settings, clock, ids, outside = self.settings, self._clock, self._ids, self._outside
        sender: HttpSender
        store: AccountStore
        if outside is None:
            access = await stack.enter_async_context(Access(settings, clock, ids))
            sender = await stack.enter_async_context(sender_of(settings.http_client))
            store = self._accounts if self._accounts is not None else FileAccounts(FileStore(settings.folder))
        else:
            access = Access(settings, clock, ids, state=outside.state, pepper=outside.pepper)
            await stack.enter_async_context(access)
            sender, store = outside.sender, outside.store
        cooldowns = access.state.cooldowns
        backend = CopilotBackend(
            store, sender, settings.editor, settings.aliases, clock=clock, ids=ids, cooldowns=cooldowns
        )
        stack.push_async_callback(backend.aclose)
        await backend.look()
        layers = Layers(_resilience(settings, access), clock, ids)
        metrics = Metrics(backend, layers, access.refusals, backend.offers) if settings.metrics else None
        if metrics is not None and is_shared():
            stack.enter_context(running(self._tick(metrics)))
        timeseries = TimeSeries(clock)
        observers = [*_traces(stack), AccessLog(), timeseries, *([metrics] if metrics is not None else [])]
        live: Live[Caller] = Live()
        stack.enter_context(running(live.watch(access.authenticator.still, clock)))
        return Parts(
            sender=sender,
            store=store,
            backend=backend,
            access=access,
            layers=layers,
            log=RequestLog(observers, clock=clock),
            timeseries=timeseries,
            metrics=metrics,
            live=live,
            bodies=_body_memory(settings),
            held=MemoryBudget(settings.socket_memory, settings.socket_memory // 2),
        )

    async def _tick(self, metrics: Metrics) -> None:
        while True:
            await self._clock.sleep(REFRESH_SECONDS)
            metrics.tick()

    # What follows from settings.

    def _routed(self, settings: Settings) -> Router:
        parts = self._parts
        upstream = Upstream(parts.backend, parts.layers)
        content = Content(
            settings.redact_requests, settings.redact_answers, settings.screen_requests, settings.sensitive
        )
        intake = Intake(upstream, content, parts.access, settings.max_messages, settings.max_tools)
        endpoints = {
            **small_endpoints(parts.access, parts.metrics, upstream, intake),
            **conversations(settings, upstream, intake, content),
        }
        endpoints["management"] = self._management
        return Router(settings, endpoints, parts.access, parts.log, parts.live)

    def _socketed(self, stack: AsyncExitStack) -> dict[str, Callable[[Socket], Awaitable[None]]]:
        parts, access = self._parts, self._parts.access
        self._socket_parts = sockets = Sockets(
            self.serve,
            access.authenticator,
            access.authorize.check_scope,
            parts.live,
            memory=parts.held,
            body_memory=parts.bodies,
            limits=lambda: SocketLimits(self.settings.body_limit, self.settings.sockets_per_key),
            count=access.admission.enter,
            opened=parts.log.opened,
        )
        multiplex = Multiplex(sockets, self._clock, self._ids)
        stack.push_async_callback(multiplex.close)
        stack.callback(access.keys.on_change(lambda _: parts.live.check(access.authenticator.still)))
        return {"/ws": multiplex, "/responses": ResponsesSocket(sockets, self._clock, self._ids)}

    async def _log_in(self, host: str, show: Callable[[Prompt], None]) -> Account:
        parts = self._parts
        account = await log_in(parts.store, parts.sender, self.settings.editor, host, "", show, self._clock)
        parts.backend.reload()
        return account

    def _managed(self, stack: AsyncExitStack) -> Endpoint:
        parts, clock = self._parts, self._clock

        async def quota(account: Account) -> Quota:
            return await fetch_quota(parts.sender, self.settings.editor, account)

        accounts = AccountOperations(parts.backend, parts.store, quota, clock)
        logins = LoginOperations(self._log_in, lambda: self.settings.github_host, parts.access.state.logins, self._ids)
        stack.push_async_callback(logins.close)
        sources = Sources(
            lambda: self.settings,
            parts.backend,
            parts.layers,
            parts.log,
            parts.timeseries,
            lambda: (*parts.backend.problems(), *parts.access.problems()),
        )
        overview = OverviewOperations(sources, accounts, clock)
        keys = KeyOperations(parts.access)
        return ManagementEndpoint(
            {**accounts.operations, **logins.operations, **keys.operations, **overview.operations}
        )


def _body_memory(settings: Settings) -> MemoryBudget:
    """Room for bodies and for what they become: a large one counts three times, with what looks through it.

    The largest fits when it is alone, and small ones fit beside it.
    """
    total = max(settings.body_memory, 3 * settings.body_limit + _DECODED_BYTES)
    return MemoryBudget(total, max(2 * settings.body_limit + _DECODED_BYTES, total // 2), total // 8)


def _resilience(settings: Settings, access: Access) -> Resilience:
    backoff = Backoff(attempts=settings.attempts, base=0.2, cap=1.0, patience=_PATIENCE_SECONDS)
    queue = QueuePolicy(
        concurrency=settings.concurrency or 1, length=settings.queue, wait_seconds=settings.queue_seconds
    )
    return Resilience(
        observers=(),
        admission=access.admission,
        timeout=settings.answer_seconds,
        silence=None,
        concurrency=queue if settings.concurrency else None,
        retry=backoff if settings.attempts > 1 else None,
        retry_on=is_worth_retrying,
        breaker=settings.breaker,
        window=None,
    )


def _traces(stack: AsyncExitStack) -> list[ObserverOf[RequestRecord]]:
    if not is_wanted():
        return []
    provider = provider_of_environment()
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)  # the last spans are sent
    return [Tracing(provider, server=True)]
