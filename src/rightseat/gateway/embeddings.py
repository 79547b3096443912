"""`/v1/embeddings`: what OpenAI clients send, made into what Copilot takes, and its numbers into the form the client asked for."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec

from rightseat.chat import Meta
from rightseat.errors import UpstreamError
from rightseat.gateway.asgi import Request, Send, respond
from rightseat.handler import Service
from rightseat.upstream.copilot import Ask, Copilot, Counted
from rightseat.upstream.handler import resolve
from rightseat.wire.body import BadRequestError, object_with_model

PATH = "/embeddings"


class EmbeddingsFace:
    """The endpoint. Copilot takes a list of texts only, and gives numbers only."""

    def __init__(self, copilot: Copilot, ask: Service[Ask, Counted]) -> None:
        self._copilot = copilot
        self._ask = ask

    async def __call__(self, request: Request, send: Send, request_id: str) -> None:
        """Answer a request. What is wrong is raised."""
        body, as_base64 = read_body(request.body)
        model = await resolve(self._copilot, body["model"])
        name = model.id if model else body["model"]
        data = msgspec.json.encode({**body, "model": name})
        upstream = await self._ask(Ask(PATH, data, name, "user", meta=Meta(request_id=request_id)))
        try:
            answer = await upstream.read()
        finally:
            await upstream.aclose()
        await respond(send, 200, in_base64(answer) if as_base64 else answer, [(b"x-request-id", request_id.encode())])


def read_body(data: bytes) -> tuple[dict[str, Any], bool]:
    """The request as Copilot takes it, and whether the client wants base64.

    Raises:
        BadRequestError: naming the field that is wrong.
    """
    body = object_with_model(data)
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequestError("input: must be text or a list of texts; lists of tokens are not taken by Copilot")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise BadRequestError("encoding_format: must be float or base64")
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
