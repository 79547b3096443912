"""An encrypted file of secrets: Argon2id (RFC 9106) makes a key of a passphrase, AES-256-GCM (NIST SP 800-38D) seals all entries at once.

The names are sealed too, entries cannot be exchanged for one another, and every change makes a new salt and nonce. The head of the file
(how the key is made) is authenticated with the rest. Needs the package cryptography.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from rightseat.errors import ConfigError
from rightseat.ids import SYSTEM_IDS
from rightseat.security.files import write_private
from rightseat.security.secret import Secret

VERSION = 1
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12
_MAX_BYTES = 4 * 1024 * 1024


class Kdf(Struct, frozen=True, forbid_unknown_fields=True):
    """How the key is made: RFC 9106's second recommended choice, 64 MiB and three passes."""

    salt: str
    name: str = "argon2id"
    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    kdf: Kdf
    nonce: str
    data: str


class SealedFile:
    """The file. Opening it takes a tenth of a second: that is what makes guessing dear.

    Args:
        path: where; its folder is made when something is saved.
        passphrase: of at least 8 characters.

    Raises:
        ConfigError: the passphrase is too short.
    """

    def __init__(self, path: Path, passphrase: Secret) -> None:
        if len(passphrase.reveal()) < 8:
            raise ConfigError("the passphrase of the secrets file must have at least 8 characters")
        self.path = path
        self._passphrase = passphrase

    def names(self) -> list[str]:
        """The names of all entries. Raises as `get` does."""
        return sorted(self._open())

    def get(self, name: str) -> Secret | None:
        """An entry, or None.

        Raises:
            ConfigError: the file is damaged, or the passphrase is wrong.
        """
        value = self._open().get(name)
        return Secret(value) if value is not None else None

    def set(self, name: str, value: Secret) -> None:
        """Save an entry. Raises as `get` does, and if the file cannot be written; what was there is then untouched."""
        with self._locked():
            self._save({**self._open(), name: value.reveal()}, self._passphrase)

    def remove(self, name: str) -> bool:
        """Forget an entry. False: there was none. Raises as `set` does."""
        with self._locked():
            entries = self._open()
            if name not in entries:
                return False
            del entries[name]
            self._save(entries, self._passphrase)
            return True

    def rotate(self, passphrase: Secret) -> int:
        """Seal everything anew with another passphrase; gives the number of entries. Raises as `set` does."""
        new = SealedFile(self.path, passphrase)
        with self._locked():
            entries = self._open()
            self._save(entries, passphrase)
        self._passphrase = new._passphrase
        return len(entries)

    def _open(self) -> dict[str, str]:
        try:
            raw = self.path.read_bytes() if self.path.stat().st_size <= _MAX_BYTES else b""
        except FileNotFoundError:
            return {}
        except OSError as e:
            raise ConfigError(f"the secrets file {self.path} cannot be read: {e.strerror}") from e
        try:
            file = msgspec.json.decode(raw, type=_File)
            nonce, data = base64.b64decode(file.nonce, validate=True), base64.b64decode(file.data, validate=True)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as e:
            raise ConfigError(f"the secrets file {self.path} is damaged: {e}") from None
        if file.version != VERSION or len(nonce) != _NONCE_BYTES:
            raise ConfigError(f"the secrets file {self.path} has a version that is not known here: {file.version}")
        key = _key(self._passphrase, file.kdf, self.path)
        aead, invalid = _cipher(key)
        try:
            plain = aead.decrypt(nonce, data, _head(file.kdf))
            return msgspec.json.decode(plain, type=dict[str, str])
        except (invalid, msgspec.DecodeError, UnicodeDecodeError):
            raise ConfigError(
                f"the secrets file {self.path} cannot be opened: the passphrase is wrong, or the file was changed"
            ) from None

    def _save(self, entries: dict[str, str], passphrase: Secret) -> None:
        kdf = Kdf(salt=base64.b64encode(SYSTEM_IDS.entropy(_SALT_BYTES)).decode())
        aead, _ = _cipher(_key(passphrase, kdf, self.path))
        nonce = SYSTEM_IDS.entropy(_NONCE_BYTES)
        data = aead.encrypt(nonce, msgspec.json.encode(entries), _head(kdf))
        file = _File(VERSION, kdf, base64.b64encode(nonce).decode(), base64.b64encode(data).decode())
        try:
            write_private(self.path, msgspec.json.format(msgspec.json.encode(file), indent=1))
        except OSError as e:
            raise ConfigError(f"the secrets file {self.path} cannot be written: {e.strerror}") from e

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only one on this machine who changes the file."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(
                self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as e:
            raise ConfigError(f"the secrets file {self.path} cannot be written: {e.strerror}") from e
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _head(kdf: Kdf) -> bytes:
    return b"rightseat secrets %d " % VERSION + msgspec.json.encode(kdf)


def _key(passphrase: Secret, kdf: Kdf, path: Path) -> bytes:
    # A file from elsewhere must not choose how much memory and time it costs to be refused.
    fits = kdf.name == "argon2id" and 8 * 1024 <= kdf.memory_kib <= 1024 * 1024
    if not fits or not 1 <= kdf.iterations <= 16 or not 1 <= kdf.lanes <= 16:
        raise ConfigError(f"the secrets file {path} is damaged: its key derivation is not one that is made here")
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    except ModuleNotFoundError as e:
        raise ConfigError("the secrets file needs the package cryptography: pip install 'rightseat[secrets]'") from e
    try:
        salt = base64.b64decode(kdf.salt, validate=True)
        made = Argon2id(
            salt=salt, length=_KEY_BYTES, iterations=kdf.iterations, lanes=kdf.lanes, memory_cost=kdf.memory_kib
        )
        return made.derive(passphrase.reveal().encode())
    except ValueError as e:
        raise ConfigError(f"the secrets file {path} is damaged: {e}") from None


def _cipher(key: bytes) -> tuple[Any, type[Exception]]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key), InvalidTag
