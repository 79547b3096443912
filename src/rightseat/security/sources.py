"""Where keys come from, in a stated order; the first source that has one gives it.

1. the environment, 2. a file that the environment names, 3. the system's keyring, 4. HashiCorp Vault, 5. Azure Key Vault, 6. an encrypted
file of our own. A source that is not set up is skipped silently; one that is set up and fails is an error, because a key from
further down may be an old one. Nothing here knows what a key is for.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rightseat.errors import ConfigError
from rightseat.log import logger
from rightseat.security.sealed import SealedFile
from rightseat.security.secret import Secret

SERVICE = "rightseat"  # in keyrings
REFERENCE = "secret:"  # in settings: "secret:NAME" is replaced by the secret of that name
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,126}")
_FILE_BYTES = 64 * 1024


class Source(Protocol):
    """A place that may have a secret.

    Attributes:
        label: for people.
    """

    label: str

    def get(self, name: str) -> Secret | None:
        """The secret of that name, or None. Raises ConfigError: the source is set up, and does not work."""


class Environment:
    """A variable of that name, in capitals."""

    label = "environment"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, name: str) -> Secret | None:
        """See Source."""
        value = self._environment.get(variable_of(name))
        return Secret(value) if value else None


class NamedFile:
    """A file that the variable `NAME_FILE` names, as container platforms mount secrets. One line end at its end is not part of it."""

    label = "file named by the environment"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, name: str) -> Secret | None:
        """See Source."""
        variable = f"{variable_of(name)}_FILE"
        path = self._environment.get(variable)
        if not path:
            return None
        try:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(_FILE_BYTES + 1)
        except (OSError, UnicodeDecodeError) as e:
            raise ConfigError(
                f"{variable}: {path} cannot be read: {getattr(e, 'strerror', None) or 'no UTF-8'}"
            ) from None
        if len(text) > _FILE_BYTES:
            raise ConfigError(f"{variable}: {path} is larger than {_FILE_BYTES} bytes")
        value = text.removesuffix("\n").removesuffix("\r")
        if not value:
            raise ConfigError(f"{variable}: {path} is empty")
        return Secret(value)


class Keyring:
    """The system's keyring, if it has one that encrypts. Backends that store plain text are passed over with a warning."""

    label = "keyring"

    def get(self, name: str) -> Secret | None:
        """See Source."""
        if (keyring := _keyring()) is None:
            return None
        if reason := unsafe_backend(keyring.get_keyring()):
            logger.warning("the keyring is not used: %s", reason)
            return None
        try:
            value = keyring.get_password(SERVICE, name)
        except keyring.errors.NoKeyringError:
            return None
        except keyring.errors.KeyringError as e:
            raise ConfigError(f"the keyring did not return {name}: {type(e).__name__}") from None
        return Secret(value) if value else None

    def set(self, name: str, value: Secret) -> None:
        """Save. Raises ConfigError: there is no keyring, or none that encrypts."""
        keyring = _keyring()
        if keyring is None:
            raise ConfigError("there is no keyring: pip install 'rightseat[secrets]'")
        if reason := unsafe_backend(keyring.get_keyring()):
            raise ConfigError(f"the keyring is refused: {reason}")
        try:
            keyring.set_password(SERVICE, name, value.reveal())
        except keyring.errors.KeyringError as e:
            raise ConfigError(f"the keyring did not store {name}: {e}") from None


