"""Admission: what a call may use is reserved before anybody is asked, and settled once, when its answer is over.

Does not know limits and stores: the desk does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rightseat.chat import Answer, Estimate, Usage
from rightseat.errors import UpstreamError
from rightseat.handler import A, Q, Service
from rightseat.layers.observe import CURRENT

UNKNOWN = Estimate(0, 8192)  # where there is no estimate


class Reserved(Protocol):
    """What a call may use.

    Attributes:
        most: tokens that are reserved for it, what it asks included; None: nothing is.
    """

    @property
    def most(self) -> int | None:
        """See above."""
        ...

    def settle(
        self,
        *,
        usage: Usage | None,
        is_final: bool,
        received: int,
        reached: bool,
        refused: bool = False,
        least: int = 0,
        lost: int = 0,
    ) -> None:
        """The call is over. Does not wait; only the first time counts."""
        ...


class Desk(Protocol):
    """Who decides."""

    async def reserve(self, caller_id: str, estimate: Estimate, /) -> Reserved:
        """Reserve, or raise."""
        ...


class Admit(Struct, frozen=True, kw_only=True):
    """The layer. Outside everything that waits or tries again: all tries are one reservation.

    Attributes:
        desk: who decides.
        tries: how often a call may be made. An estimate has room for a second, failed attempt; for more it is raised.
    """

    desk: Desk
    tries: int = 1

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""
        desk, spare = self.desk, max(0, self.tries - 2)

        async def handler(request: Q) -> A:
            meta = request.meta
            reserved = await desk.reserve(meta.caller, _with_room(meta.estimate or UNKNOWN, spare))
            sent, lost = _Sent(meta.on_sent), _Lost()
            asked: Any = request
            request = msgspec.structs.replace(asked, meta=msgspec.structs.replace(meta, on_sent=sent))
            try:
                answer = await inner(request)
            except BaseException as e:
                # No word of an answer has come. An error in its head has cost nothing; a caller that leaves may have caused much work.
                reached = sent.at_all or _reached(e)
                refused = isinstance(e, UpstreamError)
                reserved.settle(usage=None, is_final=False, received=0, reached=reached, refused=refused, lost=lost())
                raise
            answer.limit = reserved.most
            answer.on_close(lambda _: _settle(reserved, answer, lost()))
            return answer

        return handler


def _with_room(estimate: Estimate, spare: int) -> Estimate:
    if not spare:
        return estimate
    return msgspec.structs.replace(estimate, most=estimate.most + spare * estimate.input_tokens)


class _Sent:
    """Whether anything was sent upstream, at any try."""

    __slots__ = ("_tell", "at_all")

    def __init__(self, tell: Callable[[], None] | None) -> None:
        self.at_all, self._tell = False, tell

    def __call__(self) -> None:
        self.at_all = True
        if self._tell is not None:
            self._tell()


class _Lost:
    """How many tries of this call were lost on the way, from now on."""

    __slots__ = ("_before", "_call")

    def __init__(self) -> None:
        self._call = CURRENT.get()
        self._before = self._call.lost if self._call is not None else 0

    def __call__(self) -> int:
        return self._call.lost - self._before if self._call is not None else 0


def _settle(reserved: Reserved, answer: Answer[Any], lost: int) -> None:
    reserved.settle(
        usage=answer.usage,
        is_final=answer.is_final,
        received=answer.received,
        reached=True,
        least=answer.least,
        lost=lost,
    )


def _reached(error: BaseException) -> bool:
    call = CURRENT.get()
    return bool(getattr(error, "reached", False)) or (call is not None and call.reached)
