"""`/v0/management/*`: the gateway for whoever runs it, behind a key of its own. No secret leaves here, masked or not at all."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any
from urllib.parse import parse_qs

import msgspec

from rightseat import __version__
from rightseat.accounts.device_flow import Prompt
from rightseat.accounts.login import log_in
from rightseat.accounts.quota import fetch_quota
from rightseat.accounts.store import Account, FileStore
from rightseat.backends.copilot import CopilotBackend, address_of
from rightseat.errors import CallerError, RightseatError
from rightseat.gateway.access.access import Access
from rightseat.gateway.access.views import grace_of, key_fields, key_shown, keys_shown
from rightseat.gateway.config import Settings
from rightseat.gateway.http.asgi import Request, Send, respond
from rightseat.gateway.observe.request_log import KEEP, Recent
from rightseat.gateway.observe.timeseries import TimeSeries
from rightseat.gateway.resilience import Resilience
from rightseat.masking import mask, mask_secret
from rightseat.transport.http.base import HttpSender
from rightseat.wire.body import BadRequestError, json_object

MAX_LOGINS = 20  # under way or remembered
PROMPT_SECONDS = 20.0  # how long GitHub may take to give a code


class NoSuchThingError(CallerError):
    """There is no account or login of that name."""

    status_hint = 404


class _Login:
    """A device login under way, or how it ended."""

    def __init__(self) -> None:
        self.prompt: asyncio.Future[Prompt] = asyncio.get_running_loop().create_future()
        self.state = "pending"
        self.account = ""
        self.error = ""
        self.task: asyncio.Task[None] | None = None

    def shown(self) -> dict[str, Any]:
        """For people."""
        said: dict[str, Any] = {"state": self.state, "account": self.account or None, "error": self.error or None}
        if self.prompt.done() and not self.prompt.cancelled() and self.prompt.exception() is None:
            said |= msgspec.to_builtins(self.prompt.result())
        return said


class Management:
    """The endpoints.

    Args:
        settings: see Settings.
        copilot: the accounts in use.
        sender: sends requests.
        recent: the last requests.
        resilience: the layers around each call.
        access: the gateway's own keys.
        timeseries: the last minutes.
    """

    def __init__(
        self,
        settings: Settings,
        copilot: CopilotBackend,
        sender: HttpSender,
        recent: Recent,
        resilience: Resilience,
        access: Access,
        timeseries: TimeSeries,
    ) -> None:
        self._settings = settings
        self._copilot = copilot
        self._sender = sender
        self._recent = recent
        self._resilience = resilience
        self._access = access
        self._timeseries = timeseries
        self._store = FileStore(settings.folder)
        self._logins: dict[str, _Login] = {}
        self._started = time.time()

    async def close(self) -> None:
        """Give up all logins."""
        tasks = [login.task for login in self._logins.values() if login.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, name: str, value: str, request: Request, send: Send) -> None:
        """Answer a request.

        Args:
            name: of the route.
            value: what stands for the name in its path.
            request: the request.
            send: ASGI's.

        Raises:
            NoSuchThingError, BadRequestError: it cannot be done.
            LoginError, UpstreamError, TransportError: GitHub does not let us.
        """
        status, answer = await self._answer(name, value, request)
        await respond(send, status, msgspec.json.encode(answer))

    async def _answer(self, name: str, value: str, request: Request) -> tuple[int, Any]:
        match name:
            case "management_health":
                return 200, await self._health()
            case "management_models":
                return 200, await self._models()
            case "accounts":
                self._copilot.reload()
                accounts = [self._account(a) for a, _ in self._copilot.accounts()]
                return 200, {"accounts": accounts, "problems": self._copilot.problems()}
            case "account_add":
                return 202, await self._begin(json_object(request.body or b"{}"))
            case "account_remove":
                account = self._named(value)
                self._store.remove(account.name)
                self._copilot.reload()
                return 200, {"removed": account.name}
            case "account_refresh":
                self._named(value)
                await self._copilot.refresh(value)
                return 200, self._account(self._named(value))
            case "account_quota":
                quota = await fetch_quota(self._sender, self._settings.editor, self._named(value))
                return 200, msgspec.to_builtins(quota)
            case "keys":
                return 200, {"keys": await keys_shown(self._access.keys, self._access.admission)}
            case "key_create":
                fields = key_fields(json_object(request.body))
                key, text = await self._access.keys.create(**fields)
                return 201, {**key_shown(key), "key": text}
            case "key_revoke":
                revoked = await self._access.keys.revoke(value)
                if revoked is None:
                    raise NoSuchThingError(f"there is no key {value[:40]!r}")
                return 200, key_shown(revoked)
            case "key_rotate":
                grace = grace_of(json_object(request.body or b"{}"))
                rotated = await self._access.keys.rotate(value, grace)
                if rotated is None:
                    raise NoSuchThingError(f"there is no active key {value[:40]!r}")
                return 200, {**key_shown(rotated[0]), "key": rotated[1]}
            case "login":
                return 200, self._login(value).shown()
            case "login_cancel":
                login = self._login(value)
                if login.task is not None:
                    login.task.cancel()
                del self._logins[value]
                return 200, {"cancelled": value}
            case "overview":
                return 200, self._overview()
            case "config":
                return 200, self._settings.shown()
        return 200, {"requests": self._recent.shown(_limit(request.query))}

    async def _health(self) -> dict[str, Any]:
        accounts = self._copilot.accounts()
        registry = await self._copilot.models()
        return {
            "status": "ok" if accounts else "no account",
            "version": __version__,
            "uptime_seconds": round(time.time() - self._started, 1),
            "accounts": len(accounts),
            "resilience": self._resilience.shown(),
            "models": len(registry.models),
            "placeholder_models": registry.seed,
            "problems": self._copilot.problems(),
            "under_way": sum(candidate.load for _, candidate in accounts),
        }

    def _overview(self) -> dict[str, Any]:
        self._copilot.reload()
        accounts = self._copilot.accounts()
        return {
            "version": __version__,
            "uptime_seconds": round(time.time() - self._started, 1),
            "history": self._timeseries.shown(),
            "resilience": self._resilience.shown(),
            "accounts": [self._account(account) for account, _ in accounts],
            "quotas": {account.name: candidate.quota for account, candidate in accounts},
            "requests": self._recent.shown(50),
        }

    async def _models(self) -> dict[str, Any]:
        registry = await self._copilot.models()
        providers: dict[str, list[dict[str, Any]]] = {}
        for model in registry.models.values():
            entry = {**msgspec.to_builtins(model), "raw": model.raw}
            providers.setdefault(model.vendor, []).append(entry)
        return {"providers": providers, "placeholder": registry.seed, "aliases": registry.aliases}

    def _account(self, account: Account) -> dict[str, Any]:
        candidate = next((c for a, c in self._copilot.accounts() if a.name == account.name), None)
        now = time.monotonic()
        cooling = {} if candidate is None else candidate.cooling_models(now)
        return {
            "name": account.name,
            "host": account.host,
            "requests_go_to": address_of(account),
            "github_token": mask_secret(account.github_access_token),
            "copilot_token": mask_secret(account.access_token) if account.access_token else None,
            "token_seconds_left": max(0, int(account.expires_at - time.time())) if account.access_token else 0,
            "under_way": 0 if candidate is None else candidate.load,
            "cooldowns": {model: round(one.until - now, 1) for model, one in cooling.items()},
            "reason": next((one.reason for one in cooling.values()), None),
        }

    def _named(self, name: str) -> Account:
        for account in self._store.list():
            if account.name == name:
                return account
        raise NoSuchThingError(f"there is no account {name!r}")

    def _login(self, login_id: str) -> _Login:
        if login_id not in self._logins:
            raise NoSuchThingError("there is no such login; it may have been forgotten")
        return self._logins[login_id]

    async def _begin(self, body: dict[str, Any]) -> dict[str, Any]:
        host = self._settings.github_host
        if body.get("host", host) != host:  # the address is not a client's to choose, even with the management key
            raise BadRequestError.at("host", "accounts are added at the `github_host` of the settings only")
        if "base_url" in body:
            raise BadRequestError.at(
                "base_url", "addresses come from the settings or `rightseat login`, never over HTTP"
            )
        for old, known in list(self._logins.items()):
            if known.state != "pending" and len(self._logins) >= MAX_LOGINS:
                del self._logins[old]
        if len(self._logins) >= MAX_LOGINS:
            raise BadRequestError("too many logins are under way; give one up first")
        login_id, login = secrets.token_urlsafe(12), _Login()
        self._logins[login_id] = login
        login.task = asyncio.ensure_future(self._drive(login, host))
        await asyncio.wait((login.prompt, login.task), timeout=PROMPT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return {"login": login_id, **login.shown()}

    async def _drive(self, login: _Login, host: str) -> None:
        try:
            account = await log_in(self._store, self._sender, self._settings.editor, host, "", login.prompt.set_result)
        except RightseatError as e:
            login.state, login.error = "failed", mask(str(e))
        except asyncio.CancelledError:
            login.state = "cancelled"
            raise
        except Exception as e:
            login.state, login.error = "failed", type(e).__name__
        else:
            login.state, login.account = "done", account.name
            self._copilot.reload()


def _limit(query: str) -> int:
    given = parse_qs(query).get("limit", ["100"])[-1]
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= KEEP:
        raise BadRequestError.at("limit", f"must be a number from 1 to {KEEP}")
    return int(given)
