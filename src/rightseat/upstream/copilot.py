"""Asking Copilot: the right address, the right headers, a fresh token, and one second chance when the token was refused.

A request can never choose where it goes: the address is the account's (configured by its owner, else named by its token, else the
official one). What is wrong before the answer begins is raised; what breaks later is raised while the body is read.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from rightseat.errors import NotLoggedInError, UpstreamError
from rightseat.security.masking import mask
from rightseat.transport.http import HttpRequest, HttpSender, HttpStream
from rightseat.upstream.headers import Editor, copilot_headers
from rightseat.upstream.hosts import Hosts, clean_url
from rightseat.upstream.models import Registry, registry_of
from rightseat.upstream.store import Account, Store
from rightseat.upstream.tokens import TokenSource

MODELS_SECONDS = 600.0  # how long a model list is believed
ACCOUNTS_SECONDS = 1.0  # and the list of accounts


class Copilot:
    """The Copilot API, for the accounts in a store.

    Args:
        store: the accounts.
        sender: sends requests.
        editor: who we say we are.
        aliases: names of models -> ids.
    """

    def __init__(
        self, store: Store, sender: HttpSender, editor: Editor | None = None, aliases: Mapping[str, str] | None = None
    ) -> None:
        self._store = store
        self._sender = sender
        self._editor = editor or Editor()
        self._aliases = dict(aliases or {})
        self._tokens = TokenSource(store, sender, self._editor)
        self._registry = Registry(aliases=self._aliases)
        self._registry_at = float("-inf")
        self._accounts: list[Account] = []
        self._accounts_at = float("-inf")

    def account(self) -> Account:
        """The account to ask with.

        Raises:
            NotLoggedInError: there is none.
        """
        accounts = self._known()
        if not accounts:
            raise NotLoggedInError("no account: run `rightseat login`")
        return accounts[0]

    def _known(self) -> list[Account]:
        """The accounts, looked up at most every ACCOUNTS_SECONDS: a login is seen soon, and a request costs no file access."""
        now = time.monotonic()
        if now - self._accounts_at >= ACCOUNTS_SECONDS:
            self._accounts, self._accounts_at = self._store.list(), now
        return self._accounts

    async def open(
        self, path: str, body: bytes, *, initiator: str, vision: bool, stream: bool, request_id: str | None = None
    ) -> HttpStream:
        """Post a request; return when the head of the answer is there.

        Args:
            path: below the API's address, such as "/chat/completions".
            body: JSON.
            initiator: "user" or "agent".
            vision: the request holds an image.
            stream: the answer shall be an event stream.
            request_id: sent as `x-request-id`.

        Raises:
            NotLoggedInError: no account.
            UpstreamError: the answer is an HTTP error.
            LoginError, TransportError: there is no token, or no answer.
        """

        def request(account: Account) -> HttpRequest:
            headers = copilot_headers(
                self._editor,
                account.access_token,
                initiator=initiator,
                vision=vision,
                stream=stream,
                request_id=request_id,
            )
            return HttpRequest("POST", base_url(account) + path, headers, body)

        return await self._send(request)

    async def registry(self) -> Registry:
        """The models of the account; the seed list while nobody has logged in. A list that cannot be renewed stays."""
        if not self._known():
            return Registry(aliases=self._aliases)
        if time.monotonic() - self._registry_at < MODELS_SECONDS:
            return self._registry

        def request(account: Account) -> HttpRequest:
            headers = copilot_headers(self._editor, account.access_token, intent="model-access")
            return HttpRequest("GET", base_url(account) + "/models", headers)

        try:
            stream = await self._send(request)
            try:
                self._registry = registry_of(await stream.read(), self._aliases)
            finally:
                await stream.aclose()
        except UpstreamError:
            if self._registry.seed:
                raise
        except ValueError as e:
            raise UpstreamError(502, f"the Copilot API gave no model list: {e}") from e
        self._registry_at = time.monotonic()
        return self._registry

    async def close(self) -> None:
        """Stop renewing tokens."""
        await self._tokens.close()

    async def _send(self, request: Any) -> HttpStream:
        account = await self._tokens.get(self.account())
        stream = await self._sender.open(request(account))
        if stream.status == 401:  # a token that we believed in was refused: once more with another one
            await stream.aclose()
            account = await self._tokens.renew(account)
            stream = await self._sender.open(request(account))
        if stream.status >= 400:
            try:
                raise error_of(stream.status, stream.headers, await stream.read())
            finally:
                await stream.aclose()
        return stream


def base_url(account: Account) -> str:
    """Where an account's requests go: the owner's choice, else what the token names, else the official address of its host."""
    return clean_url(account.base_url) if account.base_url else account.api_url or Hosts.of(account.host).copilot


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """An error answer of any of the API's forms: `{error: {message, code}}`, flat JSON, or text."""
    text = mask(body[:4000].decode("utf-8", "replace")).strip()
    code = None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    if isinstance(value, dict):
        inner = value.get("error")
        inner = inner if isinstance(inner, dict) else value
        code = str(inner["code"]) if inner.get("code") else None
        text = mask(str(inner.get("message") or inner.get("error") or text))
    return UpstreamError(
        status,
        text or f"HTTP {status}",
        code=code,
        retry_after=retry_after(headers.get("retry-after")),
        request_id=headers.get("x-github-request-id") or headers.get("x-request-id"),
    )


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """The header Retry-After in seconds: a number, or a date (RFC 9110, section 10.2.3). None for neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError):
        return None
