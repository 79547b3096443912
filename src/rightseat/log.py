"""The package's logger: `logging.getLogger("rightseat")`, with every secret masked before any handler sees a record.

No handler is installed: warnings go where the application sends them, or to standard error.
"""

from __future__ import annotations

import logging

from rightseat.masking import mask

MAX_TRACEBACK = 16 * 1024  # characters: most from its beginning, and its end, which names the error


class MaskingFilter(logging.Filter):
    """Masks and cuts the message and the traceback of a record. Handlers get plain text, so they cannot unmask anything."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record and let it pass."""
        record.msg, record.args = mask(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = mask(logging.Formatter().formatException(record.exc_info), limit=MAX_TRACEBACK)
            record.exc_info = None
        return True


logger = logging.getLogger("rightseat")
trace_logger = logging.getLogger("rightseat.trace")
for _logger in (logger, trace_logger):
    if not any(isinstance(f, MaskingFilter) for f in _logger.filters):
        _logger.addFilter(MaskingFilter())
