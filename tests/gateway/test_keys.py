"""The gateway's own keys over HTTP and by the command: what they may do, how much, and how soon a change is seen."""

import asyncio
import json
import sqlite3
import time

import aiohttp
import pytest
from click.testing import CliRunner
from tests.postgres import PostgresServer

from rightseat.commands.root import cli
from rightseat.errors import ConfigError
from rightseat.gateway.access.lockout import Lockout, LockoutPolicy
from rightseat.state.key_record import Key, new_text, split
from rightseat.state.opening import open_state

ADMIN = "management-key-0123456789"
ASK = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Reply with exactly: hello"}]}


@pytest.fixture
async def keyed(gateway):
    """A gateway with management: `served, admin, ask = await keyed(...)`."""
    async with aiohttp.ClientSession() as http:

        async def start(**given):
            options = {"management_key": ADMIN, **given.pop("settings", {})}
            served = await gateway(settings=options, **given)

            async def admin(method, path, body=None):
                headers = {"authorization": f"Bearer {ADMIN}"}
                async with http.request(method, f"{served.url}/v0/management{path}", json=body, headers=headers) as r:
                    return r.status, await r.json()

            async def ask(key=None, body=ASK, path="/v1/chat/completions", method="POST"):
                headers = {"authorization": f"Bearer {key}"} if key else {}
                async with http.request(
                    method, served.url + path, json=body if method == "POST" else None, headers=headers
                ) as r:
                    data = await r.read()
                    return r.status, json.loads(data) if data.startswith(b"{") else data, r.headers

            return served, admin, ask

        yield start


class TestLockout:
    def test_too_many_failures_lock_an_address_out_longer_each_time(self):
        lock = Lockout(LockoutPolicy(failures=3, window=60, first=30, longest=100))
        assert [lock.failed("a", t) for t in (0, 1, 2)] == [False, False, True]
        assert (lock.wait("a", 2), lock.wait("a", 32), lock.wait("b", 2)) == (30, 0, 0)
        assert [lock.failed("a", t) for t in (40, 41, 42)] == [False, False, True]
        assert lock.wait("a", 42) == 60
        for t in (200, 201, 202, 400, 401, 402):
            lock.failed("a", t)
        assert lock.wait("a", 402) == 100

    def test_slow_failures_and_none_do_not(self):
        lock = Lockout(LockoutPolicy(failures=3, window=60))
        assert not any(lock.failed("a", t) for t in range(0, 3000, 31))
        assert not any(Lockout(LockoutPolicy(failures=0)).failed("a", 0) for _ in range(100))

    def test_it_does_not_grow_without_end(self):
        lock = Lockout()
        for i in range(30_000):
            lock.failed(str(i), i)
        assert len(lock._addresses) <= 10_000


