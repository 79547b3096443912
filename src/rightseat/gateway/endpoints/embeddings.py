"""`/v1/embeddings`: what OpenAI clients send, made into what Copilot takes, and its numbers into the form the client asked for."""

from __future__ import annotations

import base64
import struct
import time
from typing import Any

import msgspec

from rightseat.backends.base import RelayAnswer, UpstreamRequest
from rightseat.backends.copilot import CopilotBackend
from rightseat.chat import Meta
from rightseat.errors import RightseatError, UpstreamError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.caller import ANONYMOUS
from rightseat.gateway.access.estimate import estimate
from rightseat.gateway.access.refusals import counted
from rightseat.gateway.http.asgi import Request, Send, respond
from rightseat.gateway.observe.request_log import Recent
from rightseat.gateway.pipeline.content import Content
from rightseat.handler import Service
from rightseat.layers.observe import CURRENT
from rightseat.wire.body import BadRequestError, object_with_model
from rightseat.wire.errors import status_of
from rightseat.wire.usage import usage_in

PATH = "/embeddings"


class EmbeddingsFace:
    """The endpoint. Copilot takes a list of texts only, and gives numbers only."""

    def __init__(
        self,
        copilot: CopilotBackend,
        ask: Service[UpstreamRequest, RelayAnswer],
        recent: Recent,
        access: Access,
        content: Content,
    ) -> None:
        self._copilot = copilot
        self._ask = ask
        self._recent = recent
        self._access = access
        self._content = content

    async def __call__(self, request: Request, send: Send, request_id: str) -> None:
        """Answer a request. What is wrong is raised."""
        body, as_base64 = read_body(request.body)
        inspection = counted(self._access.refusals, self._content.inspect, body)
        body = inspection.body
        model = await self._copilot.resolve(body["model"])
        name = model.id if model else body["model"]
        caller = request.caller or ANONYMOUS
        self._access.authorize.check_model(caller, name)
        data = msgspec.json.encode({**body, "model": name})
        entry = self._recent.begin_other(
            "embeddings", name, request_id, dialect="embeddings", key=caller.id, trace=request.trace
        )
        entry.found = inspection.found
        token, grant, failed = CURRENT.set(entry), None, None
        try:
            grant = await self._access.admission.reserve(caller.id, estimate(data, 0))
            meta = Meta(caller=caller.id, request_id=request_id, initiator="user")
            async with await self._ask(UpstreamRequest(PATH, data, name, meta=meta)) as upstream:
                entry.account, entry.head_at = upstream.account, time.monotonic()
                answer = await upstream.read()
            entry.note(usage_in(answer))
            answer = in_base64(answer) if as_base64 else answer
            await respond(send, 200, answer, [(b"x-request-id", request_id.encode())])
        except BaseException as e:
            entry.fail(e, status_of(e) if isinstance(e, RightseatError) else None)
            failed = e
            raise
        finally:
            CURRENT.reset(token)
            if grant is not None:
                grant.settle(
                    usage=entry.usage,
                    is_final=failed is None,
                    received=0,
                    reached=entry.head_at is not None or getattr(failed, "reached", True),
                    refused=isinstance(failed, UpstreamError) and entry.head_at is None,
                )
            entry.end()


def read_body(data: bytes) -> tuple[dict[str, Any], bool]:
    """The request as Copilot takes it, and whether the client wants base64.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    body = object_with_model(data)
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequestError.at("input", "must be text or a list of texts; lists of tokens are not taken by Copilot")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise BadRequestError.at("encoding_format", "must be float or base64")
    return {
        **{name: value for name, value in body.items() if name != "encoding_format"},
        "input": texts,
    }, form == "base64"


def in_base64(answer: bytes) -> bytes:
    """The same answer with each vector as base64 of little-endian 32-bit floats (OpenAI's encoding_format=base64)."""
    try:
        body = msgspec.json.decode(answer)
        for item in body["data"]:
            vector = item["embedding"]
            item["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, struct.error) as e:
        raise UpstreamError(502, "Copilot gave no embeddings") from e
    return msgspec.json.encode(body)
