"""Device logins that are started over HTTP: each runs in the background, and clients poll its state.

Where a login goes is never taken from a request: the host is GitHub's, or the one that the settings name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import msgspec

from rightseat.accounts.device_flow import Prompt
from rightseat.accounts.store import Account
from rightseat.errors import RightseatError
from rightseat.gateway.endpoints.management.endpoint import NotFoundError, Operation, Result
from rightseat.gateway.request import Request
from rightseat.ids import SYSTEM_IDS, Ids
from rightseat.log import logger
from rightseat.wire.body import BadRequestError, json_object

MAX_LOGINS = 20  # under way or remembered
PROMPT_SECONDS = 20.0  # how long GitHub may take to give a code
_TENANT = re.compile(r"[a-z0-9-]{1,63}\.ghe\.com")

LogIn = Callable[[str, Callable[[Prompt], None]], Awaitable[Account]]  # (host, shows the code) -> the account


class _Login:
    """A device login under way, or how it ended."""

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
        host: the host of the settings, where logins go that name none.
        ids: makes the ids of logins.
    """

    def __init__(self, log_in: LogIn, host: Callable[[], str], ids: Ids = SYSTEM_IDS) -> None:
        self._log_in = log_in
        self._host = host
        self._ids = ids
        self._logins: dict[str, _Login] = {}

    @property
    def operations(self) -> dict[str, Operation]:
        """By the names in `routes`."""
        return {"account_add": self._begin, "login": self._show, "login_cancel": self._cancel}

    async def close(self) -> None:
        """Give up all logins."""
        tasks = [login.task for login in self._logins.values() if login.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, request: Request) -> Result:
        host = self._host_of(json_object(await request.exchange.body() or b"{}"))
        self._make_room()
        login_id, login = self._ids.token(12), _Login()
        self._logins[login_id] = login
        login.task = asyncio.ensure_future(self._drive(login, host))
        both = (login.prompt, login.task)
        try:
            await asyncio.wait(both, timeout=PROMPT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the client has left, and no other client knows the login's name
            login.task.cancel()
            self._logins.pop(login_id, None)
            raise
        return {"login": login_id, **login.shown()}

    async def _show(self, request: Request) -> Result:
        return self._named(request.value).shown()

    async def _cancel(self, request: Request) -> Result:
        login = self._named(request.value)
        if login.task is not None:
            login.task.cancel()
        del self._logins[request.value]
        return {"cancelled": request.value}

    def _host_of(self, body: dict[str, object]) -> str:
        unknown = next((name for name in body if name != "host"), None)
        if unknown is not None:
            raise BadRequestError.at(unknown[:40], "no such field; addresses are set in the settings file")
        host = body.get("host", self._host())
        if not isinstance(host, str):
            raise BadRequestError.at("host", "must be text")
        if host not in ("github.com", self._host()) and not _TENANT.fullmatch(host.lower()):
            raise BadRequestError.at(
                "host", "must be github.com or TENANT.ghe.com; any other is set by the setting github_host"
            )
        return host

    def _make_room(self) -> None:
        for old, known in list(self._logins.items()):
            if known.state != "pending" and len(self._logins) >= MAX_LOGINS:
                del self._logins[old]
        if len(self._logins) >= MAX_LOGINS:
            raise BadRequestError("too many logins are under way; cancel one first", code="too_many_logins")

    def _named(self, login_id: str) -> _Login:
        if login_id not in self._logins:
            raise NotFoundError("there is no such login; it may have expired")
        return self._logins[login_id]

    async def _drive(self, login: _Login, host: str) -> None:
        try:
            account = await self._log_in(host, login.prompt.set_result)
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
