"""One more try with less: without encrypted reasoning that another account or model cannot read, or without a field that is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import msgspec

from rightseat.backends.base import UpstreamRequest
from rightseat.chat import Answer, ChatRequest
from rightseat.errors import UpstreamError
from rightseat.gateway.pipeline.body_workers import BodyWorkers
from rightseat.gateway.pipeline.refused_fields import Field, RefusedFields, refused_field, without
from rightseat.handler import Service
from rightseat.log import logger
from rightseat.wire.dialect import Dialect

Q = TypeVar("Q", UpstreamRequest, ChatRequest)
A = TypeVar("A", bound=Answer[Any])

_SIGNS = ("encrypted", "signature", "reasoning_opaque", "compaction blob")


class SecondTry:
    """Asks, and asks once more if that can help.

    Args:
        workers: large bodies are changed by them.
    """

    def __init__(self, workers: BodyWorkers) -> None:
        self._workers = workers
        self._refused = RefusedFields()

    async def ask(
        self, service: Service[Q, A], request: Q, dialect: Dialect, owner: str, note: Callable[[str], None]
    ) -> A:
        """The answer.

        Args:
            service: answers.
            request: what is asked.
            dialect: of upstream.
            owner: the caller, for whom large bodies are worked on.
            note: is told what was left out.

        Raises:
            As `service` does.
        """
        if fields := self._refused.of(request.model):
            request = await self._changed(request, owner, lambda: _without_fields(request, fields, note))
        try:
            return await service(request)
        except UpstreamError as e:
            change = self._change(request, e, dialect, note)
            if change is None:
                raise
            logger.warning("%s: sent again with less: %s", request.meta.request_id, e)
        return await service(await self._changed(request, owner, change))

    async def _changed(self, request: Q, owner: str, change: Callable[[], Q]) -> Q:
        size = len(request.body) if isinstance(request, UpstreamRequest) else 0
        return await self._workers.run(owner, size, change)

    def _change(
        self, request: Q, error: UpstreamError, dialect: Dialect, note: Callable[[str], None]
    ) -> Callable[[], Q] | None:
        """What could help against an error; None: nothing."""
        if _about_reasoning(error):
            note("encrypted reasoning")
            return partial(without_reasoning, request, dialect)
        field = refused_field(error)
        if field is None or _without_fields(request, (field,), lambda _: None) is request:
            return None
        self._refused.add(request.model, field)
        return lambda: _without_fields(request, (field,), note)


def _without_fields(request: Q, fields: tuple[Field, ...], note: Callable[[str], None]) -> Q:
    """The same request without fields; the very same one where it has none of them."""
    if isinstance(request, UpstreamRequest):
        body = request.body
        found = [field for field in fields if without(body, (field,)) is not body]
        changed: dict[str, object] = {"body": without(body, fields)}
    else:
        found = [field for field in fields if len(field) == 1 and field[0] in request.extra]
        changed = {"extra": {name: value for name, value in request.extra.items() if (name,) not in found}}
    for field in found:
        note(".".join(field))
    return msgspec.structs.replace(request, **changed) if found else request


def without_reasoning(request: Q, dialect: Dialect) -> Q:
    """The same request without encrypted reasoning."""
    if isinstance(request, UpstreamRequest):
        body = dialect.without_reasoning(msgspec.json.decode(request.body))
        return msgspec.structs.replace(request, body=msgspec.json.encode(body))
    messages = tuple(msgspec.structs.replace(m, reasoning="", reasoning_opaque="") for m in request.messages)
    return msgspec.structs.replace(request, messages=messages)


def _about_reasoning(error: UpstreamError) -> bool:
    """A 400 because something was encrypted for another account or model."""
    text = f"{error.code} {error.message[:2000]}".lower()
    return error.status == 400 and any(sign in text for sign in _SIGNS)
