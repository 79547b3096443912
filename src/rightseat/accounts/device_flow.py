"""Device login (RFC 8628) as a conversation without I/O: it yields what to do and is sent what came of it.

    flow = device_flow(hosts, editor)
    step = next(flow)                       # HttpRequest: send it, and send the HttpAnswer back
    step = flow.send(answer)                # Prompt: show it; Wait: let time pass; send None back for both

The generator returns the GitHub token. GitHub answers 200 with an `error` until the login is approved.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from rightseat.accounts.hosts import Hosts
from rightseat.accounts.identity import Editor, github_headers
from rightseat.errors import LoginError
from rightseat.json_types import JsonObject
from rightseat.transport.http.base import SMALL, HttpAnswer, HttpRequest

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
MARGIN_SECONDS = 1.0  # added to each wait: a poll that comes a moment early is answered with slow_down
SLOW_DOWN_SECONDS = 5.0  # RFC 8628, section 3.5
MAX_SECONDS = 900.0


class Prompt(Struct, frozen=True):
    """Show this to the person who logs in."""

    user_code: str
    verification_uri: str
    expires_in: float


class Wait(Struct, frozen=True):
    """Let this many seconds pass."""

    seconds: float


Step: TypeAlias = HttpRequest | Prompt | Wait

_ENDS = {
    "expired_token": "the code has expired before it was entered; start again",
    "access_denied": "the request was denied on the page",
    "device_flow_disabled": "the device flow is disabled for this client id",
    "incorrect_client_credentials": "GitHub does not know this client id",
    "incorrect_device_code": "GitHub does not know this device code; start again",
    "unsupported_grant_type": "GitHub does not support this kind of login",
}


def device_flow(hosts: Hosts, editor: Editor) -> Generator[Step, Any, str]:
    """Log a user in.

    Returns:
        The GitHub token.

    Raises:
        LoginError: it was denied, expired, or GitHub said something else than the protocol.
    """
    begun = _decode(
        (yield _post(f"{hosts.github}/login/device/code", editor, client_id=editor.client_id, scope=editor.scope))
    )
    code, interval = str(begun.get("device_code") or ""), _seconds(begun.get("interval"), 5.0)
    if not code:
        raise LoginError(str(begun.get("error") or "unexpected"), f"GitHub gave no device code: {_reason(begun)}")
    left = min(_seconds(begun.get("expires_in"), MAX_SECONDS), MAX_SECONDS)
    yield Prompt(str(begun.get("user_code")), str(begun.get("verification_uri")), left)
    while left > 0:
        yield Wait(interval + MARGIN_SECONDS)
        left -= interval + MARGIN_SECONDS
        said = _decode(
            (
                yield _post(
                    f"{hosts.github}/login/oauth/access_token",
                    editor,
                    client_id=editor.client_id,
                    device_code=code,
                    grant_type=_GRANT,
                )
            )
        )
        if token := said.get("access_token"):
            return str(token)
        error = str(said.get("error") or "unexpected")
        if error == "slow_down":
            interval = _seconds(said.get("interval"), interval + SLOW_DOWN_SECONDS)
        elif error != "authorization_pending":
            raise LoginError(error, _ENDS.get(error, f"GitHub refused the login: {_reason(said)}"))
    raise LoginError("expired_token", _ENDS["expired_token"])


def _post(url: str, editor: Editor, **form: str) -> HttpRequest:
    headers = {**github_headers(editor), "content-type": "application/x-www-form-urlencoded"}
    return HttpRequest("POST", url, headers, urlencode(form).encode(), SMALL, "GitHub")


def _decode(answer: HttpAnswer) -> JsonObject:
    try:
        value = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise LoginError("unexpected", f"GitHub answered the login with HTTP {answer.status} and no JSON object")
    return value


def _seconds(value: object, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else default


def _reason(value: JsonObject) -> str:
    return str(value.get("error_description") or value.get("error") or value.get("message") or "no reason given")
