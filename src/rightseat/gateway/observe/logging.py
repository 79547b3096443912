"""The gateway's log: one line per request, and warnings; for people or as JSON. Never prompts or answers.

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
from datetime import UTC, datetime
from typing import IO, Any, Literal, TypeAlias

from rightseat.clock import SYSTEM_CLOCK
from rightseat.gateway.observe.line_writer import LineWriter
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.json_types import JsonObject
from rightseat.masking import mask

Form: TypeAlias = Literal["off", "console", "json"]

CLOSE_SECONDS = 1.0
CONTENT_LOGGER = "rightseat.content"  # of prompts and answers, where the owner has asked for them
CONTENT_CHARS = 64 * 1024 + 1024
MESSAGE_CHARS = 2048  # more of a message is left out
TRACEBACK_CHARS = 16 * 1024
FACTS_CHARS = 16 * 1024  # of a line about a request; beyond that each fact is cut
GATHER_SECONDS = 0.1
GATHER_LINES = 500
access_logger = logging.getLogger("rightseat.access")
_FIELDS = "request"  # the attribute of a record that holds a request's facts
_encode = json.JSONEncoder(default=str).encode
_CONTROL = {i: f"\\x{i:02x}" for i in (*range(32), 127)} | {0x2028: "\\u2028", 0x2029: "\\u2029"}


def configure(form: Form, level: str = "info", stream: IO[str] | None = None) -> None:
    """Send what this package, uvicorn and others say to `stream`, in one form. For programs, at the start and when settings change.

    Args:
        form: "console" for people, "json" for machines, "off" for warnings only, as people read them.
        level: "debug", "info", "warning" or "error".
        stream: standard error otherwise.
    """
    lines = JsonFormatter() if form == "json" else ConsoleFormatter()
    handler = _handler_of(stream or sys.stderr, lines)
    for name in ("rightseat", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.propagate = name == "uvicorn.error"
    root = logging.getLogger()  # what other libraries say, which Python would write to standard error itself, unmasked
    root.handlers = [*(h for h in root.handlers if not isinstance(h, GatheringHandler)), handler]
    logging.getLogger("rightseat").setLevel("WARNING" if form == "off" else level.upper())


def _handler_of(stream: IO[str], form: _Masking) -> GatheringHandler:
    """The one that writes to this stream already, so that lines stay in order; else a new one."""
    for handler in logging.getLogger("rightseat").handlers:
        if isinstance(handler, GatheringHandler):
            handler.flush()
            if handler.stream is stream:
                handler.use(form)
                return handler
    return GatheringHandler(stream, form)


class AccessLog:
    """An observer that writes a line per request; for quiet ones that succeeded, at level "debug" only."""

    def __init__(self) -> None:
        made = access_logger.makeRecord(access_logger.name, logging.INFO, "", 0, "request", (), None)
        self._common = vars(made)  # the process, the thread and more that is the same in all lines
        self._began = made.created - made.relativeCreated / 1000

    def began(self, record: RequestRecord) -> None:
        """See Observer."""

    def ended(self, record: RequestRecord) -> None:
        """See Observer."""
        level = logging.DEBUG if record.quiet and (record.status or 500) < 400 else logging.INFO
        if access_logger.isEnabledFor(level):
            access_logger.handle(self._line(level, record.shown()))

    def _line(self, level: int, facts: JsonObject) -> logging.LogRecord:
        """What `log` would make, without looking for the line of code, the thread and the process again, which costs more than the line."""
        line = logging.LogRecord.__new__(logging.LogRecord)
        at = SYSTEM_CLOCK.wall()
        vars(line).update(
            self._common,
            levelno=level,
            levelname=logging.getLevelName(level),
            created=at,
            msecs=int(at % 1 * 1000) + 0.0,
            relativeCreated=(at - self._began) * 1000,
            **{_FIELDS: facts},
        )
        return line


class GatheringHandler(logging.Handler):
    """Writes lines to a stream, and never waits for it: see `LineWriter`. A stream in memory is written to at once.

    Lines about requests are gathered for GATHER_SECONDS; anything else is handed on at once, after them. What is left at the end of the
    program is written within CLOSE_SECONDS, as `logging` sees to; it is lost if the process is killed.
    """

    def __init__(self, stream: IO[str], form: _Masking) -> None:
        super().__init__()
        self.stream = stream
        self.use(form)
        descriptor = _descriptor(stream)
        self._writer = None if descriptor is None else LineWriter(descriptor, self._notice)
        self._gathered: list[logging.LogRecord] = []
        self._due = 0.0

    def use(self, form: _Masking) -> None:
        """Write lines in this form from now on."""
        self.setFormatter(form)
        self._form = form

    @property
    def dropped(self) -> int:
        """Lines that were dropped because they could not be written in time."""
        return self._writer.dropped if self._writer is not None else 0

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self._gathered.append(record)
        wait = hasattr(record, _FIELDS) and record.levelno <= logging.INFO and len(self._gathered) < GATHER_LINES
        if not wait or not self._will_be_written():
            self.flush()

    def flush(self) -> None:
        """Hand on what is gathered."""
        with self.lock or contextlib.nullcontext():
            records, self._gathered = self._gathered, []
            if records:
                self._hand_on(masked(self._lines(records)))

    def close(self) -> None:
        """See logging. Waits for the stream, but not for long."""
        self.flush()
        if self._writer is not None:
            self._writer.drain(CLOSE_SECONDS)
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """See logging, which would show what could not be put into the line, secrets and all."""
        error = sys.exc_info()[1]
        with contextlib.suppress(Exception):
            where = f"{record.name} ({record.pathname}:{record.lineno})"
            said = f"a line of {where} could not be written: {type(error).__name__}"
            self._hand_on([self._own_line(logging.ERROR, said)])

    def _lines(self, records: list[logging.LogRecord]) -> list[str]:
        lines = []
        for record in records:
            try:
                lines.append(self._form.plain(record))
            except Exception:
                self.handleError(record)
        return lines

    def _hand_on(self, lines: list[str]) -> None:
        if self._writer is not None:
            self._writer.put(lines)
            return
        with contextlib.suppress(ValueError):  # the stream may be closed by now
            self.stream.write("".join([f"{line}\n" for line in lines]))
            self.stream.flush()

    def _notice(self, lines: int) -> str:
        return self._own_line(logging.WARNING, f"{lines} lines of this log were dropped: they were not read in time")

    def _own_line(self, level: int, said: str) -> str:
        return self.format(logging.LogRecord("rightseat", level, "", 0, said, (), None))

    def _will_be_written(self) -> bool:
        """A flush is due; made so if it can be. One that a dead event loop has taken along is not waited for."""
        now = SYSTEM_CLOCK.now()
        if len(self._gathered) > 1:
            return now <= self._due + GATHER_SECONDS
        try:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        except RuntimeError:
            return False
        self._due = now + GATHER_SECONDS
        return True


def _descriptor(stream: IO[str]) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # io.UnsupportedOperation is both of the first
        return None


def dropped_lines() -> int:
    """Lines of this process's log that were lost."""
    handlers = logging.getLogger("rightseat").handlers
    return sum(handler.dropped for handler in handlers if isinstance(handler, GatheringHandler))


