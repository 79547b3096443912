"""What the gateway's log says in a test."""

import io
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from rightseat.gateway.observe import logging as logs

LOGGERS = ("", "rightseat", "uvicorn", "uvicorn.error")


class Said(io.StringIO):
    """A stream that a handler writes to."""

    handler: logging.Handler

    def getvalue(self) -> str:
        self.handler.flush()
        return super().getvalue()


@contextmanager
def restored(*names: str) -> Iterator[None]:
    """Loggers are afterwards as they were."""
    loggers = [logging.getLogger(name) for name in names or LOGGERS]
    before = [(one.handlers, one.level, one.propagate) for one in loggers]
    try:
        yield
    finally:
        for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
            one.handlers, one.propagate = handlers, propagate
            one.setLevel(level)


def configure(form: str, level: str = "info") -> Said:
    """The log goes there."""
    stream = Said()
    logs.configure(form, level, stream)
    (stream.handler,) = logging.getLogger("rightseat").handlers
    return stream


def answers(url: str, key: str) -> int:
    """The status of a GET with a key."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"x-api-key": key}), timeout=20) as response:
            return response.status
    except urllib.error.HTTPError as e:
        return e.code
