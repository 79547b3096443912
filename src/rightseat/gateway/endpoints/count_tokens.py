"""`/v1/messages/count_tokens`, `/v1/responses/input_tokens`: how long a request is, estimated on the high side: clients compact by it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from rightseat.gateway.pipeline.intake import Intake
from rightseat.gateway.request import Request
from rightseat.wire.anthropic.request import estimate_tokens
from rightseat.wire.dialect import Body, Dialect
from rightseat.wire.facts import expressible


class CountTokensEndpoint:
    """The endpoint.

    Args:
        intake: takes bodies in.
        dialect: of the request.
        written: a number of tokens -> the answer.
    """

    def __init__(self, intake: Intake, dialect: Dialect, written: Callable[[int], Body]) -> None:
        self._intake = intake
        self._dialect = dialect
        self._written = written

    async def __call__(self, request: Request) -> None:
        """Answer a request. What is wrong is raised."""
        size, body = await self._intake.decoded(request)
        tokens = await self._intake.workers.run(request.exchange.owner, size, partial(self._counted, body))
        await request.exchange.respond(200, msgspec.json.encode(self._written(tokens)))

    def _counted(self, body: Body) -> int:
        return estimate_tokens(self._dialect.decode(expressible(body, alone=True)[0]))