class TestGateway:
    async def test_from_making_a_key_to_ending_it(self, keyed):
        _, admin, ask = await keyed()
        assert (await ask())[0] == 200  # no key yet: none is needed
        status, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-*"], "daily_tokens": 10**6})
        assert (status, made["state"], made["name"]) == (201, "active", "ann")
        assert "digest" not in json.dumps(made)
        assert (await ask())[0] == 401
        status, answer, _ = await ask(made["key"])
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello")
        _, listed = await admin("GET", "/keys")
        assert made["key"] not in json.dumps(listed)
        await asyncio.sleep(0)
        _, requests = await admin("GET", "/requests")
        assert requests["requests"][0]["key"] == made["id"]
        await admin("DELETE", f"/keys/{made['id']}")
        status, answer, _ = await ask(made["key"])
        assert (status, answer["error"]["message"]) == (401, "this key is revoked")
        assert (await ask())[0] == 401  # and the door stays shut
        assert (await admin("DELETE", "/keys/none"))[0] == 404
        assert (await admin("POST", f"/keys/{made['id']}/rotate"))[0] == 404

    async def test_scopes_and_models(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-*"], "scopes": ["chat", "models"]})
        status, answer, _ = await ask(made["key"], {**ASK, "model": "claude-sonnet-4.5"})
        assert (status, answer["error"]["param"]) == (403, "model")
        status, answer, _ = await ask(made["key"], {"model": "text-embedding-3-small", "input": "x"}, "/v1/embeddings")
        assert (status, "embeddings" in answer["error"]["message"]) == (403, True)
        _, answer, _ = await ask(made["key"], path="/v1/models", method="GET")
        assert {model["id"][:4] for model in answer["data"]} == {"gpt-"}
        assert (await ask(made["key"], path="/v1/models/claude-sonnet-4.5", method="GET"))[0] == 403
        assert (await ask(made["key"], path="/metrics", method="GET"))[0] == 403

    async def test_a_name_that_fits_does_not_lead_to_a_model_that_does_not(self, keyed):
        _, admin, ask = await keyed(settings={"aliases": {"gpt-cheap": "claude-sonnet-4.5"}})
        _, made = await admin("POST", "/keys", {"name": "ann", "models": ["gpt-*"]})
        assert (await ask(made["key"], {**ASK, "model": "gpt-cheap"}))[0] == 403
        assert (await ask(made["key"], path="/v1/models/gpt-cheap", method="GET"))[0] == 403
        assert (await ask(made["key"]))[0] == 200

    async def test_a_used_up_budget_says_which_and_until_when(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 1})
        assert (await ask(made["key"]))[0] == 200
        for _ in range(50):
            if (await admin("GET", "/keys"))[1]["keys"][0]["used"].get("day", {}).get("requests"):
                break
        status, answer, headers = await ask(made["key"])
        assert (status, answer["error"]["code"]) == (429, "key_daily_tokens")
        assert 1 <= int(headers["retry-after"]) <= 86_400

    async def test_requests_per_minute(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann", "requests_per_minute": 3})
        statuses = [(await ask(made["key"]))[0] for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]

    async def test_a_rotation_ends_the_old_secret_at_once_or_after_a_while(self, keyed):
        _, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann"})
        _, again = await admin("POST", f"/keys/{made['id']}/rotate", {"grace_seconds": 100})
        assert [(await ask(key))[0] for key in (made["key"], again["key"])] == [200, 200]
        _, last = await admin("POST", f"/keys/{made['id']}/rotate")
        assert [(await ask(key))[0] for key in (made["key"], again["key"], last["key"])] == [401, 401, 200]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({}, "name"),
            ({"name": 1}, "name"),
            ({"name": "a", "scopes": "chat"}, "scopes"),
            ({"name": "a", "daily_tokens": 1.5}, "daily_tokens"),
            ({"name": "a", "monthly_tokens": -1}, "monthly_tokens"),
            ({"name": "a", "x": 1}, "x"),
            ({"name": "a", "expires_in": -1}, "expires_in"),
            ({"name": "a", "models": ["a b"]}, "models"),
            ({"name": "a", "tokens_per_minute": True}, "tokens_per_minute"),
        ],
    )
    async def test_a_bad_request_for_a_key_names_the_field(self, keyed, body, said):
        _, admin, _ = await keyed()
        status, answer = await admin("POST", "/keys", body)
        assert (status, answer["error"]["param"]) == (400, said)

    async def test_guessing_is_slowed_and_others_go_on(self, keyed, caplog):
        _, admin, ask = await keyed(settings={"lockout_failures": 5})
        _, made = await admin("POST", "/keys", {"name": "ann"})
        _, other = await admin("POST", "/keys", {"name": "bob"})
        assert (await ask(made["key"]))[0] == 200
        guesses = [new_text(made["id"])[0] for _ in range(8)]
        statuses = [(await ask(guess))[0] for guess in guesses]
        assert statuses == [401] * 5 + [429] * 3
        assert (await ask(made["key"]))[0] == 200
        assert (await ask(other["key"]))[0] == 200  # a right key is let in, though nobody has seen it here before
        status, _answer, headers = await ask(new_text()[0])
        assert (status, int(headers["retry-after"]) > 0) == (429, True)
        assert "locked out" in caplog.text
        assert not [guess for guess in guesses if guess in caplog.text]

    async def test_a_key_that_another_process_ends_is_refused_within_a_second(self, keyed, tmp_path):
        served, admin, ask = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann"})
        assert (await ask(made["key"]))[0] == 200
        async with open_state(tmp_path / "keys.sqlite") as other:
            await other.keys.revoke(made["id"])
        ended = begun = time.monotonic()
        while (await ask(made["key"]))[0] == 200:
            assert begun < ended + 1  # when it was asked; the answer may take its time
            begun = time.monotonic()
        assert served

    async def test_an_open_websocket_ends_with_its_key(self, keyed):
        served, admin, _ = await keyed()
        _, made = await admin("POST", "/keys", {"name": "ann"})
        frame = {"type": "response.create", "model": "gpt-5", "input": "Reply with exactly: hi"}
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{served.url}/v1/responses", headers={"x-api-key": made["key"]}) as ws,
        ):
            await ws.send_json(frame)
            while (await ws.receive_json())["type"] != "response.completed":
                pass
            await admin("DELETE", f"/keys/{made['id']}")
            await ws.send_json(frame)
            said = await ws.receive()
            if said.type is aiohttp.WSMsgType.TEXT:  # the frame was looked at before the socket was closed
                assert said.json()["error"]["message"] == "this key is revoked"
                said = await ws.receive()
            assert (said.type, said.data) == (aiohttp.WSMsgType.CLOSE, 1008)
            assert "revoked" in said.extra

    async def test_what_was_used_is_there_after_a_restart(self, gateway, tmp_path, simulate):
        from rightseat.testing.servers import running_gateway

        cloud = await simulate()
        for count in (1, 2):
            async with (
                running_gateway(cloud, tmp_path, {"management_key": ADMIN}) as url,
                aiohttp.ClientSession() as http,
            ):
                if count == 1:
                    async with http.post(
                        f"{url}/v0/management/keys", json={"name": "ann"}, headers={"x-api-key": ADMIN}
                    ) as r:
                        made = await r.json()
                async with http.post(f"{url}/v1/chat/completions", json=ASK, headers={"x-api-key": made["key"]}) as r:
                    assert r.status == 200
            async with open_state(tmp_path / "keys.sqlite") as state:
                assert (await state.ledger.spent())[made["id"]]["day"].requests == count

    async def test_without_its_pepper_it_does_not_start_and_says_why(self, simulate, tmp_path):
        from rightseat.testing.servers import running_gateway

        async with open_state(tmp_path / "keys.sqlite") as state:
            await state.keys.create(Key(id="k", name="n", digest="0" * 64, created_at=0))
        with pytest.raises(ConfigError, match="pepper"):
            async with running_gateway(await simulate(), tmp_path):
                pass


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path):
        def call(*arguments):
            return CliRunner().invoke(
                cli,
                ["keys", *arguments],
                env={"RIGHTSEAT_HOME": str(tmp_path), "RIGHTSEAT_KEYRING": "off", "COLUMNS": "300"},
            )

        return call

    def test_create_list_rotate_revoke(self, run, tmp_path):
        made = run("create", "ann", "--model", "gpt-*", "--rpm", "60", "--daily", "100000", "--expires", "30d")
        text = made.stdout.strip()
        key_id, secret = split(text)
        assert key_id in made.stderr
        listed = run("list").stdout
        assert all(part in listed for part in (key_id, "ann", "active", "gpt-*", "60 req/min", "100000 tok/day"))
        assert secret not in listed
        assert split(run("rotate", key_id).stdout.strip())[0] == key_id
        assert run("revoke", key_id).exit_code == 0
        (one,) = json.loads(run("list", "--json").stdout)
        assert (one["state"], "digest" in one) == ("revoked", False)
        assert sqlite3.connect(tmp_path / "keys.sqlite").execute("select count(*) from keys").fetchone() == (1,)

    @pytest.mark.parametrize(
        ("arguments", "status", "said"),
        [
            (["revoke", "none"], 1, "no key"),
            (["rotate", "none"], 1, "no active key"),
            (["create", "ann", "--expires", "soon"], 2, "30d"),
            (["create", "ann", "--scope", "all"], 2, "scope"),
            (["create", "ann", "--model", "a b"], 1, "models"),
            (["list"], 0, "no keys yet"),
        ],
    )
    def test_what_is_wrong_is_said(self, run, arguments, status, said):
        done = run(*arguments)
        assert (done.exit_code, said in done.stderr) == (status, True), done.output


