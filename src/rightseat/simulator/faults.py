"""Faults in the bytes of an answer: cut off, garbled, or never going on. A script asks for them; see `script`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from msgspec import Struct

from rightseat.chat import ModelEvent, Reply
from rightseat.simulator.asgi_types import Send


class SimulatedCutError(ConnectionResetError):
    """The answer is cut off here: the server drops the connection."""


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong with the body of an answer.

    Attributes:
        cut: the connection is dropped after so many bytes.
        end: the body ends after so many bytes, as if that were all.
        garbage: this text comes first.
        hang: after so many bytes nothing comes any more.
    """

    cut: int | None = None
    end: int | None = None
    garbage: str = ""
    hang: int | None = None

    @property
    def limit(self) -> int | None:
        """How many bytes come through."""
        given = [n for n in (self.cut, self.end, self.hang) if n is not None]
        return min(given) if given else None

    def wrap(self, send: Send) -> Callable[[bytes], Awaitable[None]]:
        """A function that sends pieces of a body until the fault strikes."""
        sent = 0
        over = False
        begin = self.garbage.encode()

        async def out(piece: bytes) -> None:
            nonlocal sent, over, begin
            if over:
                return
            piece, begin = begin + piece, b""
            limit = self.limit
            if limit is not None and sent + len(piece) >= limit:
                over, piece = True, piece[: limit - sent]
            sent += len(piece)
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            if over and self.hang is not None:
                await asyncio.Event().wait()  # until the client has had enough
            if over and self.cut is not None:
                raise SimulatedCutError

        return out

    async def send(
        self, send: Send, answer: Callable[..., Awaitable[None]], headers: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """A whole body, with the fault in it."""
        if self == Fault():
            await answer(send, 200, body, headers)
            return
        headers = [(b"content-type", b"application/json"), *headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.wrap(send)(body)
        await send({"type": "http.response.body", "body": b""})


class FaultyReply(Reply):
    """An answer with a fault in its bytes."""

    def __init__(self, events: AsyncIterator[ModelEvent], fault: Fault) -> None:
        super().__init__(events)
        self.fault = fault
