"""Errors that only a gateway has. How any error is told to a client is in `wire.errors` and in the dialects."""

from __future__ import annotations

from rightseat.errors import CallerError


class ClientKeyError(CallerError):
    """The client showed no key, or a wrong one."""

    status_hint = 401
    code = "invalid_api_key"
