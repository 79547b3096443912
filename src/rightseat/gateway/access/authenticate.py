"""Who asks, by the key that the head of a request shows. Does not know what they may do (`authorize`) and how much (`admission`).

Keys are looked up in memory. A key that does not fit is looked up once more in the database, whatever is wrong with it, since another worker
may just have made it: an unknown id, a wrong secret and a revoked key take the same time in the same way.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import CallerError
from rightseat.gateway.access.caller import MANAGEMENT, Caller
from rightseat.gateway.access.keys import KeyRing
from rightseat.gateway.access.lockout import LockedOutError, Lockout, LockoutPolicy
from rightseat.gateway.access.refusals import Reason, Refusals
from rightseat.gateway.config import Settings
from rightseat.log import logger
from rightseat.security.key_material import kind_of, said_of
from rightseat.state.key_record import PREFIX, Key, split

_NOBODY = Key(id="nobody", name="nobody", digest="0" * 64, created_at=0.0)
_TOKENS = ("github", "github_app", "copilot")


class ClientKeyError(CallerError):
    """The client sent no key, or a wrong one."""

    status_hint = 401
    code = "invalid_api_key"


class Authenticator:
    """Lets callers in.

    Args:
        settings: see Settings.
        ring: the gateway's own keys.
        refusals: where refusals are counted.
        clock: time.
    """

    def __init__(self, settings: Settings, ring: KeyRing, refusals: Refusals, clock: Clock = SYSTEM_CLOCK) -> None:
        self._ring, self._refusals, self._clock = ring, refusals, clock
        self._lockout, self._admin_lockout = Lockout(), Lockout()
        self._apply(settings)

    def configure(self, settings: Settings) -> None:
        """Use other settings from now on; keys that are no longer in them are reported as changed."""
        before = set(self._given)
        self._apply(settings)
        self._ring.tell({"", MANAGEMENT, *before, *self._given})

    def _apply(self, settings: Settings) -> None:
        self._settings = settings
        self._given = {f"config-{i}": _hashed(key) for i, key in enumerate(settings.keys, 1)}
        self._management = _hashed(settings.management_key) if settings.management_key else ""
        policy = LockoutPolicy(failures=settings.lockout_failures)
        self._lockout.policy = self._admin_lockout.policy = policy

    @property
    def is_needed(self) -> bool:
        """A key must be shown."""
        return bool(self._given or self._settings.require_key or len(self._ring))

    async def authenticate(self, headers: Mapping[str, str], address: str, scope: str) -> Caller:
        """Who asks.

        Args:
            headers: names in lower case.
            address: where the request comes from.
            scope: what it is for; the management key may read metrics, too.

        Raises:
            ClientKeyError: no key, or a wrong one. LockedOutError: a wrong one, and too many of them came from this address.
            KeyDatabaseError: the key does not fit here, and whether it is a new one cannot be looked up.
        """
        text = shown_key(headers)
        parts = split(text)
        caller = self._given_caller(text, address) or self._own_caller(parts, address)
        if caller is None and parts is not None:
            await self._ring.refresh()
            caller = self._own_caller(parts, address)
        if caller is not None:
            return caller
        if scope == "metrics" and self._is_management(text):
            return Caller(MANAGEMENT, MANAGEMENT, digest=self._management, address=address)
        kind = kind_of(text)
        if kind in _TOKENS:
            self._refuse("token", address)
            raise ClientKeyError(f"{said_of(text)}; the gateway accepts only its own keys, never a token")
        if not self.is_needed:
            if scope == "metrics" and self._management:
                self.check_management(headers, address)
            return Caller(address=address)
        if parts is not None and (ended := self._ended(parts)):
            self._refuse(ended, address, failed=False)
            raise ClientKeyError(f"this key is {ended}")
        self._refuse("missing" if kind == "empty" else "wrong", address, failed=kind != "empty")
        raise _wrong(text, kind)

    def still(self, caller: Caller) -> Caller:
        """The same caller now, for whatever lives long: sockets, streams.

        Raises:
            ClientKeyError: the key has ended, or the secret that was shown, or a key has become needed and none was shown.
        """
        ended = ""
        if caller.key is not None:
            key = self._ring.get(caller.key.id)
            ended = _end_of(key, caller.digest, self._clock.wall())
            if not ended and key is not None:
                return Caller(key.id, key.name, key, caller.digest, caller.address)
        elif caller.id == MANAGEMENT:
            ended = "" if caller.digest == self._management else "replaced"
        elif caller.id:
            ended = "" if caller.digest in self._given.values() else "revoked"
        elif self.is_needed:
            self._refusals.count("missing")
            raise _wrong("", "empty")
        if ended:
            self._refusals.count(ended)
            raise ClientKeyError(
                f"this key is {ended}" if ended != "replaced" else "this key was replaced by a new one"
            )
        return caller

    def check_management(self, headers: Mapping[str, str], address: str) -> None:
        """Raises ClientKeyError, or LockedOutError after too many wrong ones: the management key was not shown."""
        text = shown_key(headers)
        if self._is_management(text):
            return
        now = self._clock.now()
        if wait := self._admin_lockout.wait(address, now):
            self._refusals.count("locked_out")
            raise LockedOutError(wait)
        self._refusals.count("management")
        if text and self._admin_lockout.failed(address, now):
            logger.warning("%s sent too many wrong management keys and is locked out", address)
        raise ClientKeyError("missing or wrong management key; send it as Authorization: Bearer KEY, or x-api-key")

    def _own_caller(self, parts: tuple[str, str] | None, address: str) -> Caller | None:
        if parts is None:
            return None
        key = self._ring.get(parts[0])
        now = self._clock.wall()
        # Compared in any case, so that the time tells nothing.
        digest = (key or _NOBODY).matching(self._ring.digest(parts[1]), now)
        if key is None or not digest or key.state(now) != "active":
            return None
        return Caller(key.id, key.name, key, digest, address)

    def _given_caller(self, text: str, address: str) -> Caller | None:
        shown = _hashed(text)
        found = [name for name, digest in self._given.items() if hmac.compare_digest(shown, digest)]  # all are compared
        return Caller(found[0], found[0], digest=shown, address=address) if found else None

    def _is_management(self, text: str) -> bool:
        return bool(self._management) and hmac.compare_digest(_hashed(text), self._management)

    def _ended(self, parts: tuple[str, str]) -> Reason | None:
        """Why a key counts no more, told to who shows its right secret only."""
        key = self._ring.get(parts[0])
        fits = (key or _NOBODY).matching(self._ring.digest(parts[1]), self._clock.wall())
        if key is None or not fits:
            return None
        return "revoked" if key.revoked_at is not None else "expired"

    def _refuse(self, reason: Reason, address: str, *, failed: bool = True) -> None:
        """Count a refusal. Raises LockedOutError: too many before it."""
        now = self._clock.now()
        if wait := self._lockout.wait(address, now):
            self._refusals.count("locked_out")
            raise LockedOutError(wait)
        self._refusals.count(reason)
        if failed and self._lockout.failed(address, now):
            logger.warning("%s sent too many wrong keys and is locked out", address)


def shown_key(headers: Mapping[str, str]) -> str:
    """The key that a client shows: `x-api-key`, or the bearer of `Authorization`."""
    return headers.get("x-api-key") or headers.get("authorization", "").partition(" ")[2].strip()


def _end_of(key: Key | None, digest: str, now: float) -> str:
    """Why a caller who showed a secret of this digest is to go; "": there is no reason."""
    if key is None:
        return "revoked"
    state = key.state(now)
    if state != "active":
        return state
    return "" if key.matching(digest, now) else "replaced"


def _hashed(key: str) -> str:
    """Of the same length whatever is given, so that comparing tells no length."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()


def _wrong(text: str, kind: str) -> ClientKeyError:
    if kind == "empty":
        return ClientKeyError("an API key is required; send it as Authorization: Bearer KEY, or x-api-key")
    foreign = (
        ""
        if kind == "other" or text.startswith(PREFIX)
        else f": {said_of(text)}; the gateway accepts only its own keys"
    )
    return ClientKeyError(f"Invalid API key{foreign}")
