"""`/v1/embeddings`: what OpenAI clients send, made into what Copilot takes, and its numbers into the form the client asked for."""

from __future__ import annotations

import base64
import struct
from functools import partial

import msgspec

from rightseat.backends.base import UpstreamRequest
from rightseat.chat import Meta
from rightseat.errors import UpstreamError
from rightseat.gateway.access.estimate import estimate
from rightseat.gateway.pipeline.intake import Intake
from rightseat.gateway.pipeline.upstream import Upstream
from rightseat.gateway.request import Request
from rightseat.wire.body import BadRequestError
from rightseat.wire.dialect import Body
from rightseat.wire.usage import usage_in

PATH = "/embeddings"


class EmbeddingsEndpoint:
    """The endpoint. Copilot takes a list of strings only, and gives numbers only."""

    def __init__(self, upstream: Upstream, intake: Intake) -> None:
        self._upstream = upstream
        self._intake = intake

    async def __call__(self, request: Request) -> None:
        """Answer a request. What is wrong is raised."""
        taken = await self._intake.take(request)
        body, as_base64 = sent_body(taken.body)
        request.record.upstream = "embeddings"
        workers, owner = self._intake.workers, request.exchange.owner
        data = await workers.run(owner, len(taken.raw), partial(msgspec.json.encode, {**body, "model": taken.name}))
        meta = Meta(
            caller=request.caller.id,
            request_id=request.id,
            estimate=estimate(len(data), 0),
            initiator="user",
            on_sent=request.record.sent,
        )
        async with await self._upstream.relay(UpstreamRequest(PATH, data, taken.name, meta=meta)) as answer:
            answer.hold = request.exchange.hold
            try:
                given = await answer.read()
            finally:
                answer.received = 0  # numbers cost nothing
            answer.usage = await workers.run(owner, len(given), partial(usage_in, given))
            answer.is_final = answer.usage is not None
            said = await workers.run(owner, len(given), partial(said_body, given, as_base64=as_base64))
        await request.exchange.respond(200, said, [(b"x-request-id", request.id.encode())])


def sent_body(body: Body) -> tuple[Body, bool]:
    """The request as Copilot takes it, and whether the client wants base64.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequestError.at(
            "input", "must be a string or a list of strings; lists of tokens are not taken by Copilot"
        )
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise BadRequestError.at("encoding_format", "must be float or base64")
    kept = {name: value for name, value in body.items() if name != "encoding_format"}
    return {**kept, "input": texts}, form == "base64"


def said_body(answer: bytes, *, as_base64: bool) -> bytes:
    """The answer as the client wants it. Raises UpstreamError: it is none, or cut off."""
    numbers = checked(answer)
    return in_base64(numbers) if as_base64 else answer


def checked(answer: bytes) -> Body:
    """The answer as it was decoded. Raises UpstreamError: it is none, or cut off."""
    try:
        body = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UpstreamError(502, "Copilot gave no embeddings") from e
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise UpstreamError(502, "Copilot gave no embeddings")
    return body


def in_base64(body: Body) -> bytes:
    """The same answer with each vector as base64 of little-endian 32-bit floats (OpenAI's encoding_format=base64)."""
    try:
        for item in body["data"]:
            vector = item["embedding"]
            item["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (KeyError, TypeError, struct.error) as e:
        raise UpstreamError(502, "Copilot gave no embeddings") from e
    return msgspec.json.encode(body)
