"""What of our environment a child process gets: what it needs, and none of our secrets.

A model's shell tool can read the environment of the process that runs it. So the Copilot CLI gets the variables on a list: what
any program needs, what leads to the network, and what the CLI itself documents (`copilot help environment`, 1.0.102). A command
that the user names gets his environment without the secrets of Rightseat. An explicitly given environment is passed unchanged.

This module does not know how processes are started.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_CLI = frozenset(
    {
        # Any program.
        "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "PWD", "SHELL", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "HOSTNAME",
        # The terminal and the desktop; the keyring with the CLI's login is reached over D-Bus.
        "COLORTERM", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "EDITOR", "FORCE_COLOR", "NO_COLOR", "PAGER", "TERM",
        "TERM_PROGRAM", "VISUAL", "WAYLAND_DISPLAY",
        # The network.
        "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE",
        # Where the tools are that an agent runs.
        "ANDROID_HOME", "CARGO_HOME", "CONDA_PREFIX", "GOPATH", "GOROOT", "JAVA_HOME", "LD_LIBRARY_PATH", "MANPATH", "NVM_DIR",
        "PNPM_HOME", "PYENV_ROOT", "PYTHONPATH", "RUSTUP_HOME", "VIRTUAL_ENV",
        # What the CLI documents besides COPILOT_*, with its own secrets.
        "BUILD_NUMBER", "CI", "COPILOT_CONNECTION_TOKEN", "COPILOT_GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY",
        "COPILOT_PROVIDER_BEARER_TOKEN", "COPILOT_PROVIDER_HEADERS", "COPILOT_SDK_AUTH_TOKEN", "GH_HOST", "GH_TOKEN", "GITHUB_TOKEN", "PLAIN_DIFF",
        "RUN_ID", "SYSTEM_COLLECTIONURI", "TGREP_FILE_COUNT_THRESHOLD", "USE_BUILTIN_RIPGREP", "USE_TGREP", "USE_TGREP_WARM_START",
    }
)  # fmt: skip
# Families. Those of their members that are secrets by their name must be listed above.
_CLI_FAMILIES = ("COPILOT_", "LC_", "NODE_", "OTEL_", "XDG_")
# RIGHTSEAT_CHILD is the mark of `transport.process`: a grandchild that we start inherits it, so that it is found.
_MARKS = frozenset({"RIGHTSEAT_CHILD"})
_SECRET = re.compile(
    r"(?:^|_)(?:API_?KEY|AUTH|AUTHORIZATION|BEARER|CREDENTIALS?|HEADERS|KEYS?|PASS|PASSPHRASE|PASSWORD|PAT|PEPPER|SECRETS?|TOKENS?)$"
)
_OURS = re.compile(r"^(?:RIGHTSEAT_|VAULT_|COPILOT_API_KEY$|AZURE_)")
# A user and a password within an address. Linear: the parts exclude each other's ends.
_LOGIN_IN_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://[^/?#@:\s]*:[^/?#@\s]*@", re.IGNORECASE)


def cli_environment(base: Mapping[str, str], *, also: Iterable[str] = ()) -> dict[str, str]:
    """What the Copilot CLI gets of an environment.

    Args:
        base: usually `os.environ`.
        also: names of further variables that it shall get.
    """
    wanted = _CLI | _MARKS | set(also)
    return {name: value for name, value in base.items() if name in wanted or _is_for_cli(name)}


def without_our_secrets(base: Mapping[str, str]) -> dict[str, str]:
    """An environment without what only Rightseat should know: its keys, its vaults' tokens, addresses with a password in them."""
    return {name: value for name, value in base.items() if not _is_our_secret(name, value)}


def _is_for_cli(name: str) -> bool:
    upper = name.upper()
    if upper in _CLI and upper.endswith("_PROXY"):  # also in small letters, as curl has them
        return True
    return name.startswith(_CLI_FAMILIES) and not _SECRET.search(upper)


def _is_our_secret(name: str, value: str) -> bool:
    if not _OURS.search(name):
        return False
    return bool(_SECRET.search(name.removesuffix("_FILE")) or _LOGIN_IN_ADDRESS.match(value))
