"""Asking Copilot: the right address, the right headers, a fresh token, and one second chance when the token was refused.

A request can never choose where it goes: the address is the account's (configured by its owner, else named by its token, else the
official one). What is wrong before the answer begins is raised; what breaks later is raised while the body is read.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec
from msgspec import Struct, field

from rightseat.accounts.hosts import Hosts, clean_url
from rightseat.accounts.identity import Editor, copilot_headers
from rightseat.accounts.quota import quota_left
from rightseat.accounts.selection import Candidate, pick_next, rest
from rightseat.accounts.store import Account, Store
from rightseat.accounts.tokens import TokenSource
from rightseat.backends.registry import Model, Registry, registry_of
from rightseat.chat import Answer, Meta
from rightseat.chat.message import USUAL
from rightseat.errors import LoginError, NotLoggedInError, RightseatError, UpstreamError
from rightseat.log import logger
from rightseat.security.masking import mask
from rightseat.transport.http.base import HttpRequest, HttpSender, HttpStream, joined

MODELS_SECONDS = 600.0  # how long a model list is believed
QUOTA_SECONDS = 1.0  # how often the headers of an answer are looked at for the quota
ACCOUNTS_SECONDS = 1.0  # and the list of accounts


class Ask(Struct, frozen=True):
    """What is posted.

    Attributes:
        path: below the API's address, such as "/chat/completions".
        body: JSON.
        model: the model's id.
        initiator: "user" or "agent".
        vision: the request holds an image.
        stream: the answer shall be an event stream.
        intent: see `headers.copilot_headers`.
        extra: see there.
        meta: the request's id, which becomes `x-request-id`; its conversation, see `accounts.pick_next`.
    """

    path: str
    body: bytes
    model: str
    initiator: str
    vision: bool = False
    stream: bool = False
    intent: str = "conversation-panel"
    extra: Mapping[str, str] = field(default_factory=dict)
    meta: Meta = USUAL


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
        self._accounts: dict[str, Account] = {}
        self._accounts_at = float("-inf")
        self._candidates: dict[str, Candidate] = {}
        self._lists: dict[str, tuple[Registry, float]] = {}  # account -> its models, and when they were got
        self._fetching: asyncio.Task[None] | None = None

    def accounts(self) -> list[tuple[Account, Candidate]]:
        """The accounts and what is known of their health, for people."""
        return [(self._tokens.latest(account), self._candidate(name)) for name, account in self._known().items()]

    def unready(self) -> list[str]:
        """Why no request can be served now; nothing: one can."""
        known = self._known()
        if not known:
            return ["no account: run `rightseat login`"]
        now = time.monotonic()
        resting = [c for c in map(self._candidate, known) if c.resting.get("", 0.0) > now]
        if len(resting) < len(known):
            return []
        return [f"account {c.name} rests for {c.resting[''] - now:.0f} s: {c.reason}" for c in resting]

    async def open(self, ask: Ask) -> Counted:
        """Post a request; return when the head of the answer is there.

        An account that refuses for a reason of its own (402, 403, 429) rests, and the next one is asked; never after the head.

        Raises:
            NotLoggedInError: no account.
            UpstreamError: the answer is an HTTP error.
            LoginError, TransportError: there is no token, or no answer.
        """
        model = ask.model

        def request(account: Account) -> HttpRequest:
            headers = copilot_headers(
                self._editor,
                account.access_token,
                initiator=ask.initiator,
                vision=ask.vision,
                stream=ask.stream,
                request_id=ask.meta.request_id or None,
                intent=ask.intent,
                extra=ask.extra,
            )
            return HttpRequest("POST", base_url(account) + ask.path, headers, ask.body)

        known = self._known()
        if not known:
            raise NotLoggedInError("no account: run `rightseat login`")
        tried: frozenset[str] = frozenset()
        refusal: UpstreamError | LoginError | None = None
        while True:
            now = time.monotonic()
            candidates = [self._candidate(name) for name in known]
            choice = pick_next(candidates, model, now, conversation=ask.meta.conversation, tried=tried)
            if choice.name is None:
                raise refusal or _all_rest(candidates, model, choice.wait)
            candidate = self._candidates[choice.name]
            tried |= {choice.name}
            candidate.load += 1
            try:
                return Counted(await self._send(known[choice.name], request), candidate)
            except (UpstreamError, LoginError) as e:
                candidate.load -= 1
                refusal = e
                status, code = (e.status, e.code) if isinstance(e, UpstreamError) else (403, e.code)
                whole = isinstance(e, LoginError)
                if not rest(candidate, model, now, status=status, code=code, retry_after=e.retry_after, whole=whole):
                    raise
                if len(known) > 1:
                    logger.warning("account %s rests for %s: %s", candidate.name, model, e)
            except BaseException:
                candidate.load -= 1
                raise

    async def registry(self) -> Registry:
        """The models of all accounts; the seed list while nobody has logged in. A list that cannot be renewed stays."""
        known = self._known()
        if not known:
            return Registry(aliases=self._aliases)
        now = time.monotonic()
        stale = [name for name in known if now - self._lists.get(name, (None, float("-inf")))[1] >= MODELS_SECONDS]
        if stale:
            if self._fetching is None:  # one fetch, however many wait
                self._fetching = asyncio.ensure_future(self._fetch_lists([known[name] for name in stale]))
                self._fetching.add_done_callback(lambda _: setattr(self, "_fetching", None))
            await asyncio.shield(self._fetching)
        merged: dict[str, Model] = {}
        for name in known:
            if name in self._lists:
                merged = {**self._lists[name][0].models, **merged}
        return Registry(merged, self._aliases, seed=False)

    def offers(self, model: str) -> bool:
        """Whether the last lists have a model of this id. Asks nobody."""
        return any(model in registry.models for registry, _ in self._lists.values())

    def look_again(self) -> None:
        """The accounts have changed: they are looked up before the next request."""
        self._accounts_at = float("-inf")

    async def refresh(self, name: str) -> None:
        """Fetch a new token for an account, however good the one it has.

        Raises:
            KeyError: there is no such account.
            LoginError, UpstreamError, TransportError: there is no new token.
        """
        self.look_again()  # else a token that was fetched in between would do
        await self._tokens.renew(self._known()[name])
        self._candidates.pop(name, None)
        self.look_again()

    async def close(self) -> None:
        """Stop what is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
        await self._tokens.close()

    def _known(self) -> dict[str, Account]:
        """The accounts, looked up at most every ACCOUNTS_SECONDS: a login is seen soon, and a request costs no file access."""
        now = time.monotonic()
        if now - self._accounts_at >= ACCOUNTS_SECONDS:
            fresh = {a.name: a for a in self._store.list()}
            for name, account in fresh.items():
                old = self._accounts.get(name)
                if old is not None and old.github_access_token != account.github_access_token:  # logged in anew
                    self._candidates.pop(name, None)
                    self._lists.pop(name, None)
            self._accounts, self._accounts_at = fresh, now
        return self._accounts

    def _candidate(self, name: str) -> Candidate:
        candidate = self._candidates.get(name)
        if candidate is None:
            candidate = self._candidates[name] = Candidate(name)
        return candidate

    async def _fetch_lists(self, accounts: list[Account]) -> None:
        """The model lists of some accounts. What fails is said, and raised only if there is no list at all."""
        results = await asyncio.gather(*(self._fetch_list(account) for account in accounts), return_exceptions=True)
        for account, result in zip(accounts, results, strict=True):
            if isinstance(result, Registry):
                self._lists[account.name] = (result, time.monotonic())
                self._candidate(account.name).models = frozenset(result.models)
            elif isinstance(result, RightseatError):
                logger.warning("no model list of %s: %s", account.name, result)
                if account.name in self._lists:
                    self._lists[account.name] = (self._lists[account.name][0], time.monotonic())
            else:
                raise result
        if not self._lists:
            raise next(result for result in results if isinstance(result, RightseatError))

    async def _fetch_list(self, account: Account) -> Registry:
        def request(account: Account) -> HttpRequest:
            headers = copilot_headers(self._editor, account.access_token, intent="model-access")
            return HttpRequest("GET", base_url(account) + "/models", headers)

        stream = await self._send(account, request)
        try:
            return registry_of(await stream.read(), self._aliases)
        except ValueError as e:
            raise UpstreamError(502, f"the Copilot API gave no model list: {e}") from e
        finally:
            await stream.aclose()

    async def _send(self, account: Account, request: Callable[[Account], HttpRequest]) -> HttpStream:
        account = await self._tokens.get(account)
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


