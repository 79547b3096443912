"""Settings: one frozen value, out of a TOML file, the environment and the command line; the later ones win.

This is the only module that reads them. What is wrong is refused by the name of the setting and the place where it stands.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct, field

from rightseat.accounts.hosts import is_loopback
from rightseat.accounts.identity import Editor
from rightseat.accounts.store import default_folder
from rightseat.errors import ConfigError
from rightseat.gateway.setting_values import convert, unknown_variables
from rightseat.json_types import JsonObject
from rightseat.log import logger
from rightseat.masking import mask_secret
from rightseat.security.sources import NamedFile, resolve
from rightseat.transport.http.choice import HttpClient

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PREFIX = "RIGHTSEAT_"
_TABLES = ("aliases", "editor")  # in a file only
_LISTS = ("keys", "allowed_hosts", "allowed_origins", "trusted_proxies")
# Variables of ours that are read elsewhere, without the prefix.
_OTHER_VARIABLES = (
    "AZURE_VAULT", "CHILD", "KEYRING", "KEYS_FILE", "KEY_PEPPER", "KEY_PEPPER_FILE", "LISTENER", "MANAGEMENT_KEY_FILE", "SECRETS_NEW_PASSPHRASE",
    "SECRETS_PASSPHRASE", "SECRETS_PASSPHRASE_FILE", "SIMULATOR_URL", "SUPERVISOR", "VAULT_PATH",
)  # fmt: skip
# Settings that are built into what runs: a change of one needs a restart. All others may change on SIGHUP.
_NEED_RESTART = frozenset({
    "host", "port", "home", "database", "editor", "metrics", "answer_seconds", "attempts", "breaker", "concurrency", "queue", "queue_seconds",
    "http_client", "http_server", "body_memory", "socket_memory",
})  # fmt: skip
_AT_LEAST_1 = (
    "body_limit", "header_limit", "body_memory", "socket_memory", "connections", "sockets_per_key", "max_messages", "max_tools", "attempts",
)  # fmt: skip
_MORE_THAN_0 = ("answer_seconds", "queue_seconds")
_NOT_NEGATIVE = (
    "header_seconds", "body_seconds", "ping_seconds", "drain_seconds", "connections_per_address", "concurrency", "queue", "lockout_failures",
)  # fmt: skip


class SettingsChanges(NamedTuple):
    """How two settings differ. Names only, since values may be secrets.

    Attributes:
        changed: the settings that differ.
        needs_restart: those of them that take effect only after a restart.
    """

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of the gateway. Sizes are in bytes, times in seconds.

    Attributes:
        host, port: the address to listen on. Off loopback, `keys` or `require_key` must be set.
        keys: keys that clients must send as a bearer token or as `x-api-key`; empty: no key is required.
        management_key: the key of `/v0/management`; empty: management is off.
        github_host: where new accounts log in by default: "github.com", or "TENANT.ghe.com".
        home: the folder with the accounts.
        allowed_hosts: names accepted in the Host header beside loopback's, while listening on loopback; "*": any.
        allowed_origins: web origins that may call the gateway, such as "https://chat.example.org"; "*": any.
        trusted_proxies: addresses or networks of proxies whose X-Forwarded-For and Forwarded headers tell the client's address. From
            any other peer these headers are ignored.
        require_key: clients must send a key even while none exists; otherwise only once one exists.
        database: SQLAlchemy URL of the database for keys; "": the file `keys.sqlite` in `home`.
        lockout_failures: wrong keys from one address within a minute before that address is locked out; 0: no lockout.
        redact_requests: what to do with secrets in requests: "off", "report" (log and metrics), "redact" or "block".
        redact_answers: the same for answers. All but "off" decode and encode each event instead of passing it on.
        screen_requests: what to do with requests that look like a prompt injection: "off", "report" or "block".
        sensitive: what counts as sensitive: "secrets", or "all" to include personal data.
        metrics: serve `/metrics`.
        log_content: log requests and answers, redacted.
        http_server: "core", the gateway's own, which costs less per request, or "uvicorn".
        header_limit: the largest head of a request.
        body_limit: the largest body of a request.
        body_memory: memory for the bodies of all requests together; a request that does not fit gets 503.
        socket_memory: memory for what all WebSocket sessions hold together.
        header_seconds: time limit for receiving the head of a request; 0: none.
        body_seconds: time limit for receiving the body; 0: none.
        ping_seconds: silence in a stream after which a comment keeps it alive; 0: never.
        drain_seconds: how long open streams may continue after SIGTERM.
        connections: concurrent connections.
        connections_per_address: concurrent connections from one address; 0: no limit.
        sockets_per_key: concurrent WebSockets of one key.
        max_messages: messages or input items in one request.
        max_tools: tools in one request.
        answer_seconds: time limit for a whole answer.
        attempts: attempts per request, if upstream does not answer or fails; never after the answer has begun.
        breaker: open the circuit of a model for some seconds after most of its requests failed.
        concurrency: concurrent answers; 0: no limit.
        queue: requests that may wait while `concurrency` is reached.
        queue_seconds: how long they may wait in the queue.
        http_client: what requests are sent to Copilot with: "aiohttp", or "direct", a client of our own that costs less.
        custom_tools: "pass" tools with free-text input unchanged, or make each a "function" with one text parameter.
        unsupported_tools: "drop" tools that only OpenAI or Anthropic can run, where the model speaks another dialect, with a warning; or "refuse" the request.
        search_model: the model that searches the web for clients that ask the gateway to, such as Codex: one that Copilot serves over /responses; "": no search.
        log: "console": a readable line per request; "json": the same as JSON; "off": warnings only.
        log_level: "debug", "info", "warning" or "error".
        aliases: model name -> model id.
        editor: the client id, user agent and versions that the gateway sends to GitHub.
    """

    host: str = "127.0.0.1"
    port: int = 4141
    keys: tuple[str, ...] = ()
    management_key: str = ""
    github_host: str = "github.com"
    home: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    require_key: bool = False
    database: str = ""
    lockout_failures: int = 10
    redact_requests: Literal["off", "report", "redact", "block"] = "report"
    redact_answers: Literal["off", "report", "redact", "block"] = "off"
    screen_requests: Literal["off", "report", "block"] = "report"
    sensitive: Literal["secrets", "all"] = "secrets"
    metrics: bool = True
    log_content: bool = False
    http_server: Literal["core", "uvicorn"] = "core"
    header_limit: int = 64 * 1024
    body_limit: int = 64 * 1024 * 1024
    body_memory: int = 128 * 1024 * 1024
    socket_memory: int = 128 * 1024 * 1024
    header_seconds: float = 20.0
    body_seconds: float = 120.0
    ping_seconds: float = 15.0
    drain_seconds: float = 30.0
    connections: int = 10_000
    connections_per_address: int = 4096
    sockets_per_key: int = 100
    max_messages: int = 10_000
    max_tools: int = 1024
    answer_seconds: float = 3600.0
    attempts: int = 2
    breaker: bool = True
    concurrency: int = 0
    queue: int = 1000
    queue_seconds: float = 30.0
    http_client: HttpClient = "direct"
    custom_tools: Literal["pass", "function"] = "pass"
    unsupported_tools: Literal["refuse", "drop"] = "drop"
    search_model: str = ""
    log: Literal["off", "console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    aliases: dict[str, str] = field(default_factory=dict)
    editor: Editor = field(default_factory=Editor)

    @property
    def folder(self) -> Path:
        """The folder with the accounts."""
        return Path(self.home) if self.home else default_folder()

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """`trusted_proxies`, read."""
        return tuple(ipaddress.ip_network(each, strict=False) for each in self.trusted_proxies)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port: must be 0 to 65535, not {self.port}")
        if not self.keys and not self.require_key and not is_loopback(self.host):
            raise ConfigError(
                f"host: listening on {self.host} needs keys=[...] or require_key=true; otherwise anyone could use your account"
            )
        self._check_keys()
        self._check_numbers()
        _check_proxies(self.trusted_proxies)

    def _check_keys(self) -> None:
        if any(len(key) < 16 for key in self.keys):
            raise ConfigError("keys: a key must have at least 16 characters")
        if self.management_key and len(self.management_key) < 16:
            raise ConfigError("management_key: a key must have at least 16 characters")
        if self.management_key and self.management_key in self.keys:
            raise ConfigError("management_key: must differ from the keys of clients")

    def _check_numbers(self) -> None:
        values = {name: getattr(self, name) for name in (*_AT_LEAST_1, *_MORE_THAN_0, *_NOT_NEGATIVE)}
        for name, value in values.items():
            if name in _AT_LEAST_1 and not value >= 1:
                raise ConfigError(f"{name}: must be at least 1, not {value}")
            if name in _MORE_THAN_0 and not value > 0:
                raise ConfigError(f"{name}: must be more than 0, not {value}")
            if not value >= 0:
                raise ConfigError(f"{name}: must not be negative, not {value}")
        if self.body_memory < self.body_limit:
            raise ConfigError(f"body_memory: must be at least body_limit, {self.body_limit}, not {self.body_memory}")

    def changes(self, other: Settings) -> SettingsChanges:
        """What differs in the other settings, and what of it a running gateway cannot take over."""
        changed = tuple(name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name))
        return SettingsChanges(changed, tuple(name for name in changed if name in _NEED_RESTART))

    def shown(self) -> JsonObject:
        """The settings for people, secrets masked."""
        value: JsonObject = msgspec.to_builtins(self)
        return {
            **value,
            "keys": [mask_secret(key) for key in self.keys],
            "management_key": mask_secret(self.management_key) if self.management_key else "",
            "home": str(self.folder),
            "database": _without_password(self.database),
        }


