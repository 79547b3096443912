"""What the gateway says while it runs: one line a request, and warnings; for people or as JSON. Never what was said in a request.

Secrets are masked where a line is written, last of all, so that no call site can forget it, whatever library the record came from.
Lines about requests wait a moment for others: to write and to look through many at once costs a fraction.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import sys
import time
from typing import IO, Any, Literal, TypeAlias

from rightseat.gateway.observe.request_log import Entry
from rightseat.layers.observe import Call
from rightseat.security.masking import mask

Form: TypeAlias = Literal["off", "console", "json"]

GATHER_SECONDS = 0.1
GATHER_LINES = 500
access_logger = logging.getLogger("rightseat.access")
_FIELDS = "request"  # the attribute of a record that holds a request's facts
_CONTROL = {i: f"\\x{i:02x}" for i in (*range(32), 127)} | {0x2028: "\\u2028", 0x2029: "\\u2029"}


def configure(form: Form, level: str = "info", stream: IO[str] | None = None) -> None:
    """Send what this package and uvicorn say to `stream`, in one form. For programs, once, at the start.

    Args:
        form: "console" for people, "json" for machines, "off" for warnings only, as people read them.
        level: "debug", "info", "warning" or "error".
        stream: standard error otherwise.
    """
    lines = JsonFormatter() if form == "json" else ConsoleFormatter()
    handler = GatheringHandler(stream or sys.stderr, lines)
    for name in ("rightseat", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.propagate = name == "uvicorn.error"
    logging.getLogger("rightseat").setLevel("WARNING" if form == "off" else level.upper())


class AccessLog:
    """An observer that writes a line a request. Costs next to nothing where nobody listens."""

    def began(self, call: Call) -> None:
        """See Observer."""

    def ended(self, call: Call) -> None:
        """See Observer."""
        if access_logger.isEnabledFor(logging.INFO) and isinstance(call, Entry):
            # What `info` would do, without looking for the line of code that said it.
            fields = {_FIELDS: call.shown()}
            name = access_logger.name
            access_logger.handle(access_logger.makeRecord(name, logging.INFO, "", 0, "request", (), None, extra=fields))


class GatheringHandler(logging.StreamHandler[IO[str]]):
    """Writes to a stream. Lines about requests are gathered for GATHER_SECONDS; anything else is written at once, after them.

    What is gathered is written at the end of the program too, as `logging` sees to; it is lost if the process is killed.
    """

    def __init__(self, stream: IO[str], form: _Masking) -> None:
        super().__init__(stream)
        self.setFormatter(form)
        self._form = form
        self._gathered: list[logging.LogRecord] = []
        self._due = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self._gathered.append(record)
        wait = hasattr(record, _FIELDS) and record.levelno <= logging.INFO and len(self._gathered) < GATHER_LINES
        if not wait or not self._will_be_written():
            self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        with contextlib.suppress(ValueError), self.lock or contextlib.nullcontext():  # the stream may be closed by now
            records, self._gathered = self._gathered, []
            if records:
                self._write(records)
            super().flush()

    def _write(self, records: list[logging.LogRecord]) -> None:
        lines = []
        for record in records:
            try:
                lines.append(self._form.plain(record))
            except Exception:
                self.handleError(record)
        try:
            self.stream.write("".join(f"{line}\n" for line in masked(lines)))
        except Exception:
            self.handleError(records[-1])

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """See logging, which would show what could not be put into the line, secrets and all."""
        error = sys.exc_info()[1]
        with contextlib.suppress(Exception):
            said = f"a line of {record.name} ({record.pathname}:{record.lineno}) could not be written: {type(error).__name__}"
            line = logging.LogRecord("rightseat", logging.ERROR, "", 0, said, (), None)
            self.stream.write(f"{self.format(line)}\n")

    def _will_be_written(self) -> bool:
        """A flush is due; made so if it can be. One that a dead event loop has taken along is not waited for."""
        now = time.monotonic()
        if len(self._gathered) > 1:
            return now <= self._due + GATHER_SECONDS
        try:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        except RuntimeError:
            return False
        self._due = now + GATHER_SECONDS
        return True


def masked(lines: list[str]) -> list[str]:
    """Lines without secrets. They are looked through together, and one by one only if there is something."""
    text = "\n".join(lines)
    return lines if mask(text) == text else [mask(line) for line in lines]


class _Masking(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return mask(self.plain(record))

    def plain(self, record: logging.LogRecord) -> str:
        """The line, not yet looked through for secrets: for who does it for many at once."""
        raise NotImplementedError


class JsonFormatter(_Masking):
    """A line of JSON for each record."""

    def plain(self, record: logging.LogRecord) -> str:
        """See _Masking."""
        value: dict[str, Any] = {"at": _when(record, "T"), "level": record.levelname.lower(), "logger": record.name}
        facts = getattr(record, _FIELDS, None)
        value |= (
            {"event": "request", **facts, "at": value["at"]} if facts is not None else {"event": record.getMessage()}
        )
        if error := _error(record):
            value["exception"] = error
        return json.dumps(value, default=str)


class ConsoleFormatter(_Masking):
    """A line for people. What could be taken for another line, or for a terminal's command, is written out."""

    def plain(self, record: logging.LogRecord) -> str:
        """See _Masking."""
        facts = getattr(record, _FIELDS, None)
        said = _line(facts) if facts is not None else record.getMessage()
        head = f"{_when(record, ' ')} {record.levelname.lower():7} "
        text = head + said.rstrip("\n").translate(_CONTROL)
        error = _error(record)
        return f"{text}\n{error}" if error else text


def _line(facts: dict[str, Any]) -> str:
    over = facts["upstream"] if facts["upstream"] != facts["dialect"] else "as it is"
    parts = [
        str(facts["status"]),
        f"{facts['seconds'] * 1000:.0f} ms",
        *([f"(first {facts['first_seconds'] * 1000:.0f})"] if facts["first_seconds"] is not None else []),
        f"{facts['dialect']} {facts['model']}",
        f"({over}{', stream' if facts['stream'] else ''}, {facts['initiator']})",
        str(facts["account"] or "-"),
        *([f"key {facts['key']}"] if facts["key"] else []),
        *([_tokens(facts)] if facts["input_tokens"] is not None else []),
        *([f"{facts['retries']} retries"] if facts["retries"] else []),
        *([f"found {', '.join(facts['found'])}"] if facts["found"] else []),
        *([f"suspect {', '.join(facts['suspect'])}"] if facts["suspect"] else []),
        str(facts["request_id"]),
        *([str(facts["error"])] if facts["error"] else []),
    ]
    return " ".join(parts)


def _tokens(facts: dict[str, Any]) -> str:
    cached = f" ({facts['cached_tokens']} cached)" if facts["cached_tokens"] else ""
    return f"{facts['input_tokens']}{cached} + {facts['output_tokens']} tokens"


def _when(record: logging.LogRecord, between: str) -> str:
    return f"{_second(int(record.created), between)}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=4)  # of many lines in one second only the first pays
def _second(second: int, between: str) -> str:
    return time.strftime(f"%Y-%m-%d{between}%H:%M:%S", time.gmtime(second))


def _error(record: logging.LogRecord) -> str:
    if record.exc_info:
        return logging.Formatter().formatException(record.exc_info)
    return record.exc_text or ""