class Vault:
    """HashiCorp Vault, version 2 of its key-value engine: the field `name` of one secret.

    Args:
        url: VAULT_ADDR.
        token: VAULT_TOKEN.
        path: RIGHTSEAT_VAULT_PATH: mount and path, as in "secret/rightseat".
        namespace: VAULT_NAMESPACE.
    """

    label = "vault"

    def __init__(self, url: str, token: Secret, path: str, namespace: str = "") -> None:
        self._url, self._token, self._namespace = url, token, namespace
        self._mount, _, self._path = path.strip("/").partition("/")
        if not self._mount or not self._path:
            raise ConfigError(f"RIGHTSEAT_VAULT_PATH: must be MOUNT/PATH, as in secret/rightseat, not {path!r}")

    def get(self, name: str) -> Secret | None:
        """See Source."""
        try:
            import hvac
        except ModuleNotFoundError as e:
            raise ConfigError("Vault needs the package hvac: pip install 'rightseat[vault]'") from e
        client = hvac.Client(self._url, token=self._token.reveal(), namespace=self._namespace or None, timeout=10)
        try:
            found = client.secrets.kv.v2.read_secret_version(
                path=self._path, mount_point=self._mount, raise_on_deleted_version=False
            )
            value = (found["data"]["data"] or {}).get(name)
        except hvac.exceptions.InvalidPath:
            return None
        except Exception as e:  # hvac's own errors, and those of requests below it
            raise ConfigError(f"Vault at {self._url} does not give {name}: {type(e).__name__}") from None
        return Secret(str(value)) if value else None


class AzureVault:
    """Azure Key Vault. Names there have dashes where ours have underscores.

    Args:
        url: RIGHTSEAT_AZURE_VAULT, as in "https://NAME.vault.azure.net".
        credential: azure-identity's default chain otherwise.
    """

    label = "azure"

    def __init__(self, url: str, credential: Any = None) -> None:
        if not url.startswith("https://"):
            raise ConfigError("RIGHTSEAT_AZURE_VAULT: must begin with https://")
        self._url, self._credential = url, credential

    def get(self, name: str) -> Secret | None:
        """See Source."""
        try:
            from azure.core.exceptions import AzureError, ResourceNotFoundError
            from azure.identity import DefaultAzureCredential
            from azure.keyvault.secrets import SecretClient
        except ModuleNotFoundError as e:
            raise ConfigError("Azure Key Vault needs two packages: pip install 'rightseat[azure]'") from e
        try:
            with SecretClient(
                self._url,
                self._credential or DefaultAzureCredential(),
                verify_challenge_resource=self._url.endswith(".vault.azure.net"),
                retry_total=2,
                connection_timeout=10,
            ) as client:
                value = client.get_secret(name.lower().replace("_", "-")).value
        except ResourceNotFoundError:
            return None
        except AzureError as e:
            raise ConfigError(f"Azure Key Vault {self._url} does not give {name}: {type(e).__name__}") from None
        return Secret(value) if value else None


class Sealed:
    """Our own encrypted file, opened by the passphrase RIGHTSEAT_SECRETS_PASSPHRASE (or what ..._FILE names)."""

    label = "encrypted file"

    def __init__(self, path: Path, passphrase: Secret | None) -> None:
        self._path, self._passphrase = path, passphrase

    def get(self, name: str) -> Secret | None:
        """See Source."""
        if self._passphrase is None or not self._path.exists():
            return None
        return SealedFile(self._path, self._passphrase).get(name)