FROM_ENVIRONMENT = tuple(name for name in Settings.__struct_fields__ if name not in _TABLES)


def _check_proxies(proxies: tuple[str, ...]) -> None:
    for i, each in enumerate(proxies):
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError:
            said = f"trusted_proxies[{i}]: {each[:60]!r} is not an address or a network such as 10.0.0.0/8"
            raise ConfigError(said) from None


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url


def load_settings(
    path: Path | None = None, environment: Mapping[str, str] | None = None, given: Mapping[str, object] | None = None
) -> Settings:
    """The settings in force.

    A variable that begins with RIGHTSEAT_ and means nothing is named in a warning.

    Args:
        path: a TOML file; `rightseat.toml` in the account folder otherwise, if it is there.
        environment: variables such as RIGHTSEAT_PORT; the process's own otherwise. Lists are separated by commas.
        given: from the command line; None and () count as not given.

    Raises:
        ConfigError: naming the setting, what is wrong with it, and the file or variable.
    """
    environment = os.environ if environment is None else environment
    values, places = _gather(path, environment, given or {})
    for name, hint in ignored_variables(environment):
        logger.warning("the environment variable %s is not a setting and is ignored%s", name[:100], hint)
    folder = Path(values["home"]) if isinstance(values.get("home"), str) and values["home"] else None
    _resolve_secrets(values, environment, folder)
    return convert(values, Settings, places)


def ignored_variables(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that look like settings and are none, each with a hint at the nearest one that is, or ""."""
    return unknown_variables(environment, _PREFIX, [*map(str.upper, FROM_ENVIRONMENT), *_OTHER_VARIABLES])


def _gather(
    path: Path | None, environment: Mapping[str, str], given: Mapping[str, object]
) -> tuple[JsonObject, dict[str, str]]:
    """The values of all sources, and where each comes from."""
    if path is None and (standard := default_folder() / "rightseat.toml").is_file():
        path = standard
    values = _read(path) if path is not None else {}
    places = dict.fromkeys(values, str(path))
    for name in FROM_ENVIRONMENT:
        variable = _PREFIX + name.upper()
        if text := environment.get(variable):
            values[name] = [part.strip() for part in text.split(",") if part.strip()] if name in _LISTS else text
            places[name] = variable
    for name, value in given.items():
        if value not in (None, ()):
            values[name] = value
            places[name] = ""
    return values, places


def _resolve_secrets(values: JsonObject, environment: Mapping[str, str], folder: Path | None) -> None:
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


def _read(path: Path) -> JsonObject:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"the settings file {path} cannot be read: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"the settings file {path} is not TOML: {e}") from e
