"""From the head of a request to its endpoint, and whatever ends it back to the client. Every request takes this way, whatever it came over.

What can be decided by the head is decided before a byte of the body is read: the path, the page it comes from, the key, its scope, its
limits. Errors are answered in one place: before the answer has begun as an error in the client's dialect, after that as an event in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from rightseat.errors import CallerError, RightseatError
from rightseat.gateway.access import origins
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.caller import ANONYMOUS, Caller
from rightseat.gateway.access.caller import MANAGEMENT as MANAGEMENT_ID
from rightseat.gateway.config import Settings
from rightseat.gateway.http.addresses import neighbourhood
from rightseat.gateway.http.exchange import ClientGoneError, Exchange, Fields, Head
from rightseat.gateway.http.live import Live
from rightseat.gateway.http.memory_exchange import MemoryExchange
from rightseat.gateway.observe.request_log import RequestLog, RequestRecord
from rightseat.gateway.request import Endpoint, Request
from rightseat.gateway.routes import MANAGEMENT, UNKNOWN, Route, find, others, socket_at
from rightseat.layers.observe import CURRENT
from rightseat.log import logger
from rightseat.wire.dialect import Dialect
from rightseat.wire.dialects import ALL, CHAT, MESSAGES
from rightseat.wire.errors import interrupted, status_of


class NoSuchEndpointError(CallerError):
    """Nothing is served at this path."""

    status_hint = 404


class WrongMethodError(CallerError):
    """Something else is served at this path."""

    status_hint = 405


class ManagementOffError(CallerError):
    """Management was asked for, and is not switched on."""

    status_hint = 403


class TooDeepError(CallerError):
    """A body that is nested too deeply to decode."""


class InternalError(RightseatError):
    """A fault of the gateway. The log has it; the client is not told more."""


_DIALECTS = {dialect.name: dialect for dialect in ALL}


class Router:
    """Answers exchanges.

    Args:
        settings: see Settings.
        endpoints: by the names in `routes`.
        access: who may ask, for what, and how much.
        log: where requests are noted.
        live: what is under way.
    """

    def __init__(
        self,
        settings: Settings,
        endpoints: Mapping[str, Endpoint],
        access: Access,
        log: RequestLog,
        live: Live[Caller],
    ) -> None:
        self.settings = settings
        self._endpoints = endpoints
        self._access = access
        self._log = log
        self._live = live

    async def serve(self, exchange: Exchange, caller: Caller | None = None) -> None:
        """Answer an exchange, whatever happens. Raises nothing but a cancellation.

        Args:
            exchange: the request.
            caller: who asks, where that is known, as within a socket; it is checked again.
        """
        route, value = _routed(exchange)
        record = self._log.begin(exchange, route)
        record.key = caller.id if caller is not None else ""
        exchange.fields.append((b"x-request-id", exchange.id.encode()))
        token = CURRENT.set(record)
        try:
            self._live.enter(exchange, caller)
            await exchange.run(partial(self._let_in, exchange, route, value, caller, record))
        except ClientGoneError as e:
            record.fail(e, status_of(e))
        except (RightseatError, RecursionError) as e:
            # No name here keeps the error: its traceback holds the body, and would hold it until the garbage collector came by.
            await self._tell(exchange, route, record, _told(e))
        except Exception:
            logger.exception("%s: internal error", exchange.id)
            await self._tell(exchange, route, record, InternalError("the gateway failed", code="internal_error"))
        finally:
            CURRENT.reset(token)
            self._live.leave(exchange)
            self._log.end(record, exchange)

    def refused(self, head: Head, request_id: str, error: RightseatError) -> tuple[bytes, Fields]:
        """What the client of a head that no server takes is told: a body and fields. It is noted like any request."""
        exchange = MemoryExchange(head, request_id)
        route, _ = _routed(exchange)
        dialect, record = dialect_of(exchange, route), self._log.begin(exchange, route)
        record.fail(error, status_of(error))
        self._log.end(record, exchange)
        fields = dialect.error_headers(error, request_id)
        if status_of(error) == 405:
            fields.append(_allow(others(head.path)))
        return dialect.error_body(error, request_id), fields

    async def _let_in(
        self, exchange: Exchange, route: Route, value: str, caller: Caller | None, record: RequestRecord
    ) -> None:
        """Everything that the head decides, and then the endpoint."""
        if caller is None and await self._is_of_page(exchange):
            return
        caller = await self._caller(exchange, route, caller)
        record.key = caller.id
        if route.scope and caller.id != MANAGEMENT_ID:  # else nothing of a key's could end
            self._live.known(exchange, caller)
        exchange.owner = caller.id or f"@{neighbourhood(exchange.head.address)}"
        if route.endpoint not in self._endpoints:  # a socket is not opened by any other request
            raise self._nothing_at(exchange)
        await self._access.admission.enter(caller)
        await self._endpoints[route.endpoint](Request(exchange, route, value, caller, record))

    def _nothing_at(self, exchange: Exchange) -> CallerError:
        """Nothing is served there, or not by this method (RFC 9110, section 15.5.6)."""
        head = exchange.head
        asked = f"{head.method[:20]} {head.path[:200]}"
        if served := others(head.path):
            exchange.fields.append(_allow(served))
            return WrongMethodError(f"no such endpoint: {asked}; the path takes {', '.join(served)}")
        return NoSuchEndpointError(f"no such endpoint: {asked}")

    async def _is_of_page(self, exchange: Exchange) -> bool:
        """Whether the request was a browser's question about origins, and is answered. Raises ForeignHostError."""
        head, settings = exchange.head, self.settings
        origins.check_host(head.headers, settings.host, settings.allowed_hosts)
        origin = origins.check_origin(head.headers, settings.allowed_origins)
        if origin is None:
            return False
        exchange.fields += origins.cors_headers(origin)
        if head.method != "OPTIONS":
            return False
        await exchange.respond(204, b"")
        return True

    async def _caller(self, exchange: Exchange, route: Route, known: Caller | None) -> Caller:
        """Who asks, and that they may. Raises ClientKeyError, LockedOutError, ScopeError."""
        head, scope = exchange.head, route.scope
        authenticator = self._access.authenticator
        if known is not None:
            caller = authenticator.still(known)
        elif scope == "management":
            if not self.settings.management_key:
                raise ManagementOffError("management is switched off; set management_key to use it")
            authenticator.check_management(head.headers, head.address)
            return Caller(MANAGEMENT_ID, MANAGEMENT_ID, address=head.address)
        elif not scope and (route is not UNKNOWN or head.path.startswith(MANAGEMENT) or _is_open(head.path)):
            return ANONYMOUS
        else:
            scope = scope or "models"
            caller = await authenticator.authenticate(head.headers, head.address, scope)
        if caller.id != MANAGEMENT_ID:
            self._access.authorize.check_scope(caller, scope)
        return caller

    async def _tell(self, exchange: Exchange, route: Route, record: RequestRecord, error: RightseatError) -> None:
        """What went wrong, to the client: in its dialect, and once."""
        record.fail(error, interrupted(error).status if exchange.streaming else status_of(error))
        logger.debug("%s %s %s: %s", exchange.id, record.method, record.path, error)
        dialect = dialect_of(exchange, route)
        try:
            if exchange.streaming:
                await exchange.fail(b"" if getattr(error, "is_told", False) else dialect.error_event(error))
            elif exchange.status is None:
                headers = dialect.error_headers(error, exchange.id)
                await exchange.respond(status_of(error), dialect.error_body(error, exchange.id), headers)
            else:
                exchange.abort()
        except OSError:
            exchange.abort()  # it went in this moment


