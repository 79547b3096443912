"""Several workers on one port: numbers add up, a key ends everywhere, budgets hold, and a dead worker is replaced."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rightseat.accounts.store import Account, FileStore

ADMIN = {"authorization": "Bearer management-key-0123456789"}
ASK = {
    "model": "gpt-4.1",
    "messages": [{"role": "user", "content": "Reply with exactly: one two three four five six seven eight nine ten"}],
}


@pytest.fixture
def supervised(simulate, tmp_path):
    """`rightseat serve --workers 2`, as people run it."""

    @asynccontextmanager
    async def start(workers=2, settings=None, **simulator):
        cloud = await simulate(**simulator)
        FileStore(tmp_path).save(Account("ann", "gho_simulated", host=cloud.url))
        env = {
            **os.environ,
            "RIGHTSEAT_HOME": str(tmp_path),
            "RIGHTSEAT_PORT": "0",
            "RIGHTSEAT_MANAGEMENT_KEY": "management-key-0123456789",
            "RIGHTSEAT_DRAIN_SECONDS": "2",
            "RIGHTSEAT_KEYRING": "off",
            "RIGHTSEAT_LOG": "off",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rightseat",
            "serve",
            "--workers",
            str(workers),
            *(("--config", str(settings)) if settings else ()),
            env=env,
            stderr=PIPE,
            stdout=PIPE,
        )
        try:
            lines = []
            while True:
                line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
                assert line, "".join(lines)
                lines.append(line)
                if found := re.search(r"(http://\S+)/v1 ", line):
                    break
            url = found[1]
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as http:
                yield process, url, http
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.wait_for(process.wait(), 15)

    return start


async def ask(http, url, key="", body=ASK):
    async with http.post(
        f"{url}/v1/chat/completions", json=body, headers={"x-api-key": key} if key else {}
    ) as response:
        return response.status, json.loads(await response.read())


async def make_key(http, url, **fields):
    async with http.post(f"{url}/v0/management/keys", json={"name": "ann", **fields}, headers=ADMIN) as response:
        return await response.json()


async def total(http, url, name):
    async with http.get(f"{url}/metrics", headers=ADMIN) as response:
        text = await response.text()
    return sum(s.value for family in text_string_to_metric_families(text) for s in family.samples if s.name == name)


def children(pid):
    with Path(f"/proc/{pid}/task/{pid}/children").open() as file:
        return [int(one) for one in file.read().split()]


async def until(condition, seconds=10):
    """Poll; for what other processes do."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_metrics_of_all_workers_add_up_whoever_is_asked(supervised):
    async with supervised() as (process, url, http):
        answers = await asyncio.gather(*(ask(http, url) for _ in range(200)))
        assert {status for status, _ in answers} == {200}
        used = sum(a["usage"]["completion_tokens"] for _, a in answers)
        for _ in range(6):  # different workers answer
            assert await total(http, url, "rightseat_requests_total") == 200
            assert await total(http, url, "rightseat_request_seconds_count") == 200
            assert await total(http, url, "rightseat_open_requests") == 0
        async with http.get(f"{url}/metrics", headers=ADMIN) as response:
            text = await response.text()
        output = [
            s.value
            for f in text_string_to_metric_families(text)
            for s in f.samples
            if s.name == "rightseat_tokens_total" and s.labels["kind"] == "output"
        ]
        assert sum(output) == used
        # A worker that died is replaced, and what it has counted still counts.
        before = children(process.pid)
        assert len(before) == 2
        os.kill(before[0], signal.SIGKILL)

        async def replaced():
            now = children(process.pid)
            return len(now) == 2 and before[0] not in now

        await until(replaced)
        for _ in range(20):
            assert (await ask(http, url))[0] == 200
        assert await total(http, url, "rightseat_requests_total") == 220


async def test_a_revoked_key_is_refused_by_all_of_them_within_a_second(supervised):
    async with supervised() as (_, url, http):
        made = await make_key(http, url)

        async def known_everywhere():
            return {s for s, _ in await asyncio.gather(*(ask(http, url, made["key"]) for _ in range(30)))} == {200}

        await until(known_everywhere)
        async with http.delete(f"{url}/v0/management/keys/{made['id']}", headers=ADMIN) as response:
            assert response.status == 200
        ended, accepted_at = time.monotonic(), 0.0
        while time.monotonic() < ended + 2:
            began = time.monotonic()
            if (await ask(http, url, made["key"]))[0] == 200:
                accepted_at = began
        assert accepted_at < ended + 1


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_budget_holds_to_within_one_request_with_two_workers_under_load(
    supervised, database, request, monkeypatch
):
    if database == "postgresql":
        monkeypatch.setenv("RIGHTSEAT_DATABASE", request.getfixturevalue("postgres")())
        monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "a-pepper-for-several-machines")
    async with supervised() as (_, url, http):
        body = {**ASK, "max_tokens": 60}
        plain = await make_key(http, url)

        async def known(key):
            return {s for s, _ in await asyncio.gather(*(ask(http, url, key, body) for _ in range(12)))} == {200}

        await until(lambda: known(plain["key"]))
        _, one = await ask(http, url, plain["key"], body)
        size = one["usage"]["total_tokens"]
        budget = 40 * size
        made = await make_key(http, url, daily_tokens=budget)

        async def found():
            return {s for s, _ in await asyncio.gather(*(ask(http, url, made["key"], body) for _ in range(6)))} <= {
                200,
                429,
            }

        await until(found)
        used_up = 0
        for _ in range(200):
            answers = await asyncio.gather(*(ask(http, url, made["key"], body) for _ in range(16)))
            errors = [a["error"] for s, a in answers if s != 200]
            assert {e["code"] for e in errors} <= {"key_daily_tokens"}
            # What is under way may still leave some. Else until the day ends.
            used_up = sum("reserved by requests under way" not in e["message"] for e in errors)
            if used_up == 16:
                break
        assert used_up == 16
        async with http.get(f"{url}/v0/management/keys", headers=ADMIN) as response:
            (key,) = [k for k in (await response.json())["keys"] if k["id"] == made["id"]]
        used = key["used"]["day"]["input_tokens"] + key["used"]["day"]["output_tokens"]
        assert budget <= used <= budget + size
        assert used == key["used"]["day"]["requests"] * size


