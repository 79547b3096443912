"""`/v1/messages/count_tokens`: how long a request is, estimated on the high side, because clients compact their history by it."""

from __future__ import annotations

import msgspec

from rightseat.gateway.http.asgi import Request, Send, respond
from rightseat.wire.anthropic.request import decode_request, estimate_tokens
from rightseat.wire.body import object_with_model


async def count_tokens(request: Request, send: Send) -> None:
    """Answer a request. What is wrong is raised."""
    tokens = estimate_tokens(decode_request(object_with_model(request.body)))
    await respond(send, 200, msgspec.json.encode({"input_tokens": tokens}))
