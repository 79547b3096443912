"""The intake of a request: read the body, decode it within limits, screen it for secrets, find its model and check that it is allowed."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Struct

from rightseat.backends.registry import Model
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.access.refusals import counted
from rightseat.gateway.http.body import decode_body
from rightseat.gateway.pipeline.body_workers import BodyWorkers
from rightseat.gateway.pipeline.content import Content, Inspection
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request
from rightseat.masking import mask_short
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Body

_NAME_CHARS = 256  # of a model; what is longer is noted nowhere
# Members of which something depends here: who may ask, what it costs, what is looked through.
_DECIDING = frozenset(
    {
        "generate", "input", "instructions", "max_completion_tokens", "max_output_tokens", "max_tokens", "messages", "model", "n", "prompt",
        "stream", "stream_options", "system", "thinking", "tools",
    }
)  # fmt: skip


class Taken(Struct, frozen=True):
    """A body that passed the checks.

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

    Attributes:
        workers: where work on large bodies is done.
    """

    def __init__(self, upstream: Upstream, content: Content, access: Access, max_messages: int, max_tools: int) -> None:
        self._upstream = upstream
        self._content = content
        self._access = access
        self._limits = (max_messages, max_tools)
        self.workers = BodyWorkers()

    async def take(self, request: Request) -> Taken:
        """The body of a request, and the model that it names.

        Raises:
            BadRequestError: it cannot be read, naming the field. ContentBlockedError: it holds what does not leave here.
            UpstreamError: there is no such model. ScopeError: the key may not use it.
        """
        raw, body = await self._read(request)
        name = _name_in(body)
        record = request.record
        # Whatever a client has put there: it is kept, logged and traced.
        record.asked_for = mask_short(name)
        owner = request.exchange.owner
        _check_names(body)
        exact = self._content.is_strict or _is_restricted(request.caller)
        raw, inspection = await self.workers.run(owner, len(raw), partial(self._inspected, raw, body, exact=exact))
        body = inspection.body
        record.found, record.suspect = inspection.found, inspection.suspect
        return Taken(raw, body, await self.model(name, request), inspection)

    async def model(self, name: str, request: Request) -> Model | None:
        """The model that answers a request, which is noted; None: unknown, because not logged in yet.

        Raises:
            UpstreamError: there is no such model. ScopeError: the key may not use it.
        """
        model = await self._upstream.model(name)
        request.record.model = request.record.asked_for if model is None else model.id
        self._access.authorize.check_model(request.caller, name if model is None else model.id)
        return model

    async def decoded(self, request: Request) -> tuple[int, Body]:
        """The size and the body of a request that names a model and goes nowhere. Raises BadRequestError."""
        raw, body = await self._read(request)
        _name_in(body)
        return len(raw), body

    async def _read(self, request: Request) -> tuple[bytes, Body]:
        raw = await request.exchange.body()
        return raw, await decode_body(raw, *self._limits, request.exchange.hold)

    def _inspected(self, raw: bytes, body: Body, *, exact: bool) -> tuple[bytes, Inspection]:
        """What a body holds, and its bytes. `exact`: nothing is in them that is not in the decoded body, such as a name that stands twice."""
        inspection = counted(self._access.refusals, self._content.inspect, body)
        return (msgspec.json.encode(inspection.body) if inspection.changed or exact else raw), inspection


def _name_in(body: Body) -> str:
    name = body.get("model")
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_CHARS:
        raise BadRequestError.at("model", "must be the name of a model")
    return name


def _check_names(body: Body) -> None:
    """A server that ignores case would take `Model` for `model`, and another model than the one that was checked. Raises BadRequestError."""
    for name in body:
        if name not in _DECIDING and (meant := name[:_NAME_CHARS].casefold()) in _DECIDING:
            raise BadRequestError.at(name[:_NAME_CHARS], f"must be written {meant!r}")


def _is_restricted(caller: Caller) -> bool:
    """Whether models or tokens are limited for a caller: what is checked must be what upstream reads."""
    return caller.key is not None and bool(caller.key.models or caller.key.limits_tokens)