async def test_what_was_under_way_when_all_workers_were_killed_is_booked_and_blocks_nobody(supervised):
    """B9."""
    async with supervised(pace=5) as (process, url, http):
        plain = await make_key(http, url)
        assert (await ask(http, url, plain["key"]))[0] == 200  # the gateway demands keys by now
        made = await make_key(http, url, daily_tokens=9000)
        response = await http.post(
            f"{url}/v1/chat/completions", json={**ASK, "stream": True}, headers={"x-api-key": made["key"]}
        )
        assert response.status == 200
        for worker in children(process.pid):
            os.kill(worker, signal.SIGKILL)
        response.close()

        async def booked():
            try:
                async with http.get(f"{url}/v0/management/keys", headers=ADMIN) as listed:
                    (key,) = [k for k in (await listed.json())["keys"] if k["id"] == made["id"]]
            except aiohttp.ClientError:
                return False  # nobody is there yet
            return key["used"].get("day", {}).get("output_tokens", 0) > 100

        await until(booked)
        status, said = await ask(http, url, made["key"])
        assert status == 200 or "used up" in said["error"]["message"]


async def test_a_stop_lets_streams_finish_and_leaves_no_process(supervised):
    async with supervised(pace=50) as (process, url, http):
        workers = children(process.pid)
        async with http.post(f"{url}/v1/chat/completions", json={**ASK, "stream": True}) as response:
            await response.content.readany()
            process.send_signal(signal.SIGTERM)
            rest = await response.read()
        assert b"[DONE]" in rest
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


async def test_a_hangup_reloads_settings_in_all_workers_and_drops_no_stream(supervised, tmp_path):
    first, second = "first-key-0123456789", "second-key-0123456789"
    (tmp_path / "rightseat.toml").write_text(f'keys = ["{first}"]\nlockout_failures = 0')
    async with supervised(pace=40, settings=tmp_path / "rightseat.toml") as (process, url, http):

        async def statuses(key):
            return {s for s, _ in await asyncio.gather(*(ask(http, url, key) for _ in range(12)))}

        assert await statuses(second) == {401}
        headers = {"x-api-key": first}
        async with http.post(f"{url}/v1/chat/completions", json={**ASK, "stream": True}, headers=headers) as response:
            await response.content.readany()
            (tmp_path / "rightseat.toml").write_text(f'keys = ["{first}", "{second}"]\nlockout_failures = 0')
            process.send_signal(signal.SIGHUP)
            rest = await response.read()
        assert b"[DONE]" in rest

        async def taken():
            return await statuses(second) == {200}

        await until(taken)
        (tmp_path / "rightseat.toml").write_text("keys = 5")  # what is in force stays
        process.send_signal(signal.SIGHUP)
        assert await statuses(first) == {200}
        assert process.returncode is None


async def posted(url, path, body):
    """A request over a socket of its own: a task that gives all that the server wrote, to the last byte."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)

    async def answer():
        try:
            return await reader.read()
        finally:
            writer.close()

    return asyncio.ensure_future(answer())


async def test_a_stop_cuts_what_does_not_end_in_the_clients_dialect(supervised):
    """No answer ends as if it were whole, or as a text that no client reads."""
    async with supervised(workers=1, pace=2) as (process, url, http):
        body = {"model": "claude-sonnet-4.5", "max_tokens": 500, "stream": True, "messages": ASK["messages"]}
        messages = await posted(url, "/v1/messages", body)
        chat = await posted(url, "/v1/chat/completions", {**ASK, "stream": True})
        whole = await posted(url, "/v1/chat/completions", ASK)

        async def three_under_way():
            async with http.get(f"{url}/metrics", headers=ADMIN) as response:
                return 'rightseat_open_requests{operation="chat"} 3.0' in await response.text()

        await until(three_under_way)
        process.send_signal(signal.SIGTERM)
        for answer, said in ((messages, b"event: error"), (chat, b'"code":"shutting_down"')):
            rest = await answer
            assert said in rest
            assert b"shutting down" in rest
            assert not rest.endswith(b"0\r\n\r\n")
        head, _, told = (await whole).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"application/json" in head
        assert json.loads(told)["error"]["code"] == "shutting_down"
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert b"Traceback" not in await process.stderr.read()


async def test_workers_end_with_a_supervisor_that_was_killed(supervised):
    async with supervised() as (process, _, _):
        workers = children(process.pid)
        process.kill()
        await process.wait()

        async def gone():
            return not [pid for pid in workers if _alive(pid)]

        await until(gone)


def _alive(pid):
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
