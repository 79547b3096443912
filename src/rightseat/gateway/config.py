"""Settings: one frozen value, out of a TOML file, the environment and the command line, in this order of growing weight.

This is the only module that reads them. A file that is wrong is refused with the name of the setting.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from rightseat.accounts.hosts import is_loopback
from rightseat.accounts.identity import Editor
from rightseat.accounts.store import default_folder
from rightseat.errors import ConfigError
from rightseat.security.masking import mask_secret
from rightseat.security.sources import NamedFile, resolve

_PREFIX = "RIGHTSEAT_"
_FROM_ENVIRONMENT = (
    "host", "port", "keys", "allowed_hosts", "allowed_origins", "management_key", "github_host", "home", "body_limit", "header_seconds", "body_seconds", "ping_seconds", "drain_seconds", "connections",
    "header_limit", "database", "require_key", "lockout_failures", "redact_requests", "redact_answers", "screen_requests", "sensitive", "metrics", "log_content",
    "custom_tools", "unsupported_tools", "answer_seconds", "attempts", "breaker", "concurrency", "queue", "queue_seconds", "log", "log_level",
)  # fmt: skip

_LISTS = ("keys", "allowed_hosts", "allowed_origins")


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of the gateway.

    Attributes:
        host, port: where it listens. Off loopback, there must be `keys`, or `require_key`.
        keys: what clients must show, as a bearer or as `x-api-key`; empty: nothing.
        management_key: what `/v0/management` wants to be shown; empty: it is switched off.
        github_host: where new accounts log in when they do not say: "github.com", or "TENANT.ghe.com".
        home: the folder with the accounts.
        allowed_hosts: names in the Host header that are ours, beside loopback's, while it listens on loopback; "*": any.
        allowed_origins: web pages from elsewhere that may use it, as in "https://chat.example.org"; "*": any.
        require_key: a key must be shown, also while there is none yet; else one must be as soon as there is one.
        database: of the gateway's own keys, as SQLAlchemy writes it; "": the file `keys.sqlite` beside the accounts.
        lockout_failures: wrong keys from one address within a minute, after which it is not listened to for a while; 0: any number.
        redact_requests: what to do about secrets in requests: "off", "report" (in the log and the metrics), "redact" or "block".
        redact_answers: the same for answers. All but "off" read and write them event by event instead of passing them on.
        screen_requests: what to do about requests that look like an injection: "off", "report" or "block".
        sensitive: what counts: "secrets", or "all" with personal data, too.
        metrics: `/metrics` is served.
        log_content: what is said is logged, too, redacted.
        header_limit: bytes of the largest head of a request.
        body_limit: bytes of the largest request.
        header_seconds: how long the head of a request may take to come; 0: for ever.
        body_seconds: and how long its body.
        ping_seconds: how long a stream may be silent before a comment line keeps it alive; 0: never.
        drain_seconds: how long open streams may go on after SIGTERM.
        connections: how many clients may be connected at once.
        answer_seconds: how long an answer may take in all.
        attempts: how many times a request is sent, if nobody answers or Copilot is in trouble; never after the answer has begun.
        breaker: a model that fails most of the time is left alone for some seconds.
        concurrency: answers at once; 0: as many as there are clients.
        queue: requests that may wait then.
        queue_seconds: how long.
        custom_tools: tools that take text pass as they are, or become functions that take an object with a text.
        unsupported_tools: tools that only OpenAI or Anthropic can run are refused where the model's dialect is another, or dropped.
        log: "console" says a line a request, "json" the same for machines, "off" warnings only.
        log_level: "debug", "info", "warning" or "error".
        aliases: names of models -> ids.
        editor: who we say we are.
    """

    host: str = "127.0.0.1"
    port: int = 4141
    keys: tuple[str, ...] = ()
    management_key: str = ""
    github_host: str = "github.com"
    home: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    require_key: bool = False
    database: str = ""
    lockout_failures: int = 10
    redact_requests: Literal["off", "report", "redact", "block"] = "report"
    redact_answers: Literal["off", "report", "redact", "block"] = "off"
    screen_requests: Literal["off", "report", "block"] = "report"
    sensitive: Literal["secrets", "all"] = "secrets"
    metrics: bool = True
    log_content: bool = False
    header_limit: int = 64 * 1024
    body_limit: int = 64 * 1024 * 1024
    header_seconds: float = 20.0
    body_seconds: float = 120.0
    ping_seconds: float = 15.0
    drain_seconds: float = 30.0
    connections: int = 10_000
    answer_seconds: float = 3600.0
    attempts: int = 2
    breaker: bool = True
    concurrency: int = 0
    queue: int = 1000
    queue_seconds: float = 30.0
    custom_tools: Literal["pass", "function"] = "pass"
    unsupported_tools: Literal["refuse", "drop"] = "refuse"
    log: Literal["off", "console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    aliases: dict[str, str] = field(default_factory=dict)
    editor: Editor = field(default_factory=Editor)

    @property
    def folder(self) -> Path:
        """The folder with the accounts."""
        return Path(self.home) if self.home else default_folder()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port: must be 0 to 65535, not {self.port}")
        if not self.keys and not self.require_key and not is_loopback(self.host):
            raise ConfigError(
                f"host: listening on {self.host} needs keys=[...] or require_key=true, so that not everybody can use your account"
            )
        if any(len(key) < 16 for key in self.keys):
            raise ConfigError("keys: a key must have at least 16 characters")
        if self.management_key and len(self.management_key) < 16:
            raise ConfigError("management_key: a key must have at least 16 characters")
        if self.management_key and self.management_key in self.keys:
            raise ConfigError("management_key: must be another one than the keys of clients")
        for name in ("body_limit", "header_limit", "connections", "attempts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: must be at least 1, not {getattr(self, name)}")
        for name in ("answer_seconds", "queue_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}: must be more than 0, not {getattr(self, name)}")
        for name in (
            "header_seconds",
            "body_seconds",
            "ping_seconds",
            "drain_seconds",
            "concurrency",
            "queue",
            "lockout_failures",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: must not be negative, not {getattr(self, name)}")

    def shown(self) -> dict[str, Any]:
        """The settings for people, secrets masked."""
        value: dict[str, Any] = msgspec.to_builtins(self)
        return {
            **value,
            "keys": [mask_secret(key) for key in self.keys],
            "management_key": mask_secret(self.management_key) if self.management_key else "",
            "home": str(self.folder),
            "database": _without_password(self.database),
        }


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url


def load_settings(
    path: Path | None = None, environment: Mapping[str, str] | None = None, given: Mapping[str, Any] | None = None
) -> Settings:
    """The settings in force.

    Args:
        path: a TOML file; `rightseat.toml` in the account folder otherwise, if it is there.
        environment: variables such as RIGHTSEAT_PORT; ours otherwise. RIGHTSEAT_KEYS is separated by commas.
        given: from the command line; None counts as not given.

    Raises:
        ConfigError: naming the file, variable or option, and what is wrong with it.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    if path is None and (standard := default_folder() / "rightseat.toml").is_file():
        path = standard
    if path is not None:
        values |= _read(path)
    for name in _FROM_ENVIRONMENT:
        text = environment.get(_PREFIX + name.upper())
        if text:
            values[name] = [part.strip() for part in text.split(",") if part.strip()] if name in _LISTS else text
    values |= {name: value for name, value in (given or {}).items() if value not in (None, ())}
    folder = Path(values["home"]) if isinstance(values.get("home"), str) and values["home"] else None
    _resolve_secrets(values, environment, folder)
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as e:
        if isinstance(e.__cause__, ConfigError):
            raise e.__cause__ from None
        raise ConfigError(f"settings{f' ({path})' if path else ''}: {e}") from e


def _resolve_secrets(values: dict[str, Any], environment: Mapping[str, str], folder: Path | None) -> None:
    """Put secrets where settings name them: "secret:NAME", or a file by RIGHTSEAT_KEYS_FILE and the like."""
    direct = NamedFile(environment)
    if "management_key" not in values and (found := direct.get("RIGHTSEAT_MANAGEMENT_KEY")) is not None:
        values["management_key"] = found.reveal()
    if "keys" not in values and (found := direct.get("RIGHTSEAT_KEYS")) is not None:
        values["keys"] = found.reveal().split()
    if isinstance(key := values.get("management_key"), str):
        values["management_key"] = resolve(key, "management_key", environment=environment, folder=folder)
    if isinstance(keys := values.get("keys"), (list, tuple)):
        values["keys"] = [
            resolve(key, f"keys[{i}]", environment=environment, folder=folder) if isinstance(key, str) else key
            for i, key in enumerate(keys)
        ]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"the settings file {path} cannot be read: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"the settings file {path} is not TOML: {e}") from e
