"""`/v1/responses`, where it asks for a compaction, and `/v1/responses/compact`: one request to the model, answered as an item of kind `compaction`.

Copilot has no `/responses/compact`. Models that it serves over `/responses` compact by themselves when a trigger is the last item; all others
are asked for a summary. What comes back is held as a whole, so that no part of it is ever relayed. A client that asks by a trigger gets
exactly one item, because Codex takes no more; `/responses/compact` gives all.
"""

from __future__ import annotations

from functools import partial

import msgspec

from rightseat.backends.fitting import dialect_for
from rightseat.chat import Meta
from rightseat.errors import UpstreamError
from rightseat.gateway.endpoints.conversation import ConversationEndpoint, Conversing
from rightseat.gateway.pipeline.intake import Taken
from rightseat.gateway.pipeline.plan import Plan, plan
from rightseat.gateway.pipeline.response import envelope_of
from rightseat.gateway.request import Request
from rightseat.ids import SYSTEM_IDS
from rightseat.json_types import JsonObject
from rightseat.wire.dialects import RESPONSES
from rightseat.wire.initiator import SAID, Began
from rightseat.wire.openai_responses import compaction
from rightseat.wire.openai_responses.read import usage_of_response

_HEADERS = {"x-interaction-type": "conversation-compaction"}  # as editors send it


class ResponsesEndpoint(ConversationEndpoint):
    """`/v1/responses`."""

    def __init__(self, shared: Conversing) -> None:
        super().__init__(RESPONSES, shared)

    async def _answer(self, taken: Taken, request: Request) -> None:
        if not compaction.is_asked(taken.body):
            await super()._answer(taken, request)
            return
        await self._compact(taken, request)

    async def _compact(self, taken: Taken, request: Request) -> None:
        """Ask the model, and answer."""
        workers, owner = self._shared.intake.workers, request.exchange.owner
        native, made, meta = await workers.run(owner, len(taken.raw), partial(self._compaction, taken, request))
        self._note(made, request)
        fields, spoken = self._fields(made, request), self._content_log(made, request)
        asked = await self._ask(made, meta, request, fields)
        async with asked.answer:
            if not self._streams(made):
                said = self._told(await asked.whole(), made, native=native)
                await request.exchange.respond(200, said, fields)
            else:
                shared, head = self._shared, [(b"cache-control", b"no-cache"), *fields]
                async with request.exchange.stream(head, made.client.ping, shared.ping_seconds) as write:
                    said = self._told(await asked.whole(), made, native=native)
                    await write(said)
        if spoken is not None:
            spoken.hear(said)
            spoken.end()

    def _streams(self, made: Plan) -> bool:
        return made.wants_stream

    def _compaction(self, taken: Taken, request: Request) -> tuple[bool, Plan, Meta]:
        """Whether the model compacts by itself, and what it is asked. Raises BadRequestError."""
        RESPONSES.check(taken.body)
        native = dialect_for(taken.model, RESPONSES) is RESPONSES
        body = compaction.native_request(taken.body) if native else compaction.summary_request(taken.body)
        options = self._shared.options
        # A blob cannot be read; a summary is an answer like any other.
        reads = options.read_answers and not native
        options = msgspec.structs.replace(options, drop_tools=True, read_answers=reads)
        asked = msgspec.structs.replace(taken, body=body, raw=msgspec.json.encode(body))
        made = plan(RESPONSES, asked, options, request.headers)
        if made.began.because != SAID:
            made = msgspec.structs.replace(made, began=Began("agent", "compaction"))
        meta = self._meta(made, asked, request)
        meta = msgspec.structs.replace(meta, headers={**meta.headers, **_HEADERS})
        return native, msgspec.structs.replace(made, body=taken.body, is_agents=True), meta

    def _told(self, data: bytes, made: Plan, *, native: bool) -> bytes:
        """The answer for the client. Raises UpstreamError: the model has made nothing."""
        response = msgspec.json.decode(data)
        items = compaction.compacted(response) if native else compaction.summarized(response, f"cmp_{SYSTEM_IDS.hex()}")
        if not items:
            problem = "the model gave no compaction" if native else "the model wrote no summary"
            raise UpstreamError(502, problem, code="invalid_answer")
        return self._written(items, response, made)

    def _written(self, items: list[JsonObject], response: JsonObject, made: Plan) -> bytes:
        return compaction.encoded(items[-1:], usage_of_response(response), envelope_of(made))


class CompactEndpoint(ResponsesEndpoint):
    """`/v1/responses/compact`: the conversation that takes the place of the whole one."""

    async def _answer(self, taken: Taken, request: Request) -> None:
        compaction.is_asked(taken.body)
        await self._compact(taken, request)

    def _streams(self, made: Plan) -> bool:  # noqa: ARG002 - it never does
        return False

    def _written(self, items: list[JsonObject], response: JsonObject, made: Plan) -> bytes:
        return compaction.window(made.body, items, usage_of_response(response), envelope_of(made))
