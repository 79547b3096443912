"""A device login that one worker runs is shown and cancelled by every other."""

import asyncio

import pytest

from rightseat.accounts.device_flow import Prompt
from rightseat.accounts.store import Account
from rightseat.gateway.access.caller import Caller
from rightseat.gateway.endpoints.management.endpoint import NotFoundError
from rightseat.gateway.endpoints.management.logins import LoginOperations
from rightseat.gateway.http.exchange import Head
from rightseat.gateway.http.memory_exchange import MemoryExchange
from rightseat.gateway.observe.request_log import RequestRecord
from rightseat.gateway.request import Request
from rightseat.gateway.routes import find
from rightseat.state.key_record import Key
from rightseat.state.memory import MemoryDatabase, MemoryState
from rightseat.state.opening import open_state
from rightseat.testing.clock import LoopClock, run_virtual


async def call(operations, name, value=""):
    exchange = MemoryExchange(Head("POST", "/", {}), "request-1")
    route = find("GET", "/health")[0]
    request = Request(exchange, route, value, Caller(id="ann"), RequestRecord(exchange, route, LoopClock()))
    return await operations.operations[name](request)


@pytest.mark.parametrize("end", ["approved", "cancelled"])
def test_every_worker_knows_every_login(end):
    async def main():
        approved, ended = asyncio.Event(), asyncio.Event()

        async def log_in(_host, show):
            show(Prompt("ABCD-1234", "https://github.com/login/device", 900.0))
            try:
                await approved.wait()
            finally:
                ended.set()
            return Account("ann", "gho_x")

        database = MemoryDatabase()
        one, two = (LoginOperations(log_in, lambda: "github.com", MemoryState(database).logins) for _ in range(2))
        login = (await call(one, "account_add"))["login"]
        shown = await call(two, "login", login)
        assert (shown["state"], shown["user_code"]) == ("pending", "ABCD-1234")
        if end == "approved":
            approved.set()
            await asyncio.sleep(1)
            shown = await call(two, "login", login)
            assert (shown["state"], shown["account"]) == ("done", "ann")
        else:
            await asyncio.sleep(3)
            await call(two, "login_cancel", login)
            await asyncio.sleep(3)
            assert ended.is_set()
            with pytest.raises(NotFoundError):
                await call(one, "login", login)
        await one.close()
        await two.close()

    run_virtual(main)


async def test_a_login_from_before_the_first_key_is_known_to_all_once_there_is_a_database(tmp_path):
    async with open_state(tmp_path / "keys.sqlite") as one, open_state(tmp_path / "keys.sqlite") as two:
        await one.logins.put("begun", b"pending")
        await two.keys.create(Key(id="ann", name="ann", digest="0" * 64, created_at=1.0))  # another process makes it
        assert await one.logins.get("begun") == b"pending"
        assert await two.logins.get("begun") == b"pending"
        await two.logins.remove("begun")
        assert await one.logins.get("begun") is None
