"""The gateway's own keys: made, listed, ended, given a new secret."""

from __future__ import annotations

from rightseat.gateway.access.access import Access
from rightseat.gateway.access.views import grace_of, key_fields, key_shown, keys_shown
from rightseat.gateway.endpoints.management.endpoint import NotFoundError, Operation, Result
from rightseat.gateway.request import Request
from rightseat.wire.body import json_object


class KeyOperations:
    """Operations on the table of keys."""

    def __init__(self, access: Access) -> None:
        self._keys = access.keys
        self._admission = access.admission

    @property
    def operations(self) -> dict[str, Operation]:
        """By the names in `routes`."""
        return {
            "keys": self._list,
            "key_create": self._create,
            "key_revoke": self._revoke,
            "key_rotate": self._rotate,
        }

    async def _list(self, _: Request) -> Result:
        return {"keys": await keys_shown(self._keys, self._admission)}

    async def _create(self, request: Request) -> Result:
        fields = key_fields(json_object(await request.exchange.body()))
        key, text = await self._keys.create(**fields)
        return {**key_shown(key), "key": text}

    async def _revoke(self, request: Request) -> Result:
        revoked = await self._keys.revoke(request.value)
        if revoked is None:
            raise NotFoundError(f"there is no key {request.value[:40]!r}")
        return key_shown(revoked)

    async def _rotate(self, request: Request) -> Result:
        grace = grace_of(json_object(await request.exchange.body() or b"{}"))
        rotated = await self._keys.rotate(request.value, grace)
        if rotated is None:
            raise NotFoundError(f"there is no active key {request.value[:40]!r}")
        return {**key_shown(rotated[0]), "key": rotated[1]}
