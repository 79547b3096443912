"""They answered wrongly, or answered no: errors of the CLI, of GitHub and of model APIs."""

from __future__ import annotations

from typing import Unpack

from rightseat.errors.base import RightseatError, Told, Words


class PeerError(RightseatError):
    """The peer answered wrongly, or answered no."""

    status_hint = 502


class ProtocolError(PeerError):
    """Bytes that are not the protocol. The connection cannot be trusted any more and is given up."""


class AnswerFormatError(PeerError, ValueError):
    """An answer that is not of the type that was asked for, also after it was asked for once more.

    Attributes:
        text: the answer.
        reason: what is wrong with it.
        finish_reason: why the answer ended; "length" says that it was cut.
    """

    def __init__(self, text: str, reason: str, finish_reason: str = "stop", **told: Unpack[Told]) -> None:
        cut = "; it was cut: give more max_tokens" if finish_reason == "length" else ""
        super().__init__(f"the answer is not of the type that was asked for{cut}: {reason}", **told)
        self.text = text
        self.reason = reason
        self.finish_reason = finish_reason


class UnsupportedVersionError(PeerError):
    """The CLI speaks a protocol version that this package does not."""


class RpcError(PeerError):
    """A JSON-RPC error answer (JSON-RPC 2.0, section 5.1).

    Attributes:
        method: the method that was called.
        code: the JSON-RPC error code.
        message: the peer's text.
        data: the peer's extra data, or None.
    """

    def __init__(self, method: str, code: int, message: str, data: object = None, **told: Unpack[Words]) -> None:
        super().__init__(f"{method}: {message} (JSON-RPC error {code})", **told)
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class MethodNotFoundError(RpcError):
    """The CLI does not know the method (-32601): it is older or newer than what was asked of it."""

    status_hint = 501


class SessionNotFoundError(RpcError):
    """The CLI does not know the session: never created, deleted, or lost with a crash before its first turn ended."""

    status_hint = 404


class AuthenticationError(RpcError):
    """Not logged in, or a wrong connection token."""

    status_hint = 401


class SessionError(PeerError):
    """The session reported an error while it worked on a message (event `session.error`).

    Attributes:
        error_type: the CLI's own class of error, such as "query" or "authentication".
        status_code: the model API's HTTP status, or None.
        session_id: the session that failed.
    """

    def __init__(
        self,
        message: str,
        *,
        error_type: str | None = None,
        status_code: int | None = None,
        session_id: str | None = None,
        **told: Unpack[Told],
    ) -> None:
        super().__init__(message, **told)
        self.message = message
        self.error_type = error_type
        self.status_code = status_code
        self.session_id = session_id


class TurnAbortedError(PeerError):
    """The turn was aborted before its answer was complete."""

    status_hint = 499


class LoginError(PeerError):
    """GitHub did not let us in.

    Attributes:
        code: the reason by name: "expired_token", "access_denied", a notification id such as "no_copilot_access" ...
    """

    status_hint = 403

    def __init__(self, code: str, message: str, **told: Unpack[Words]) -> None:
        super().__init__(message, **told)
        self.code = code


class UpstreamError(PeerError):
    """An HTTP error of the Copilot API or of GitHub's.

    Attributes:
        status: the HTTP status.
        code: the error's code, or None.
        message: the server's text.
        retry_after: seconds, where the server said.
        request_id: the server's id for the request, or None.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        **told: Unpack[Words],
    ) -> None:
        if told.get("public") is None:
            told["public"] = message
        super().__init__(f"HTTP {status}: {message}", **told)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.request_id = request_id


class PromptTooLongError(UpstreamError):
    """What was sent does not fit into the model's window. Each dialect says so in the words at which its clients shorten what they send.

    Attributes:
        tokens: of the prompt; None: not told.
        limit: the most that fits; None: not told.
    """

    def __init__(
        self, message: str, *, tokens: int | None = None, limit: int | None = None, **told: Unpack[Words]
    ) -> None:
        super().__init__(400, message, code="context_length_exceeded", **told)
        self.tokens = tokens
        self.limit = limit
