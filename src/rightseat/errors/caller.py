"""Errors of the caller: a wrong request, argument or setting."""

from __future__ import annotations

from typing import Unpack

from rightseat.errors.base import RightseatError, Told


class CallerError(RightseatError):
    """You asked wrongly."""

    status_hint = 400


class UnknownOptionError(CallerError, TypeError):
    """An unknown option."""


class InvalidOptionError(CallerError, ValueError):
    """An option whose value is of the wrong kind."""


class InvalidToolError(CallerError, TypeError):
    """A tool that cannot be offered to a model."""


class EncodeError(CallerError, ValueError):
    """A value that cannot be written as JSON."""


class CliNotFoundError(CallerError, FileNotFoundError):
    """No Copilot CLI where one was expected."""


class CliNotRunnableError(CallerError, PermissionError):
    """A file stands where the CLI should be, and the system cannot run it."""


class NotStartedError(CallerError, RuntimeError):
    """The client or session is not open."""


class WrongLoopError(CallerError, RuntimeError):
    """An object that belongs to one event loop was used where another runs, or none.

    Args:
        misuse: what was used where.
        advice: what to do instead; None: what helps most.
    """

    def __init__(self, misuse: str, advice: str | None = None, **told: Unpack[Told]) -> None:
        super().__init__(
            f"{misuse}. "
            + (
                advice
                or "Make it inside the coroutine that asyncio.run() runs, and one for each run; or hand the call to its own loop "
                "with asyncio.run_coroutine_threadsafe(); or use rightseat.sync, which works in any thread."
            ),
            **told,
        )


class NotLoggedInError(CallerError):
    """There is no account to ask with."""

    status_hint = 503
    code = "not_logged_in"


class ConfigError(CallerError, ValueError):
    """A setting, or a file that holds some, that cannot be used. The message names the place."""

    status_hint = 500


class ContextTooLargeError(CallerError, ValueError):
    """What must be kept of a conversation is larger than the window.

    Attributes:
        tokens: how large it is.
        limit: how large it may be.
    """

    def __init__(self, tokens: int, limit: int, **told: Unpack[Told]) -> None:
        super().__init__(
            f"the system messages and the current question have {tokens} tokens; the window holds {limit}. "
            f"Shorten them, or choose a model with a larger window.",
            **told,
        )
        self.tokens = tokens
        self.limit = limit
