"""Device logins that are started over HTTP: each runs in the background, and clients poll its state from any process.

Where a login goes is never taken from a request: the host is GitHub's, or the one that the settings name.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable

import msgspec

from rightseat.accounts.device_flow import Prompt
from rightseat.accounts.store import Account
from rightseat.errors import ConfigError, KeyDatabaseError, RightseatError
from rightseat.gateway.endpoints.management.endpoint import NotFoundError, Operation, Result
from rightseat.gateway.request import Request
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.state.base import Logins
from rightseat.wire.body import BadRequestError, json_object

MAX_LOGINS = 20  # in progress, of one process
PROMPT_SECONDS = 20.0  # how long GitHub may take to give a code
WATCH_SECONDS = 2.0  # how often a login looks whether it was cancelled by way of another process
_TENANT = re.compile(r"[a-z0-9-]{1,63}\.ghe\.com")

LogIn = Callable[[str, Callable[[Prompt], None]], Awaitable[Account]]  # (host, shows the code) -> the account


class _Login:
    """A device login in progress, or how it ended."""

    def __init__(self) -> None:
        self.prompt: asyncio.Future[Prompt] = asyncio.get_running_loop().create_future()
        self.state = "pending"
        self.account = ""
        self.error = ""
        self.task: asyncio.Task[None] | None = None

    def shown(self) -> dict[str, object]:
        """For people."""
        said: dict[str, object] = {"state": self.state, "account": self.account or None, "error": self.error or None}
        if self.prompt.done() and not self.prompt.cancelled() and self.prompt.exception() is None:
            said |= msgspec.to_builtins(self.prompt.result())
        return said


class LoginOperations:
    """Operations on logins.

    Args:
        log_in: runs a device login at a host.
        host: the host of the settings, used by logins that name none.
        store: where the state of logins is kept, so that every process can show and cancel them.
        ids: makes the ids of logins.
    """

    def __init__(self, log_in: LogIn, host: Callable[[], str], store: Logins, ids: Ids = SYSTEM_IDS) -> None:
        self._log_in = log_in
        self._host = host
        self._store = store
        self._ids = ids
        self._running: dict[str, _Login] = {}

    @property
    def operations(self) -> dict[str, Operation]:
        """By the names in `routes`."""
        return {"account_add": self._begin, "login": self._show, "login_cancel": self._cancel}

    async def close(self) -> None:
        """Cancel all logins of this process."""
        names = list(self._running)
        tasks = [login.task for login in self._running.values() if login.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for login_id in names:
            with contextlib.suppress(KeyDatabaseError, ConfigError):
                await self._store.remove(login_id)

    async def _begin(self, request: Request) -> Result:
        host = self._host_of(json_object(await request.exchange.body() or b"{}"))
        if len(self._running) >= MAX_LOGINS:
            raise BadRequestError("too many logins are in progress; cancel one first", code="too_many_logins")
        login_id, login = self._ids.token(12), _Login()
        self._running[login_id] = login
        login.task = asyncio.ensure_future(self._drive(login_id, login, host))
        both = (login.prompt, login.task)
        try:
            await asyncio.wait(both, timeout=PROMPT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if login.state == "pending":
                await self._save(login_id, login)
        except BaseException:  # the client has left or got an error, and no other client knows the login's id
            login.task.cancel()
            raise
        return {"login": login_id, **login.shown()}

    async def _show(self, request: Request) -> Result:
        login = self._running.get(request.value)
        return login.shown() if login is not None else await self._stored(request.value)

    async def _cancel(self, request: Request) -> Result:
        login = self._running.pop(request.value, None)
        if login is None:
            await self._stored(request.value)
        elif login.task is not None:
            login.task.cancel()
        await self._store.remove(request.value)
        return {"cancelled": request.value}

    async def _stored(self, login_id: str) -> dict[str, object]:
        data = await self._store.get(login_id[:64])
        if data is None:
            raise NotFoundError("there is no such login; it may have expired")
        return msgspec.json.decode(data, type=dict[str, object])

    async def _save(self, login_id: str, login: _Login) -> None:
        await self._store.put(login_id, msgspec.json.encode(login.shown()))

    def _host_of(self, body: dict[str, object]) -> str:
        unknown = next((name for name in body if name != "host"), None)
        if unknown is not None:
            raise BadRequestError.at(unknown[:40], "no such field; addresses are set in the settings file")
        host = body.get("host", self._host())
        if not isinstance(host, str):
            raise BadRequestError.at("host", "must be a string")
        if host not in ("github.com", self._host()) and not _TENANT.fullmatch(host.lower()):
            raise BadRequestError.at(
                "host", "must be github.com or TENANT.ghe.com; any other is set by the setting github_host"
            )
        return host

    async def _drive(self, login_id: str, login: _Login, host: str) -> None:
        """Run a login to its end, and store how it ended."""
        running = asyncio.ensure_future(self._log_in(host, login.prompt.set_result))
        try:
            await self._watch(login_id, running)
            account = await running
        except RightseatError as e:
            login.state, login.error = "failed", str(e)
        except asyncio.CancelledError:
            login.state = "cancelled"
            raise
        except Exception as e:
            logger.exception("a login failed")
            login.state, login.error = "failed", type(e).__name__
        else:
            login.state, login.account = "done", account.name
        finally:
            running.cancel()
            self._running.pop(login_id, None)
        try:
            await self._save(login_id, login)
        except (KeyDatabaseError, ConfigError) as e:
            logger.error("how a login ended cannot be stored: %s", e)

    async def _watch(self, login_id: str, running: asyncio.Future[Account]) -> None:
        """Wait until a login has ended. It is cancelled when another process has removed it from the store."""
        saved = False
        while not (await asyncio.wait((running,), timeout=WATCH_SECONDS))[0]:
            with contextlib.suppress(KeyDatabaseError, ConfigError):
                found = await self._store.get(login_id) is not None
                if saved and not found:
                    running.cancel()
                saved = saved or found
