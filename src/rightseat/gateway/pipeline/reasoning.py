"""One more try without encrypted reasoning: another account or another model cannot read it, and refuses the whole request."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

import msgspec

from rightseat.backends.base import UpstreamRequest
from rightseat.chat import Answer, ChatRequest
from rightseat.errors import UpstreamError
from rightseat.gateway.pipeline.body_workers import BodyWorkers
from rightseat.handler import Service
from rightseat.log import logger
from rightseat.wire.dialect import Dialect

Q = TypeVar("Q", UpstreamRequest, ChatRequest)
A = TypeVar("A", bound=Answer[Any])

_SIGNS = ("encrypted", "signature", "reasoning_opaque")


async def asked_again(service: Service[Q, A], request: Q, dialect: Dialect, workers: BodyWorkers, owner: str) -> A:
    """Ask; a refusal because of encrypted reasoning is met once by leaving it out, by `workers` for the owner. Raises as `service` does."""
    try:
        return await service(request)
    except UpstreamError as e:
        if not _about_reasoning(e):
            raise
        logger.warning("%s: sent again without encrypted reasoning: %s", request.meta.request_id, e)
    size = len(request.body) if isinstance(request, UpstreamRequest) else 0
    return await service(await workers.run(owner, size, partial(without_reasoning, request, dialect)))


def without_reasoning(request: Q, dialect: Dialect) -> Q:
    """The same request without encrypted reasoning."""
    if isinstance(request, UpstreamRequest):
        body = dialect.without_reasoning(msgspec.json.decode(request.body))
        return msgspec.structs.replace(request, body=msgspec.json.encode(body))
    messages = tuple(msgspec.structs.replace(m, reasoning="", reasoning_opaque="") for m in request.messages)
    return msgspec.structs.replace(request, messages=messages)


def _about_reasoning(error: UpstreamError) -> bool:
    """A 400 because reasoning was encrypted for another account or model."""
    text = f"{error.code} {error.message[:2000]}".lower()
    return error.status == 400 and any(sign in text for sign in _SIGNS)
