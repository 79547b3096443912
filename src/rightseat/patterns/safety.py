"""The guide's security: the key, checks of prompts, sensitive data, and a logger that shows none of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rightseat.errors import ConfigError
from rightseat.masking import mask_secret
from rightseat.masking.finder import Found, merged, replaced
from rightseat.masking.patterns import SECRETS
from rightseat.security.logs import redacting_logger
from rightseat.security.redaction import find_sensitive
from rightseat.security.screening import PromptError, check_prompt
from rightseat.security.sources import require_secret

KEY = "COPILOT_API_KEY"
_KEY_FORM = re.compile(r"[A-Za-z0-9_.=;:,+/~|-]+")
_LEAST_SHOWN = 16  # characters: eight of a shorter key would be most of it


class SecureConfig:
    """Where the key comes from."""

    @staticmethod
    def get_api_key() -> str:
        """`COPILOT_API_KEY`, from the first place that has it: see `security.sources`.

        Raises:
            ConfigError: (ValueError) it is nowhere, or no key; the message names the variable and the places, and never the key.
        """
        key = require_secret(KEY).reveal()
        if not _KEY_FORM.fullmatch(key):
            raise ConfigError(f"Invalid API key format: {KEY}: a key has letters, digits and signs, and no blanks")
        return key

    @staticmethod
    def mask_api_key(key: str) -> str:
        """`abcd...wxyz` for a log; `***` for a key that is too short to show eight characters of."""
        return mask_secret(key) if len(key) >= _LEAST_SHOWN else "***"


class InputValidator:
    """Checks of prompts. A subclass may change the numbers and add patterns.

    Attributes:
        MAX_PROMPT_LENGTH: characters.
        FORBIDDEN_PATTERNS: what is forbidden, as regular expressions. Injections and scripts are found without these, too.
    """

    MAX_PROMPT_LENGTH: ClassVar[int] = 10_000
    FORBIDDEN_PATTERNS: ClassVar[Sequence[str]] = (
        r"(?i)ignore\s+previous\s+instructions",
        r"(?i)system\s*:\s*new\s+role",
        r"(?i)<script\b",
    )

    @classmethod
    def validate_prompt(cls, prompt: str) -> str:
        """The prompt without blanks around it.

        Raises:
            PromptError: (ValueError) it is empty, too long, looks like an injection, holds a script or what is forbidden.
        """
        if prompt is None or (isinstance(prompt, str) and not prompt.strip()):
            raise PromptError("Prompt cannot be empty")
        if isinstance(prompt, str) and len(prompt) > cls.MAX_PROMPT_LENGTH:
            raise PromptError(f"Prompt exceeds maximum length of {cls.MAX_PROMPT_LENGTH}")
        for pattern in cls.FORBIDDEN_PATTERNS if isinstance(prompt, str) else ():
            if re.search(pattern, prompt):
                raise PromptError(f"Prompt contains forbidden pattern: {pattern}")
        check_prompt(prompt, max_chars=cls.MAX_PROMPT_LENGTH, injection="block", scripts="block")
        return prompt.strip()


# What the guide calls it.
_NAMES: Mapping[str, str] = {"card": "credit_card", **dict.fromkeys(SECRETS - {"private_key", "jwt"}, "api_key")}
# Whatever stands after one of these names, however little it looks like a key.
_NAMED = re.compile(r"(?i)(?:api[_-]?key|token)\s*[=:]\s*['\"]?([A-Za-z0-9_-]{20,})")


class SensitiveDataFilter:
    """Keys and personal data in text. A subclass may add patterns.

    Attributes:
        PATTERNS: more that is sensitive: a name, as in `[REDACTED_NAME]` -> a regular expression.
    """

    PATTERNS: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def redact(cls, text: str) -> str:
        """The text with `[REDACTED_API_KEY]`, `[REDACTED_EMAIL]`, `[REDACTED_CREDIT_CARD]`, `[REDACTED_SSN]` ... in their places."""
        return replaced(text, cls._find(text))

    @classmethod
    def contains_sensitive_data(cls, text: str) -> bool:
        """Whether there is any."""
        return bool(cls._find(text))

    @classmethod
    def _find(cls, text: str) -> list[Found]:
        more = [Found(*match.span(), name) for name, p in cls.PATTERNS.items() for match in re.finditer(p, text)]
        named = [Found(*match.span(1), "api_key") for match in _NAMED.finditer(text)]
        found = [Found(one.start, one.end, _NAMES.get(one.kind, one.kind)) for one in find_sensitive(text)]
        return merged([*named, *found, *more])


class SecureLogger:
    """A logger whose records show no keys and no personal data, in the message and in tracebacks.

    Args:
        name: of the logger; whatever else is logged to it is redacted, too.
    """

    def __init__(self, name: str) -> None:
        self.filter = SensitiveDataFilter()
        self.logger = redacting_logger(name, self.filter.redact)

    def debug(self, message: object, *args: object, **kwargs: Any) -> None:
        """See logging.Logger."""
        self._log(logging.DEBUG, message, args, kwargs)

    def info(self, message: object, *args: object, **kwargs: Any) -> None:
        """See logging.Logger."""
        self._log(logging.INFO, message, args, kwargs)

    def warning(self, message: object, *args: object, **kwargs: Any) -> None:
        """See logging.Logger."""
        self._log(logging.WARNING, message, args, kwargs)

    def error(self, message: object, *args: object, **kwargs: Any) -> None:
        """See logging.Logger."""
        self._log(logging.ERROR, message, args, kwargs)

    def exception(self, message: object, *args: object, **kwargs: Any) -> None:
        """See logging.Logger."""
        self._log(logging.ERROR, message, args, {"exc_info": True, **kwargs})

    def critical(self, message: object, *args: object, **kwargs: Any) -> None:
        """See logging.Logger."""
        self._log(logging.CRITICAL, message, args, kwargs)

    def _log(self, level: int, message: object, args: tuple[object, ...], kwargs: dict[str, Any]) -> None:
        self.logger.log(level, str(message), *args, stacklevel=3 + kwargs.pop("stacklevel", 0), **kwargs)