def _is_open(path: str) -> bool:
    """Whether something is served at a path without a key, by another method."""
    return any(not route.scope for route in others(path).values())


def _allow(served: Mapping[str, Route]) -> tuple[bytes, bytes]:
    """The field that says which methods a path takes (RFC 9110, section 10.2.1)."""
    return b"allow", ", ".join(["HEAD", *served] if "GET" in served else [*served]).encode()


def _told(error: RightseatError | RecursionError) -> RightseatError:
    if isinstance(error, RightseatError):
        return error
    return TooDeepError("the body is nested too deeply", field="body")


def _routed(exchange: Exchange) -> tuple[Route, str]:
    head = exchange.head
    if head.path == "/" and "text/html" in head.headers.get("accept", ""):
        return find("GET", "/ui") or (UNKNOWN, "")
    if (found := find(head.method, head.path)) is not None:
        return found
    return (socket_at(head.path) if "upgrade" in head.headers else UNKNOWN), ""


def dialect_of(exchange: Exchange, route: Route) -> Dialect:
    """The dialect of a request: its route's, else what its headers say.

    The key's header tells nothing: newer Anthropic clients send a bearer.
    """
    if route is UNKNOWN:
        route = next(iter(others(exchange.head.path).values()), route)
    if route.dialect in _DIALECTS:
        return _DIALECTS[route.dialect]
    return MESSAGES if "anthropic-version" in exchange.head.headers else CHAT