def masked(lines: list[str]) -> list[str]:
    """Lines without secrets. They are looked through together, and one by one only if there is something."""
    text = "\n".join(lines)
    return lines if mask(text, limit=None) == text else [mask(line, limit=None) for line in lines]


class _Masking(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """See logging."""
        return mask(self.plain(record), limit=None)

    def plain(self, record: logging.LogRecord) -> str:
        """The line, not yet looked through for secrets: for who does it for many at once."""
        raise NotImplementedError


class JsonFormatter(_Masking):
    """A line of JSON for each record."""

    def plain(self, record: logging.LogRecord) -> str:
        """See _Masking."""
        value: JsonObject = {"at": _when(record, "T"), "level": record.levelname.lower(), "logger": record.name}
        facts = getattr(record, _FIELDS, None)
        value |= {"event": "request", **facts, "at": value["at"]} if facts is not None else {"event": _message(record)}
        if error := _error(record):
            value["exception"] = error
        line = _encode(value)
        if facts is None or len(line) <= FACTS_CHARS:
            return line
        return _encode({name: _short(fact) for name, fact in value.items()})


class ConsoleFormatter(_Masking):
    """A line for people. What could be taken for another line, or for a terminal's command, is written out."""

    def plain(self, record: logging.LogRecord) -> str:
        """See _Masking."""
        facts = getattr(record, _FIELDS, None)
        said = _line(facts)[:FACTS_CHARS] if facts is not None else _message(record)
        head = f"{_when(record, ' ')} {record.levelname.lower():7} "
        text = head + said.rstrip("\n").translate(_CONTROL)
        error = _error(record)
        return f"{text}\n{error}" if error else text


def _line(facts: JsonObject) -> str:
    parts = [
        str(facts["status"]),
        f"{facts['seconds'] * 1000:.0f} ms",
        *([f"(first {facts['first_seconds'] * 1000:.0f})"] if facts["first_seconds"] is not None else []),
        *(_call(facts) if facts["model"] else [f"{facts.get('method', '')} {facts.get('path', '')}"]),
        *([f"key {facts['key']}"] if facts["key"] else []),
        *([_tokens(facts)] if facts["input_tokens"] is not None else []),
        *([f"{facts['retries']} retries"] if facts["retries"] else []),
        *([f"found {', '.join(facts['found'])}"] if facts["found"] else []),
        *([f"suspect {', '.join(facts['suspect'])}"] if facts["suspect"] else []),
        str(facts["request_id"]),
        *([str(facts["error"])] if facts["error"] else []),
    ]
    return " ".join(parts)


def _call(facts: JsonObject) -> list[str]:
    over = facts["upstream"] if facts["upstream"] != facts["dialect"] else "as it is"
    return [
        f"{facts['dialect']} {facts['model']}",
        f"({over}{', stream' if facts['stream'] else ''}, {facts['initiator']})",
        str(facts["account"] or "-"),
    ]


def _tokens(facts: JsonObject) -> str:
    cached = f" ({facts['cached_tokens']} cached)" if facts["cached_tokens"] else ""
    return f"{facts['input_tokens']}{cached} + {facts['output_tokens']} tokens"


def _when(record: logging.LogRecord, between: str) -> str:
    return f"{_second(int(record.created), between)}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=4)  # of many lines in one second only the first pays
def _second(second: int, between: str) -> str:
    return datetime.fromtimestamp(second, UTC).strftime(f"%Y-%m-%d{between}%H:%M:%S")


def _message(record: logging.LogRecord) -> str:
    most = CONTENT_CHARS if record.name == CONTENT_LOGGER else MESSAGE_CHARS
    return _shortened(record.getMessage(), most)


def _error(record: logging.LogRecord) -> str:
    text = logging.Formatter().formatException(record.exc_info) if record.exc_info else record.exc_text or ""
    return _shortened(text, TRACEBACK_CHARS)


def _shortened(text: str, most: int) -> str:
    """Beginning and end of a long text. It is masked as it is cut, so that no half of a secret is left at the cut."""
    return text if len(text) <= most else mask(text, limit=most)


def _short(fact: object) -> Any:
    return _shortened(fact, 256) if isinstance(fact, str) else fact
