"""The protocol of backends: the Copilot API, a compatible server, the CLI, a double for tests.

The facade and the gateway know a backend by this alone. It does not know who asks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
from msgspec import Struct

from rightseat.accounts.selection import Candidate
from rightseat.accounts.store import Account
from rightseat.backends.registry import Registry
from rightseat.chat import Answer, ChatRequest, Meta, Reply
from rightseat.chat.message import USUAL
from rightseat.errors import ConnectionLostError
from rightseat.transport.http.base import CUT, HttpStream, joined

_BYTES_A_TOKEN = 4  # about; of an answer that broke off before it told
_HELD_FREELY = 64 * 1024  # bytes of an answer that are kept without being counted


class UpstreamRequest(Struct, frozen=True):
    """A body that is posted as it is.

    Attributes:
        path: below the API's address, such as "/chat/completions".
        body: JSON.
        model: the model's id.
        vision: the request holds an image.
        stream: the answer shall be an event stream.
        intent: what it is for, in the words that editors send.
        meta: who began it, its id, its conversation; see Meta.
    """

    path: str
    body: bytes
    model: str
    vision: bool = False
    stream: bool = False
    intent: str = "conversation-panel"
    meta: Meta = USUAL


class RelayAnswer(Answer[bytes]):
    """The bytes of an answer as they come.

    Args:
        pieces: the body.
        close: see Answer.
        status: the HTTP status.
        headers: names in any case, looked up in lower case.
        account: the account that answers, for logs; "" if there is none.
        framed: see HttpStream.
        source: what `pieces` come from, for a caller that lets it push them instead; None: they can only be pulled.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]] | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        account: str = "",
        framed: bool = True,
        source: HttpStream | None = None,
    ) -> None:
        super().__init__(pieces, close)
        self.source = source
        self.status = status
        self.headers: Mapping[str, str] = headers if headers is not None else {}
        self.account = account
        self._framed = framed
        self._untaken = b""

    @property
    def is_json(self) -> bool:
        """The body is one JSON value, says its head."""
        return "json" in self.headers.get("content-type", "")

    @property
    def is_stream(self) -> bool:
        """The body is a stream of events, says its head."""
        return "event-stream" in self.headers.get("content-type", "")

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            ConnectionLostError: it was cut off, or it ended with the connection and is no whole JSON. HttpTimeoutError: it stopped.
            What `hold` raises: there is no room for it.
        """
        data = await joined(self._counted(), "the answer")
        if not self._framed and self.is_json:
            _check_complete(data)
        return data

    def untaken(self) -> bytes:
        """What has come and nobody has read, also of an answer that was closed: it was paid for, so it is counted. Once."""
        self._keep_untaken()
        kept, self._untaken = self._untaken, b""
        return kept

    async def aclose(self) -> None:
        """See Answer."""
        self._keep_untaken()
        await super().aclose()

    def _keep_untaken(self) -> None:
        if self.source is not None:
            self._untaken += self.source.untaken()

    async def _counted(self) -> AsyncIterator[bytes]:
        """The pieces, reckoned as they come: the rest may never do."""
        size = 0
        try:
            async for piece in self:
                size += len(piece)
                self.received = -(-size // _BYTES_A_TOKEN)
                if self.hold is not None and size > _HELD_FREELY:
                    self.hold(len(piece))
                yield piece
        finally:
            self.received = -(-(size + len(self.untaken())) // _BYTES_A_TOKEN)


class Readiness(Struct, frozen=True):
    """Whether requests can be served now.

    Attributes:
        reasons: why not; empty: they can. They may name accounts and addresses, so they are for the operator.
        public: the same for anybody: no account and no address is named.
        problems: what is wrong although requests are served, such as a store that cannot be written; they may name places.
        public_problems: the same for anybody.
    """

    reasons: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    public_problems: tuple[str, ...] = ()


class Backend(Protocol):
    """Who answers.

    Every error that `relay` and `handle` raise says by `reached` whether anything was sent; `meta.on_sent` is called right before.
    """

    async def models(self) -> Registry:
        """The models that can be asked. The last list that was got, while a new one cannot be."""
        ...

    async def relay(self, request: UpstreamRequest) -> RelayAnswer:
        """Post a body, and pass on what comes back. Returns when the head is there.

        Raises:
            UpstreamError: the answer is an HTTP error. TransportError: there is none.
            NotLoggedInError, LoginError: there is no account to ask as.
        """
        ...

    async def handle(self, request: ChatRequest) -> Reply:
        """Answer a request, event by event; see Handler. Raises as `relay` does, and BadRequestError: it cannot be expressed."""
        ...

    async def readiness(self) -> Readiness:
        """Whether it can answer now: asks for what a request would need, and waits for a few seconds at most."""
        ...

    async def aclose(self) -> None:
        """Stop what is under way in the background."""
        ...


class AccountBackend(Backend, Protocol):
    """A backend that asks as one of several accounts: what management and metrics see of it."""

    def accounts(self) -> list[tuple[Account, Candidate]]:
        """The accounts and what is known of their health, as they were last read."""
        ...

    def problems(self) -> tuple[str, ...]:
        """What was wrong with the account store when it was last read, for the operator."""
        ...

    def reload(self) -> None:
        """The accounts have changed: they are read again before the next request."""
        ...

    async def look(self) -> None:
        """Read the accounts now."""
        ...

    async def refresh(self, name: str) -> None:
        """Fetch a new token for an account. Raises KeyError: there is none of that name; LoginError, UpstreamError, TransportError."""
        ...


def _check_complete(data: bytes) -> None:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        lost = ConnectionLostError("the connection ended in the middle of a JSON body without a length", public=CUT)
        lost.reached = True
        raise lost from e
