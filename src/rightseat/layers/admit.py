"""Admission: what a call may use is reserved before anybody is asked, and settled once, when its answer is over.

Refuses to know limits and stores: the desk does.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from rightseat.chat import Answer, Estimate, Usage
from rightseat.errors import UpstreamError
from rightseat.handler import A, Q, Service
from rightseat.layers.observe import CURRENT, Call

UNKNOWN = Estimate(0, 8192)  # where nobody has reckoned


class Reserved(Protocol):
    """What a call may use."""

    def settle(
        self, *, usage: Usage | None, is_final: bool, received: int, reached: bool, refused: bool = False
    ) -> None:
        """The call is over. Does not wait; only the first time counts."""
        ...


class Desk(Protocol):
    """Who decides."""

    async def reserve(self, caller_id: str, estimate: Estimate, /) -> Reserved:
        """Reserve, or raise."""
        ...


class Admit(Struct, frozen=True, kw_only=True):
    """The layer. Inside `Observe`, whose record says whether upstream was asked, and outside everything that waits or tries again.

    Attributes:
        desk: who decides.
    """

    desk: Desk

    def __call__(self, inner: Service[Q, A]) -> Service[Q, A]:
        """See Layer."""
        desk = self.desk

        async def handler(request: Q) -> A:
            call = CURRENT.get()
            reserved = await desk.reserve(request.meta.caller, request.meta.estimate or UNKNOWN)
            try:
                answer = await inner(request)
            except BaseException as e:
                # No word of an answer has come. An error in its head cost nothing; whoever left may have left much behind.
                refused = isinstance(e, UpstreamError)
                reserved.settle(usage=None, is_final=False, received=0, reached=_reached(call), refused=refused)
                raise
            answer.on_close(lambda _: _settle(reserved, answer, call))
            return answer

        return handler


def _settle(reserved: Reserved, answer: Answer[Any], call: Call | None) -> None:
    reserved.settle(
        usage=answer.usage, is_final=answer.is_final, received=answer.received, reached=_reached(call) or _told(answer)
    )


def _told(answer: Answer[Any]) -> bool:
    return answer.usage is not None or answer.received > 0


def _reached(call: Call | None) -> bool:
    """Whether upstream has been asked; if nobody has looked, it may well have been."""
    return True if call is None else bool(getattr(call, "reached", True))
