"""A Copilot token that is always fresh: renewed ahead of time, by one exchange however many wait.

`decide` is the whole policy, a function of numbers: time is the wall clock, looked at with each request, so a laptop that slept and
a clock that jumped are seen at the next one. `TokenSource` acts on it.
"""

from __future__ import annotations

import asyncio
import enum
import math
from typing import Any

import msgspec

from rightseat.accounts.hosts import Hosts, belongs, clean_url
from rightseat.accounts.identity import Editor, github_headers
from rightseat.accounts.store import Account, AccountStore, is_token
from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import ConfigError, LoginError, RightseatError, UpstreamError
from rightseat.log import logger
from rightseat.masking import mask
from rightseat.transport.http.base import SMALL, HttpAnswer, HttpRequest, HttpSender, fetch

AHEAD_SECONDS = 60.0  # renewed this long before `refresh_in` is over
DEFAULT_REFRESH_SECONDS = 1500.0  # where the exchange says nothing: tokens live some 30 minutes
MIN_LEFT_SECONDS = 5.0  # a token with less than this is not given to a request
RETRY_SECONDS = 10.0  # after a failed renewal ahead of time, the next try


class Renewal(enum.Enum):
    """What to do with a token."""

    USE = "use"
    USE_AND_RENEW = "use and renew"
    RENEW_FIRST = "renew first"


def decide(account: Account, now: float) -> Renewal:
    """Whether the account's Copilot token can be used at `now` (wall clock, seconds), and whether to renew it.

    A clock that stands before `last_refresh` has jumped back: the token's age is unknown, so it is used and renewed.
    """
    if not account.access_token or now >= account.expires_at - MIN_LEFT_SECONDS:
        return Renewal.RENEW_FIRST
    if now < account.last_refresh or now >= account.last_refresh + account.refresh_in - AHEAD_SECONDS:
        return Renewal.USE_AND_RENEW
    return Renewal.USE


def exchange_request(account: Account, editor: Editor) -> HttpRequest:
    """The request that turns a GitHub token into a Copilot token."""
    url = f"{Hosts.of(account.host).api}/copilot_internal/v2/token"
    headers = github_headers(editor, account.github_access_token)
    return HttpRequest("GET", url, headers, timeouts=SMALL, peer="GitHub")


def account_after(account: Account, answer: HttpAnswer, now: float) -> Account:
    """The account with the token that an exchange gave.

    `expires_at` is reckoned from our own clock and `refresh_in`, so that a wrong clock here does not end the token early.

    Raises:
        LoginError: GitHub refused permanently: no Copilot, a lapsed subscription, a revoked token.
        UpstreamError: it could not answer now.
    """
    try:
        body: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    if answer.status in (401, 403, 404):
        raise _refused(account, answer, body)
    token = body.get("token") if isinstance(body, dict) else None
    if (
        answer.status != 200
        or not isinstance(body, dict)
        or not isinstance(token, str)
        or not token
        or not is_token(token)
    ):
        raise UpstreamError(
            answer.status if answer.status >= 400 else 502,
            f"the token exchange for {account.name} failed: {mask(answer.body[:200].decode('utf-8', 'replace'))}",
            code="token_exchange_failed",
            public="GitHub gives no Copilot token at the moment",
        )
    refresh_in = _seconds(body.get("refresh_in")) or DEFAULT_REFRESH_SECONDS
    given = _seconds(body.get("expires_at"))
    lifetime = given - now if given else 0.0
    expires_at = now + (lifetime if refresh_in <= lifetime <= 7 * 86400 else refresh_in + AHEAD_SECONDS)
    endpoints = body.get("endpoints")
    api = endpoints.get("api") if isinstance(endpoints, dict) else None
    return msgspec.structs.replace(
        account,
        access_token=token,
        expires_at=expires_at,
        refresh_in=refresh_in,
        last_refresh=now,
        api_url=_believed(api, account),
    )


def _seconds(value: Any) -> float:
    """A time that GitHub gave; 0 for anything that is none."""
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e12
    return float(value) if fits else 0.0


def _refused(account: Account, answer: HttpAnswer, body: object) -> LoginError:
    """GitHub refused permanently."""
    body = body if isinstance(body, dict) else {}
    given = body.get("error_details")
    details = given if isinstance(given, dict) else {}
    code = str(details.get("notification_id") or ("bad_credentials" if answer.status == 401 else "forbidden"))[:100]
    text = details.get("message") or body.get("message") or answer.body[:200].decode("utf-8", "replace")
    return LoginError(
        code,
        f"GitHub gives {account.name} no Copilot token ({code}): {mask(str(text))}",
        public=f"GitHub gives no Copilot token ({code})",  # GitHub's words name the user
    )