async def test_a_database_server_that_goes_away_and_comes_back(keyed, postgres, monkeypatch, caplog):
    monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "a-pepper-for-several-machines")
    with PostgresServer() as server:
        _, admin, ask = await keyed(settings={"database": server.database()})
        _, free = await admin("POST", "/keys", {"name": "free"})
        _, limited = await admin("POST", "/keys", {"name": "limited", "daily_tokens": 100_000})
        assert (await ask(limited["key"]))[0] == 200
        server.stop()
        assert (await ask(free["key"]))[0] == 200  # known by heart
        status, body, headers = await ask(limited["key"])
        assert (status, body["error"]["code"], headers["retry-after"]) == (503, "key_database", "1")
        assert "postgres" not in json.dumps(body)
        status, body = await admin("GET", "/keys")
        assert status == 503

        def complaints():
            return [line for line in caplog.messages if line.startswith("the database of keys (")]

        async with asyncio.timeout(10):
            while not complaints():
                await asyncio.sleep(0.05)
        server.start(server.port)
        assert (await ask(limited["key"]))[0] == 200

        async def used(name):
            _, body = await admin("GET", "/keys")
            return next(k["used"].get("day", {}).get("requests", 0) for k in body["keys"] if k["name"] == name)

        async with asyncio.timeout(10):
            while (await used("limited"), await used("free")) != (2, 1):
                await asyncio.sleep(0.05)
            while "is back" not in caplog.text:
                await asyncio.sleep(0.05)
        assert len(complaints()) == 1


async def test_what_was_used_while_the_database_was_away_is_booked_later(keyed, monkeypatch):
    monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "a-pepper-for-several-machines")
    with PostgresServer() as server:
        served, admin, _ = await keyed(settings={"database": server.database()}, pace=20)
        _, made = await admin("POST", "/keys", {"name": "ann", "daily_tokens": 100_000})
        headers = {"authorization": f"Bearer {made['key']}"}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{served.url}/v1/chat/completions", json={**ASK, "stream": True}, headers=headers) as answer,
        ):
            assert answer.status == 200
            server.stop()
            assert b"[DONE]" in await answer.read()  # what was admitted goes on
        server.start(server.port)
        async with asyncio.timeout(10):
            while True:
                status, body = await admin("GET", "/keys")
                if status == 200 and body["keys"][0]["used"]:
                    break
                await asyncio.sleep(0.05)
        assert body["keys"][0]["used"]["day"]["output_tokens"] > 0
