"""From the body of a request to what may go on: read, decoded within limits, looked through for secrets, its model found and allowed."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from rightseat.backends.registry import Model
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.refusals import counted
from rightseat.gateway.http.body import decode_body
from rightseat.gateway.pipeline.content import Content, Inspection
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request
from rightseat.masking import mask
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Body

_NAME_CHARS = 200  # of the name of a model, as it is shown
_OFF_LOOP = 64 * 1024  # bytes; larger bodies are looked through in a thread


class Taken(Struct, frozen=True):
    """A body that may go on.

    Attributes:
        raw: its bytes.
        body: the same, decoded.
        model: the model that is meant; None: unknown, because not logged in yet.
        inspection: what it holds.
    """

    raw: bytes
    body: Body
    model: Model | None
    inspection: Inspection

    @property
    def name(self) -> str:
        """The model's id."""
        return self.model.id if self.model is not None else str(self.body["model"])


class Intake:
    """Takes bodies in.

    Args:
        upstream: knows the models.
        content: what may be said.
        access: who may ask for what.
        max_messages, max_tools: of one request.
    """

    def __init__(self, upstream: Upstream, content: Content, access: Access, max_messages: int, max_tools: int) -> None:
        self._upstream = upstream
        self._content = content
        self._access = access
        self._limits = (max_messages, max_tools)

    async def take(self, request: Request) -> Taken:
        """The body of a request, and the model that it names.

        Raises:
            BadRequestError: it cannot be read, naming the field. ContentBlockedError: it holds what does not leave here.
            UpstreamError: there is no such model. ScopeError: the key may not use it.
        """
        raw, body = await self._read(request)
        name = _name_in(body)
        record = request.record
        record.asked_for = mask(
            name, limit=_NAME_CHARS
        )  # whatever a client has put there: it is kept, logged and traced
        inspection = await self._inspected(raw, body)
        if inspection.changed:
            body, raw = inspection.body, msgspec.json.encode(inspection.body)
        record.found, record.suspect = inspection.found, inspection.suspect
        model = await self._upstream.model(name)
        taken = Taken(raw, body, model, inspection)
        record.model = record.asked_for if model is None else taken.name
        self._access.authorize.check_model(request.caller, taken.name)
        return taken

    async def decoded(self, request: Request) -> Body:
        """The body of a request that names a model and goes nowhere. Raises BadRequestError."""
        _, body = await self._read(request)
        _name_in(body)
        return body

    async def _read(self, request: Request) -> tuple[bytes, Body]:
        raw = await request.exchange.body()
        return raw, await decode_body(raw, *self._limits, request.exchange.hold)

    async def _inspected(self, raw: bytes, body: Body) -> Inspection:
        refusals = self._access.refusals
        if len(raw) < _OFF_LOOP:
            return counted(refusals, self._content.inspect, body)
        return await asyncio.to_thread(counted, refusals, self._content.inspect, body)


def _name_in(body: Body) -> str:
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise BadRequestError.at("model", "must be the name of a model")
    return name
