"""What connections of the server share, and what they ask of the application. Does not know how bytes become requests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from rightseat.clock import Clock
from rightseat.errors import CallerError, DeclinedError, RightseatError
from rightseat.gateway.http.addresses import neighbourhood
from rightseat.gateway.http.core.answer import last_answer, message_of, refusal
from rightseat.gateway.http.core.head import RefusedError
from rightseat.gateway.http.core.incoming import Incoming
from rightseat.gateway.http.exchange import Exchange, Fields, Head
from rightseat.gateway.http.held import BodyLimits
from rightseat.gateway.http.server_options import Shared
from rightseat.gateway.http.websocket import Socket

_SPARE = 64  # connections beyond the limit that are told so


def _error_of(refused: RefusedError) -> RightseatError:
    """As the application sees it."""
    is_full = refused.status == HTTPStatus.SERVICE_UNAVAILABLE
    kind = DeclinedError if is_full else CallerError
    error: RightseatError = type("HeadRefusedError", (kind,), {"status_hint": refused.status})(
        message_of(refused.status), code=refused.name
    )
    error.retry_after = 1.0 if is_full else None
    return error


class Application(Protocol):
    """What is served.

    Attributes:
        body_limits: of the bodies of requests.
        clock: time.
    """

    @property
    def body_limits(self) -> BodyLimits: ...  # noqa: D102 - see above

    @property
    def clock(self) -> Clock: ...  # noqa: D102

    def request_id(self, given: str) -> str:
        """The id of a request, by what the client gives."""

    def refused(self, head: Head, error: RightseatError) -> tuple[bytes, Fields]:
        """What the client is told of a head that is not taken: a body and fields."""

    async def serve(self, exchange: Exchange) -> None:
        """Answer a request."""

    async def converse(self, socket: Socket) -> None:
        """Serve a WebSocket until it is closed."""


class Connected(Protocol):
    """A connection, as the server sees it.

    Attributes:
        transport: see asyncio.
        is_blind: nothing is read, so that it does not show by itself that the client has left.
    """

    transport: asyncio.Transport

    @property
    def is_blind(self) -> bool: ...  # noqa: D102 - see above

    def close_if_idle(self) -> None:
        """The server ends: what is idle ends now, what is under way after its answer."""


class Core:
    """What the connections of a server share.

    Args:
        app: what is served.
        shared: see Shared.

    Attributes:
        connections: those that are open.
        tasks: what is done for them.
    """

    def __init__(self, app: Application, shared: Shared) -> None:
        self.app, self.shared = app, shared
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connected] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do some work."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def admit(self, peer: str) -> str | None:
        """What a connection counts for, "" for nothing; None: there are too many, of all or of its address."""
        place = "" if not peer or self.shared.proxies.trusts(peer) else neighbourhood(peer)
        too_many = len(self.connections) >= self.shared.options.connections + _SPARE
        return None if too_many or (place and not self.shared.places.take(place)) else place

    def give_place(self, place: str) -> None:
        """It counts no more."""
        if place:
            self.shared.places.give(place)

    def refusal(self, incoming: Incoming, peer: str, refused: RefusedError) -> bytes:
        """The answer to a head that is not taken, which ends the connection. The application sees it like any other request.

        Nobody has asked for anything where not a byte of a head came in time: that is told, but it is no request.
        """
        if refused.name == "head_timeout" and not incoming.has_begun:
            return refusal(refused.status, refused.name)
        judged = incoming.head
        method, path = (judged.method, judged.path) if judged is not None else incoming.asked
        headers = judged.headers if judged is not None else {}
        body, fields = self.app.refused(
            Head(method, path, headers, "", self.address_of(peer, headers)), _error_of(refused)
        )
        return last_answer(refused.status, body, fields)

    def address_of(self, peer: str, headers: Mapping[str, str]) -> str:
        """Where a client is, when a proxy stands between."""
        return self.shared.proxies.client_of(peer, headers)
