"""`/v1/messages/count_tokens`: how long a request is, estimated on the high side, because clients compact their history by it."""

from __future__ import annotations

from functools import partial

import msgspec

from rightseat.gateway.pipeline.intake import Intake
from rightseat.gateway.request import Request
from rightseat.wire.anthropic.request import estimate_tokens
from rightseat.wire.dialect import Body
from rightseat.wire.dialects import MESSAGES


class CountTokensEndpoint:
    """The endpoint."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def __call__(self, request: Request) -> None:
        """Answer a request. What is wrong is raised."""
        size, body = await self._intake.decoded(request)
        tokens = await self._intake.workers.run(request.exchange.owner, size, partial(_counted, body))
        await request.exchange.respond(200, msgspec.json.encode({"input_tokens": tokens}))


def _counted(body: Body) -> int:
    return estimate_tokens(MESSAGES.decode(body))
