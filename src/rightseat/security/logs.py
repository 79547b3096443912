"""Loggers whose records show nothing secret or personal. What is found is decided elsewhere (`redaction`)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from rightseat.log import logger as own
from rightseat.log import trace_logger
from rightseat.masking import MAX_SHOWN, mask
from rightseat.security.redaction import redact

_TRACEBACK = 16 * 1024  # characters that are shown
_LOOKED_AT = 8  # times what is shown: what may lie across the cut is looked at as well


class RedactingFilter(logging.Filter):
    """Redacts and cuts the message and the traceback of a record. Handlers get plain text, so they cannot show anything else.

    Args:
        change: text -> text that may be shown; by default secrets and personal data are taken out.
    """

    def __init__(self, change: Callable[[str], str] = redact) -> None:
        super().__init__()
        self._change = change

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and let it pass."""
        record.msg, record.args = self._shown(record.getMessage(), MAX_SHOWN), ()
        if record.exc_info:
            record.exc_text = self._shown(logging.Formatter().formatException(record.exc_info), _TRACEBACK)
            record.exc_info = None
        if record.stack_info:
            record.stack_info = self._shown(record.stack_info, _TRACEBACK)
        return True

    def _shown(self, text: str, limit: int) -> str:
        return mask(self._change(text[: limit * _LOOKED_AT]), limit=limit)


def redacting_logger(name: str, change: Callable[[str], str] = redact) -> logging.Logger:
    """The logger of that name, redacted from now on. Called again, it changes nothing.

        log = redacting_logger(__name__)
        log.info("mail from %s", address)      # mail from [REDACTED_EMAIL]

    Records of loggers below it are their own; redact those, too, or put a RedactingFilter on the handler.
    """
    logger = logging.getLogger(name)
    if not any(isinstance(one, RedactingFilter) for one in logger.filters):
        logger.addFilter(RedactingFilter(change))
    return logger


def redact_own_logs() -> None:
    """Take personal data out of this package's log, too. Secrets are masked there in any case."""
    for one in (own, trace_logger):
        redacting_logger(one.name)
