"""What a file with an account may look like: ours, the first form with four fields, and those of three other programs.

    ours                 {"login", "github_access_token", "host", ...}: the fields of `Account`
    four fields          {"access_token", "github_access_token", "expires_at", "refresh_in"}: no login
    CLIProxyAPI          {"type": "github-copilot", "access_token" or "github_token": a GitHub token, "username", ...}
    LiteLLM              the folder `github_copilot` with the text file `access-token`; `api-key.json` holds a Copilot token alone
    copilot-api          the text file `github_token`, and beside it `enterprise_url`

Pure: a JSON value in, the fields of an account out. It does not know files and GitHub.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from rightseat.errors import ConfigError
from rightseat.json_types import JsonObject
from rightseat.security.key_material import kind_of, said_of

_TYPES = ("copilot", "github-copilot", "github_copilot", "github")
_GITHUB_TOKENS = ("github_access_token", "github_token", "oauth_token")
_LOGINS = ("login", "username", "user")
_KNOWN = (
    "rightseat's, CLIProxyAPI's (github-copilot-NAME.json), copilot-api's (github_token) and LiteLLM's (access-token)"
)


def fields_of(value: object) -> JsonObject:
    """The fields of an `Account` that a JSON value holds, whichever program wrote it.

    Raises:
        ConfigError: it holds no GitHub token, or belongs to another service. The message has no token.
    """
    if not isinstance(value, dict):
        raise ConfigError("it is not a JSON object with an account")
    kind = value.get("type")
    if kind is not None and kind not in _TYPES:
        raise ConfigError(f"it is an account of {str(kind)[:40]!r}, not of Copilot")
    fields = {**value, "github_access_token": _github_token(value), "login": _login(value)}
    if kind_of(str(value.get("access_token", ""))) == "github":  # CLIProxyAPI calls the GitHub token so
        fields["access_token"] = ""
    attributes = value.get("attributes")
    if isinstance(attributes, dict) and not value.get("base_url"):
        fields["base_url"] = attributes.get("base_url", "")
    for name in ("expires_at", "refresh_in", "last_refresh"):
        if isinstance(value.get(name), str):  # a date: the token is renewed at once
            fields[name] = 0.0
    return fields


def hashed_login(github_token: str) -> str:
    """The name of an account until GitHub was asked for its login: part of a hash of its token, so it stays the same."""
    return f"account-{hashlib.sha256(github_token.encode()).hexdigest()[:8]}"


def token_in(text: str) -> str:
    """The GitHub token that a text file holds. Raises ConfigError: it holds something else; what it is is named, never shown."""
    token = text.strip()
    if kind_of(token) != "github":
        raise ConfigError(f"{said_of(token)}; known are the files of {_KNOWN}")
    return token


def _github_token(value: Mapping[str, object]) -> str:
    for name in (*_GITHUB_TOKENS, "access_token"):
        token = value.get(name)
        if isinstance(token, str) and (name in _GITHUB_TOKENS or kind_of(token) == "github"):
            return token
    if kind_of(str(value.get("token", value.get("access_token", "")))) == "copilot":
        raise ConfigError(
            "it holds a Copilot token alone, which ends within minutes; a GitHub token is needed to renew it"
        )
    raise ConfigError(f"it holds no GitHub token; known are the files of {_KNOWN}")


def _login(value: Mapping[str, object]) -> object:
    named = next((value[name] for name in _LOGINS if value.get(name)), None)
    return named if named is not None else hashed_login(_github_token(value))
