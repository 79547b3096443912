"""A backend for real use, by where it is: the Copilot API for a store of accounts, or a server that speaks OpenAI's dialect.

A backend that talks to the Copilot CLI belongs here as a third case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from rightseat.accounts.identity import Editor
from rightseat.accounts.store import AccountStore
from rightseat.backends.base import Backend
from rightseat.backends.compatible import CompatibleBackend
from rightseat.backends.copilot import CopilotBackend
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError
from rightseat.transport.http.base import HttpSender
from rightseat.transport.http.choice import HttpClient, sender_of
from rightseat.transport.http.compress import CompressingSender


async def open_backend(
    stack: AsyncExitStack,
    *,
    store: AccountStore | None = None,
    base_url: str = "",
    api_key: str = "",
    models: Sequence[str] = (),
    editor: Editor | None = None,
    aliases: Mapping[str, str] | None = None,
    compression: bool = False,
    http_client: HttpClient = "direct",
    clock: Clock = SYSTEM_CLOCK,
) -> Backend:
    """A backend with a connection pool of its own, both closed with `stack`.

    Args:
        stack: closes what is opened.
        store: accounts of Copilot.
        base_url: where a server is that speaks OpenAI's dialect; see CompatibleBackend.
        api_key: its key.
        models: its models.
        editor: with `store`: who we say we are.
        aliases: with `store`: names of models -> ids.
        compression: large requests are sent compressed, where the server takes it.
        http_client: what sends; see `transport.http.choice`.
        clock: time.

    Raises:
        ConfigError: neither a store nor an address, or both, or an address that is none.
    """
    if (store is None) == (not base_url):
        raise ConfigError("a backend needs either a store of accounts or a base_url")
    sender: HttpSender = await stack.enter_async_context(sender_of(http_client))
    if compression:
        sender = CompressingSender(sender)
    backend: Backend
    if store is not None:
        backend = CopilotBackend(store, sender, editor, aliases, clock=clock)
    else:
        backend = CompatibleBackend(sender, base_url, api_key, models, clock=clock)
    stack.push_async_callback(backend.aclose)
    return backend
