"""Layers that inject faults, to test how code handles them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from msgspec import Struct

from rightseat.errors import ConnectionLostError
from rightseat.handler import A, Q, Service


class Slow(Struct, frozen=True):
    """Each call takes longer.

    Attributes:
        seconds: so much, or a function that says how much.
    """

    seconds: float | Callable[[], float]

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""

        async def handler(request: Q) -> A:
            await asyncio.sleep(self.seconds() if callable(self.seconds) else self.seconds)
            return await inner(request)

        return handler


class Fail(Struct, frozen=True):
    """Some calls fail before they are made.

    Attributes:
        error: makes the error.
        rate: from 0 to 1; so many of the calls.
        chance: random numbers from 0 to 1.
    """

    error: Callable[[], BaseException]
    rate: float = 1.0
    chance: Callable[[], float] = random.random

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""

        async def handler(request: Q) -> A:
            if self.chance() < self.rate:
                raise self.error()
            return await inner(request)

        return handler


class Hang(Struct, frozen=True):
    """Some calls are never answered."""

    rate: float = 1.0
    chance: Callable[[], float] = random.random

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""

        async def handler(request: Q) -> A:
            if self.chance() < self.rate:
                await asyncio.get_running_loop().create_future()
            return await inner(request)

        return handler


class Cut(Struct, frozen=True):
    """Some answers break off.

    Attributes:
        after: so many pieces come through.
        rate: from 0 to 1; so many of the answers.
        error: makes the error; None: the answer hangs instead.
        chance: random numbers from 0 to 1.
    """

    after: int = 1
    rate: float = 1.0
    error: Callable[[], BaseException] | None = lambda: ConnectionLostError("the answer was cut off")
    chance: Callable[[], float] = random.random

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""

        async def handler(request: Q) -> A:
            answer = await inner(request)
            if self.chance() < self.rate:
                answer.through(self._cut)
            return answer

        return handler

    async def _cut(self, pieces: AsyncIterator[object]) -> AsyncIterator[Any]:
        left = self.after
        async for piece in pieces:
            if left <= 0:
                break
            left -= 1
            yield piece
        if self.error is None:
            await asyncio.get_running_loop().create_future()
        else:
            raise self.error()
