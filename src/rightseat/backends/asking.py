"""What both HTTP backends share: sending a request, and knowing whether anything was sent.

Does not know accounts and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rightseat.backends.refusals import error_of
from rightseat.chat import Meta
from rightseat.clock import Clock
from rightseat.errors import RightseatError
from rightseat.transport.http.base import HttpStream


class Sent:
    """Whether anything of a request was sent, over all its tries.

    Args:
        meta: whose `on_sent` is called.
    """

    __slots__ = ("_tell", "happened")

    def __init__(self, meta: Meta) -> None:
        self._tell = meta.on_sent
        self.happened = False

    def __call__(self) -> None:
        """For HttpRequest.on_sent."""
        self.happened = True
        if self._tell is not None:
            self._tell()

    def __enter__(self) -> Self:
        """Errors that leave the block say whether anything was sent."""
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(e, RightseatError):
            e.reached = self.happened


@contextmanager
def already_sent() -> Iterator[None]:
    """Errors that leave the block come after the request was sent."""
    try:
        yield
    except RightseatError as e:
        e.reached = True
        raise


async def checked(stream: HttpStream, clock: Clock) -> HttpStream:
    """An answer that is no error. Raises UpstreamError: it is one; it has been read and closed."""
    if stream.status < 400:
        return stream
    try:
        raise error_of(stream.status, stream.headers, await stream.read(), clock.wall())
    finally:
        await stream.aclose()