def _believed(api: object, account: Account) -> str:
    """The address that a token names, if it is one of the account's own GitHub."""
    if not isinstance(api, str) or not api:
        return ""
    if not belongs(api, account.host):
        logger.warning("the token of %s names a foreign address, which is ignored: %.200s", account.name, api)
        return ""
    return clean_url(api)


class TokenSource:
    """Gives accounts with fresh tokens.

    Args:
        store: where accounts are kept; other processes may share it. While it cannot be written, tokens are kept in memory.
        sender: sends the exchange.
        editor: who we say we are.
        clock: time; tokens end by its wall clock.
    """

    def __init__(self, store: AccountStore, sender: HttpSender, editor: Editor, clock: Clock = SYSTEM_CLOCK) -> None:
        self._store = store
        self._sender = sender
        self._editor = editor
        self._now = clock.wall
        self._said = ""  # the problem of the store that is in the log already
        self._accounts: dict[str, Account] = {}
        self._renewals: dict[str, asyncio.Task[Account]] = {}
        self._not_before: dict[str, float] = {}  # account -> when a renewal ahead of time may be tried again

    def latest(self, account: Account) -> Account:
        """The account as it was last seen, which may be with a newer token."""
        known = self._accounts.get(account.name)
        same = known is not None and known.github_access_token == account.github_access_token
        return known if known is not None and same and known.last_refresh >= account.last_refresh else account

    async def get(self, account: Account) -> Account:
        """The account with a token that can be used now.

        Raises:
            LoginError, UpstreamError, TransportError: there is no usable token and none could be got.
        """
        known = self._accounts.get(account.name)
        if known is None or known.github_access_token != account.github_access_token:  # new, or logged in anew
            known = self._accounts[account.name] = account
        account = known
        match decide(account, self._now()):
            case Renewal.USE:
                return account
            case Renewal.USE_AND_RENEW:
                # More than RETRY_SECONDS to wait can only mean that the clock has jumped back.
                if not 0 < self._not_before.get(account.name, -math.inf) - self._now() <= RETRY_SECONDS:
                    self._renew(account)
                return account
        return await asyncio.shield(self._renew(account))

    async def renew(self, account: Account) -> Account:
        """The account with another token than the one it has, which was refused. Raises as `get` does."""
        current = self._accounts.get(account.name, account)
        if current.access_token != account.access_token:
            return current  # another process has renewed it meanwhile
        return await asyncio.shield(self._renew(current))

    def _renew(self, account: Account) -> asyncio.Task[Account]:
        """One exchange for all who wait. It belongs to no caller: if one is cancelled, the others still get it."""
        task = self._renewals.get(account.name)
        if task is None:
            task = self._renewals[account.name] = asyncio.ensure_future(self._exchange(account))
            task.add_done_callback(lambda done: self._renewed(account.name, done))
        return task

    async def _exchange(self, account: Account) -> Account:
        if not account.github_access_token:
            raise LoginError(
                "token_expired", "the Copilot token has expired or was refused; only a GitHub token can renew it"
            )
        async with self._store.lock(account.name):
            stored = await self._stored(account.name)
            if (
                stored is not None
                and stored.access_token != account.access_token
                and decide(stored, self._now()) is Renewal.USE
            ):
                return stored  # another process has done it meanwhile
            answer = await fetch(self._sender, exchange_request(account, self._editor))
            fresh = account_after(account, answer, self._now())
            try:
                await self._store.save(fresh)
            except ConfigError as e:
                self._keep_in_memory(e)
            else:
                self._said = ""
            return fresh

    async def _stored(self, name: str) -> Account | None:
        """What other processes know of it; a file that was damaged meanwhile tells nothing."""
        try:
            return await self._store.load(name)
        except ConfigError:
            return None

    def _keep_in_memory(self, e: ConfigError) -> None:
        """The store cannot be written: said once, until it can be again."""
        problem = self._store.problem or str(e)
        if problem != self._said:
            logger.error("%s; new tokens are kept in memory, and each process fetches its own", problem)
            self._said = problem

    def _renewed(self, name: str, done: asyncio.Task[Account]) -> None:
        del self._renewals[name]
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._accounts[name] = done.result()
            self._not_before.pop(name, None)
            return
        self._not_before[name] = self._now() + RETRY_SECONDS
        if isinstance(error, RightseatError):
            logger.warning("renewing the token of %s failed: %s", name, error)

    async def close(self) -> None:
        """Stop what is under way."""
        tasks = list(self._renewals.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
