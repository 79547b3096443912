"""The pepper: the secret that keys the hashes of keys, kept apart from the database that holds them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from rightseat.errors import ConfigError
from rightseat.gateway.config import Settings
from rightseat.ids import SYSTEM_IDS
from rightseat.security.files import write_private
from rightseat.security.sources import find_secret


def pepper_of(settings: Settings, *, make: bool) -> bytes:
    """The secret RIGHTSEAT_KEY_PEPPER, else the file `pepper` beside the accounts. Blocks for a moment.

    Args:
        settings: where to look.
        make: make one if there are no keys yet.

    Raises:
        ConfigError: there is none, and none may be made because keys were made with one.
    """
    given = find_secret("RIGHTSEAT_KEY_PEPPER", folder=settings.folder)
    if given is not None:
        return given.reveal().encode()
    path = settings.folder / "pepper"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as e:
        raise ConfigError(f"the pepper of the keys {path} cannot be read: {e.strerror}") from e
    if settings.database:
        raise ConfigError(
            "where `database` is set, all gateways must be given the same pepper of its keys: set the secret RIGHTSEAT_KEY_PEPPER "
            "(make one: openssl rand -hex 32), and keep it as long as its keys"
        )
    database = settings.folder / "keys.sqlite"
    if not make or database.exists():
        raise ConfigError(
            f"the pepper of the keys is missing: {path} is not there, and RIGHTSEAT_KEY_PEPPER is not set. "
            "Restore it from a backup, or remove the database of keys and create new keys."
        )
    try:
        return _made(path)
    except OSError as e:
        raise ConfigError(f"the pepper of the keys {path} cannot be made: {e.strerror}") from e


def _made(path: Path) -> bytes:
    fresh = path.with_name(f".pepper-{os.getpid()}")
    write_private(fresh, SYSTEM_IDS.entropy(32).hex().encode())
    try:
        with contextlib.suppress(FileExistsError):  # another process was quicker; its pepper counts
            os.link(fresh, path)
    finally:
        fresh.unlink()
    return path.read_bytes()
