"""A sender that compresses large bodies for servers that take them so."""

from __future__ import annotations

import asyncio
import gzip

import msgspec

from rightseat.transport.http.base import HttpRequest, HttpSender, HttpStream


class CompressingSender:
    """Sends large bodies compressed (gzip, RFC 1952) to servers that take them so.

    A server that answers 415 (RFC 9110, section 15.5.16) gets the same body again as it is, and no compressed one any more.

    Args:
        inner: sends.
        at_least: bytes; a smaller body is not worth it.
    """

    LEVEL = 3  # JSON shrinks to about a sixth here; more costs time and gains little

    def __init__(self, inner: HttpSender, at_least: int = 16 * 1024) -> None:
        self._inner = inner
        self._at_least = at_least
        self._refused: set[str] = set()  # scheme and host

    async def open(self, request: HttpRequest) -> HttpStream:
        """See HttpSender."""
        origin = "/".join(request.url.split("/", 3)[:3])
        if len(request.body) < self._at_least or origin in self._refused or "content-encoding" in request.headers:
            return await self._inner.open(request)
        body = await asyncio.to_thread(gzip.compress, request.body, self.LEVEL)
        headers = {**request.headers, "content-encoding": "gzip"}
        stream = await self._inner.open(msgspec.structs.replace(request, headers=headers, body=body))
        if stream.status != 415:
            return stream
        await stream.aclose()
        self._refused.add(origin)
        return await self._inner.open(request)
