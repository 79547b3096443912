"""The seam of whoever answers: the Copilot API, a compatible server, the CLI, a double for tests.

The facade and the gateway know a backend by this alone. It refuses to know who asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from rightseat.backends.registry import Registry
from rightseat.chat import Answer, ChatRequest, Meta, Reply
from rightseat.chat.message import USUAL


class UpstreamRequest(Struct, frozen=True):
    """A body that is posted as it is.

    Attributes:
        path: below the API's address, such as "/chat/completions".
        body: JSON.
        model: the model's id.
        vision: the request holds an image.
        stream: the answer shall be an event stream.
        intent: what it is for, as editors tell it.
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

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        account: who answers, for logs; "" for nobody in particular.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    account: str = ""


class Readiness(Struct, frozen=True):
    """Whether requests can be served now.

    Attributes:
        reasons: why not; empty: they can. They may name accounts and addresses, so they are for whoever runs this.
        public: the same for anybody: no account and no address is named.
    """

    reasons: tuple[str, ...] = ()
    public: tuple[str, ...] = field(default=())


class Backend(Protocol):
    """Who answers."""

    async def models(self) -> Registry:
        """The models that can be asked. The last list that was got, while a new one cannot be."""
        ...

    async def relay(self, request: UpstreamRequest) -> RelayAnswer:
        """Post a body, and pass on what comes back. Returns when the head is there.

        Raises:
            UpstreamError: the answer is an HTTP error. TransportError: there is none.
            NotLoggedInError, LoginError: there is nobody to ask as.
        """
        ...

    async def handle(self, request: ChatRequest) -> Reply:
        """Answer a request, event by event; see Handler. Raises as `relay` does, and BadRequestError: it cannot be expressed."""
        ...

    async def readiness(self) -> Readiness:
        """Whether it can answer now: asks for what a request would need, and waits for a few seconds at most."""
        ...