class Counted(Answer[bytes]):
    """An HTTP answer, piece by piece, that counts as load of its account until it is over.

    Attributes:
        account: the name of the account that answers.
    """

    def __init__(self, inner: HttpStream, candidate: Candidate) -> None:
        super().__init__(inner.chunks())
        self._inner = inner
        self._candidate: Candidate | None = candidate
        self.account = candidate.name
        if (now := time.monotonic()) - candidate.quota_at >= QUOTA_SECONDS:
            candidate.quota_at = now
            candidate.quota.update(quota_left(inner.headers))
        self.status, self.headers = inner.status, inner.headers

    def chunks(self) -> AsyncIterator[bytes]:
        """See HttpStream."""
        return aiter(self)

    async def read(self) -> bytes:
        """See HttpStream."""
        return await joined(aiter(self), "the Copilot API")

    async def aclose(self) -> None:
        """See HttpStream."""
        if self._candidate is not None:
            self._candidate.load -= 1
            self._candidate = None
        try:
            await super().aclose()
        finally:
            await self._inner.aclose()


def _all_rest(candidates: list[Candidate], model: str, wait: float | None) -> UpstreamError:
    if wait is None:
        return UpstreamError(404, f"no account has the model {model!r}", code="model_not_found")
    reasons = ", ".join(f"{c.name} ({c.reason})" for c in candidates)
    return UpstreamError(429, f"every account rests: {reasons}", code="accounts_exhausted", retry_after=wait)


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