def default_sources(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> list[Source]:
    """The sources that are set up, in their order.

    Args:
        environment: ours otherwise.
        folder: where the encrypted file `secrets.json` is; `RIGHTSEAT_HOME` or this user's settings otherwise.

    Raises:
        ConfigError: one is set up by halves; the message names the variable.
    """
    environment = os.environ if environment is None else environment
    direct: list[Source] = [Environment(environment), NamedFile(environment)]
    sources = list(direct)
    if environment.get("RIGHTSEAT_KEYRING", "on") != "off":
        sources.append(Keyring())
    if path := environment.get("RIGHTSEAT_VAULT_PATH"):
        token = first(direct, "VAULT_TOKEN")
        if not environment.get("VAULT_ADDR") or token is None:
            raise ConfigError("RIGHTSEAT_VAULT_PATH: needs VAULT_ADDR and VAULT_TOKEN (or VAULT_TOKEN_FILE), too")
        sources.append(Vault(environment["VAULT_ADDR"], token, path, environment.get("VAULT_NAMESPACE", "")))
    if url := environment.get("RIGHTSEAT_AZURE_VAULT"):
        sources.append(AzureVault(url))
    where = secrets_file(environment, folder)
    sources.append(Sealed(where, first(direct, "RIGHTSEAT_SECRETS_PASSPHRASE")))
    return sources


def secrets_file(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Path:
    """Where the encrypted file is."""
    environment = os.environ if environment is None else environment
    if folder is None:
        base = environment.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        folder = Path(environment.get("RIGHTSEAT_HOME") or Path(base) / "rightseat")
    return folder / "secrets.json"


def first(sources: Sequence[Source], name: str) -> Secret | None:
    """What the first source that has it gives, or None. Raises ConfigError: the name is none, or a source fails."""
    if not _NAME.fullmatch(name):
        raise ConfigError("a secret's name has letters, digits, '_' and '-', and begins with a letter")
    return next((found for source in sources if (found := source.get(name)) is not None), None)


def find_secret(
    name: str, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Secret | None:
    """A secret from wherever it is.

        token = find_secret("COPILOT_API_KEY")

    Vault and Azure are asked over the network and block: call it in a thread (`asyncio.to_thread`) where a loop runs.

    Raises:
        ConfigError: a source is set up and does not work; the message names it.
    """
    return first(default_sources(environment, folder), name)


def require_secret(name: str, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Secret:
    """The same where there must be one.

    Raises:
        ConfigError: no source has it: the message names its variable and the places that were looked at. Or as `find_secret`.
    """
    sources = default_sources(environment, folder)
    found = first(sources, name)
    if found is None:
        raise ConfigError(missing(name, sources, secrets_file(environment, folder)))
    return found


def missing(name: str, sources: Sequence[Source], file: Path) -> str:
    """What to do about a secret that no source has: its variable, and the places that were looked at."""
    variable = variable_of(name)
    labels = {source.label: source.label for source in sources}
    labels[Environment.label] = f"the environment variable {variable}"
    labels[NamedFile.label] = f"the file that {variable}_FILE names"
    if Sealed.label in labels:
        labels[Sealed.label] = f"the encrypted file {file}"
    return (
        f"{variable} not found. Set that environment variable, or store it with `rightseat secrets set {name}`; looked at: "
        + ", ".join(labels.values())
    )


def resolve(value: str, where: str, *, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """`value`, or the secret it refers to if it is `secret:NAME`. Raises ConfigError: there is none of that name."""
    if not value.startswith(REFERENCE):
        return value
    name = value.removeprefix(REFERENCE)
    found = find_secret(name, environment=environment, folder=folder)
    if found is None:
        raise ConfigError(f"{where}: there is no secret {name!r}; see `rightseat secrets --help`")
    return found.reveal()


def variable_of(name: str) -> str:
    """The environment variable of a secret."""
    return name.upper().replace("-", "_")


def unsafe_backend(backend: object) -> str:
    """Why a keyring backend must not be used; "": it may be."""
    kind = type(backend)
    where = f"{kind.__module__}.{kind.__qualname__}"
    for inner in getattr(backend, "backends", None) or ():  # a chain of several
        if reason := unsafe_backend(inner):
            return reason
    if "plaintext" in where.lower() or where.startswith("keyrings.alt.file.PlainText"):
        return f"its backend {where} stores plain text"
    if where.startswith("keyring.backends.null"):
        return f"its backend {where} keeps nothing"
    return ""


def _keyring() -> Any:
    """The library, or None where it is not installed, or can find nothing: importing it is a third of a short command's time."""
    if "keyring" not in sys.modules and not _may_have_keyring():
        return None
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError:
        return None
    return keyring


def _may_have_keyring() -> bool:
    """Whether this machine can have a keyring: a desktop's is reached over D-Bus, any other is configured or a package of its own."""
    if sys.platform != "linux":
        return True
    session = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "bus"
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "python_keyring"
    named = any(os.environ.get(name) for name in ("DBUS_SESSION_BUS_ADDRESS", "PYTHON_KEYRING_BACKEND"))
    return named or session.exists() or config.exists() or importlib.util.find_spec("keyrings") is not None
