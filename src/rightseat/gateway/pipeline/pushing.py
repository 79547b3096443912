"""A stream that passes, pushed from upstream's socket to the client's: a chunk costs two calls and no coroutine.

It does what `response.relayed` does, which pulls, for servers and clients that can push. Errors are raised where the answer is awaited, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rightseat.backends.base import RelayAnswer
from rightseat.errors import TransportError, UpstreamError
from rightseat.gateway.http.exchange import EventSink
from rightseat.gateway.pipeline.response import Watched
from rightseat.wire.errors import cut

Hear = Callable[[bytes], None]


class _EnoughError(Exception):
    """Upstream's own error has passed: nothing that comes after it is of use."""


class _EventsOut:
    """Takes what upstream sends, and writes whole events to the client."""

    __slots__ = ("_answer", "_hear", "_out", "_relay", "_watched", "over", "too_long")

    def __init__(self, answer: RelayAnswer, watched: Watched, out: EventSink, hear: Hear | None) -> None:
        self._answer, self._watched = answer, watched
        self._relay = watched.relay
        self._out: EventSink | None = out
        self._hear = hear
        self.too_long: UpstreamError | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def write(self, data: bytes) -> None:
        """See Sink."""
        self._answer.passed()
        if said := self._relay.feed(data):
            self.tell(said)
        if self._relay.told:
            raise _EnoughError
        try:
            self._watched.check()
        except UpstreamError as e:  # the caller's own limit, no failure of the model
            self.too_long = e
            raise _EnoughError from None

    def tell(self, said: bytes) -> None:
        """Some whole events, to the client."""
        if self._out is not None:
            self._out.write(said)
            if self._hear is not None:
                self._hear(said)

    def end(self, error: Exception | None) -> None:
        """See Sink."""
        if self.over.done():
            return
        if error is None or isinstance(error, _EnoughError):
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    def stop(self) -> None:
        """Nothing is written any more."""
        self._out = None


async def pushed(answer: RelayAnswer, watched: Watched, out: EventSink, hear: Hear | None) -> None:
    """A stream that passes, whole events at a time.

    Args:
        answer: whose `source` pushes.
        watched: watches it.
        out: to the client.
        hear: is told what goes out; None: nobody is.

    Raises:
        ToldError, UpstreamError, TransportError: it ended before its time.
    """
    source = answer.source
    assert source is not None
    events = _EventsOut(answer, watched, out, hear)
    try:
        out.bind(source)
        source.into(events)
        await answer.watch(events.over)
        if events.too_long is not None:
            raise events.too_long
        if rest := watched.relay.eof():
            events.tell(rest)
    except TransportError as e:
        if not watched.relay.complete:
            raise cut() from e
    finally:
        out.bind(None)
        events.stop()
    watched.check_end()
