"""Any method of the CLI, by name.

    await client.rpc("account.getQuota")
    await client.rpc.account.get_quota()
    await session.rpc.history.compact(custom_instructions="keep the names")

Method and parameter names may be in snake_case. Results are Records. This module does not know any method: what the CLI
offers, it says itself (`MethodNotFoundError` otherwise). Type checkers know the methods of one version, from `rpc_methods.pyi`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from rightseat.sdk.options import camelize
from rightseat.wire.record import as_record, to_camel

_decode = msgspec.json.Decoder().decode
DEFAULT = object()  # "the client's rpc_timeout", where None means "wait forever"


class CallMethod(Protocol):
    """Calls a method of the CLI."""

    def __call__(self, method: str, params: dict[str, object], timeout: float | None) -> Awaitable[Raw]:
        """The raw result."""
        ...


def decode_result(raw: Raw) -> Any:
    """A result as Records, lists and plain values."""
    return as_record(_decode(raw))


class Rpc:
    """A part of the CLI's method names; calling it calls the method.

    Args:
        call: sends a call and gives its raw result.
        prefix: the name so far.
        fixed: parameters sent with every call, such as the session id.
        timeout: seconds for one call unless it says otherwise; None waits forever.
    """

    def __init__(
        self,
        call: CallMethod,
        prefix: str = "",
        fixed: Mapping[str, object] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._call = call
        self._prefix = prefix
        self._fixed = dict(fixed or {})
        self._timeout = timeout

    def __getattr__(self, name: str) -> Rpc:
        if name.startswith("_"):
            raise AttributeError(name)
        prefix = f"{self._prefix}.{to_camel(name)}" if self._prefix else to_camel(name)
        return Rpc(self._call, prefix, self._fixed, self._timeout)

    async def __call__(self, *arguments: object, timeout: Any = DEFAULT, **keywords: object) -> Any:  # noqa: ASYNC109
        """Call the method.

        Args:
            *arguments: the rest of the method's name (optional) and a dict of parameters (optional).
            timeout: seconds; None waits forever.
            **keywords: parameters, in snake_case or as on the wire.

        Raises:
            TypeError: the arguments are not of that form.
            RpcError, RpcTimeoutError, ConnectionLostError: as any call.
        """
        method = self._prefix
        params: dict[str, object] = {}
        for argument in arguments:
            if isinstance(argument, str):
                start = f"{self._prefix}."
                method = argument if not self._prefix or argument.startswith(start) else start + argument
            elif isinstance(argument, Mapping):
                params.update(argument)
            else:
                raise TypeError(f"an RPC takes a method name and a dict of parameters, not {type(argument).__name__}")
        if not method:
            raise TypeError("name a method: client.rpc('account.getQuota') or client.rpc.account.get_quota()")
        params = {**camelize(params), **camelize(keywords), **self._fixed}
        raw = await self._call(method, params, self._timeout if timeout is DEFAULT else timeout)
        return decode_result(raw)

    def __repr__(self) -> str:
        return f"<Rpc {self._prefix or '(any method)'}>"
