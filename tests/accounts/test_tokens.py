"""Tokens: renewed ahead of time, by one exchange however many wait, whatever the clock does."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rightseat.accounts.hosts import clean_url
from rightseat.accounts.identity import Editor, copilot_headers, github_headers
from rightseat.accounts.store import Account, FileStore, MemoryAccounts
from rightseat.accounts.tokens import Renewal, TokenSource, account_after, decide
from rightseat.clock import SystemClock
from rightseat.errors import ConfigError, ConnectError, LoginError, UpstreamError
from rightseat.transport.http.base import HttpAnswer, HttpRequest
from rightseat.wire.facts import has_image
from rightseat.wire.initiator import began

HOUR = 3600.0


class Clock(SystemClock):
    """A wall clock that a test sets."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.at = now

    def wall(self) -> float:
        return self.at


class Exchange:
    """GitHub's token endpoint on the seam: counts, and answers when told to."""

    def __init__(self, clock: Clock, *, lives: float = 1800, refresh_in: float = 1500) -> None:
        self.count = 0
        self.clock, self.lives, self.refresh_in = clock, lives, refresh_in
        self.status, self.error, self.gate = 200, None, asyncio.Event()
        self.gate.set()

    async def open(self, request: HttpRequest):
        self.count += 1
        number = self.count
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        body = {"token": f"tid={number}", "expires_at": self.clock.at + self.lives, "refresh_in": self.refresh_in}
        answer = json.dumps(body if self.status == 200 else {"message": "no"}).encode()

        class Stream:
            status, headers = self.status, {}

            async def read(self) -> bytes:
                return answer

            async def aclose(self) -> None:
                pass

        return Stream()


@pytest.fixture
def world():
    clock = Clock()
    exchange, account = Exchange(clock), Account("ann", "gho_x")
    store = MemoryAccounts(account)
    return clock, exchange, account, store, TokenSource(store, exchange, Editor(), clock)


def fresh(now: float, **changes: float) -> Account:
    values = {"expires_at": now + 1800, "refresh_in": 1500.0, "last_refresh": now, **changes}
    return Account("ann", "gho_x", access_token="tid=1", **values)


@pytest.mark.parametrize(
    ("after", "renewal"),
    [(0, Renewal.USE), (1439, Renewal.USE), (1440, Renewal.USE_AND_RENEW), (1790, Renewal.USE_AND_RENEW), (1796, Renewal.RENEW_FIRST),
     (HOUR, Renewal.RENEW_FIRST), (-1, Renewal.USE_AND_RENEW), (-HOUR, Renewal.USE_AND_RENEW)],
)  # fmt: skip
def test_the_policy(after, renewal):
    assert renewal is decide(fresh(1_000_000.0), 1_000_000.0 + after)


def test_without_a_token_it_is_renewed_first():
    assert decide(Account("ann", "gho_x"), 0) is Renewal.RENEW_FIRST


async def test_a_thousand_requests_cause_one_exchange(world):
    _, exchange, account, store, source = world
    exchange.gate.clear()
    waiting = [asyncio.ensure_future(source.get(account)) for _ in range(1000)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # the one that began it leaves; the others still get it
    exchange.gate.set()
    results = await asyncio.gather(*waiting[1:])
    assert exchange.count == 1
    assert {r.access_token for r in results} == {"tid=1"}
    assert (await store.load("ann")).access_token == "tid=1"


async def test_it_is_renewed_ahead_in_the_background_and_requests_do_not_wait(world):
    clock, exchange, account, _, source = world
    await source.get(account)
    clock.at += 1450
    exchange.gate.clear()
    assert (await source.get(account)).access_token == "tid=1"
    await asyncio.sleep(0)
    assert exchange.count == 2
    exchange.gate.set()
    while (await source.get(account)).access_token != "tid=2":
        await asyncio.sleep(0)
    assert exchange.count == 2


async def test_a_failed_renewal_does_no_harm_while_the_old_token_lives(world, caplog):
    clock, exchange, account, _, source = world
    await source.get(account)
    clock.at += 1450
    exchange.error = ConnectError("no network")
    for _ in range(50):
        assert (await source.get(account)).access_token == "tid=1"
        await asyncio.sleep(0)
    assert exchange.count == 2  # and no storm
    assert "renewing the token of ann failed" in caplog.text
    clock.at += 11
    exchange.error = None
    await source.get(account)
    while (await source.get(account)).access_token != "tid=3":
        await asyncio.sleep(0)


async def test_with_no_usable_token_the_failure_is_raised(world):
    _clock, exchange, account, _, source = world
    exchange.error = ConnectError("no network")
    with pytest.raises(ConnectError):
        await source.get(account)
    exchange.error, exchange.status = None, 500
    with pytest.raises(UpstreamError):
        await source.get(account)
    exchange.status = 403
    with pytest.raises(LoginError):
        await source.get(account)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 365 * 24 * HOUR, -365 * 24 * HOUR])
async def test_clock_jumps_and_sleep_cause_neither_a_stale_token_nor_a_storm(world, jump):
    clock, exchange, account, _, source = world
    await source.get(account)
    clock.at += jump
    for _ in range(100):
        got = await source.get(account)
        await asyncio.sleep(0)
    assert decide(got, clock.at) is Renewal.USE
    assert exchange.count == 2


async def test_a_refused_token_is_renewed_once_for_all(world):
    _, exchange, account, _, source = world
    got = await source.get(account)
    results = await asyncio.gather(*(source.renew(got) for _ in range(100)))
    assert exchange.count == 2
    assert {r.access_token for r in results} == {"tid=2"}
    assert (await source.renew(got)).access_token == "tid=2"
    assert exchange.count == 2


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (401, {"message": "Bad credentials"}, LoginError, "bad_credentials"),
        (
            403,
            {"error_details": {"notification_id": "no_copilot_access", "message": "Nope"}},
            LoginError,
            "no_copilot_access.*Nope",
        ),
        (500, {}, UpstreamError, "HTTP 500"),
        (200, {"no": "token"}, UpstreamError, "token exchange for ann failed"),
        (200, b"<html>", UpstreamError, "token exchange"),
        (200, {"token": "tid=1\r\nx: y"}, UpstreamError, "token exchange"),
    ],
)
def test_what_github_may_answer(status, body, error, says):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(error, match=says) as caught:
        account_after(Account("ann", "gho_x"), HttpAnswer(status, {}, data), 0.0)
    for private in ("ann", "Nope"):  # GitHub's words name who is logged in
        assert private not in caught.value.public


def test_a_wrong_clock_of_ours_does_not_end_the_token_early():
    body = json.dumps({"token": "tid=1", "expires_at": 500, "refresh_in": 1500}).encode()
    account = account_after(Account("ann", "gho_x"), HttpAnswer(200, {}, body), 1_000_000.0)
    assert account.expires_at == 1_000_000.0 + 1560


# The store.


def test_accounts_are_kept_for_their_owner_only(tmp_path):
    store = FileStore(tmp_path)
    store.save(fresh(0.0))
    path = tmp_path / "accounts" / "ann.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {"access_token", "github_access_token", "expires_at", "refresh_in"} <= set(json.loads(path.read_text()))
    assert store.list() == [fresh(0.0)] == [store.load("ann")]
    assert store.remove("ann")
    assert not store.remove("ann")
    assert store.load("ann") is None
    assert "gho_x" not in repr(fresh(0.0))


def test_tenants_have_names_of_their_own(tmp_path):
    store = FileStore(tmp_path)
    store.save(Account("ann", "gho_1"))
    store.save(Account("ann", "gho_2", host="octo.ghe.com"))
    assert [a.name for a in store.list()] == ["ann", "ann@octo.ghe.com"]
    with pytest.raises(ConfigError):
        store.load("../escape")


def test_a_damaged_file_is_named_and_left(tmp_path):
    store = FileStore(tmp_path)
    store.save(fresh(0.0))
    path = tmp_path / "accounts" / "ann.json"
    path.write_text('{"login": "ann"')
    assert store.list() == []
    assert str(path) in store.problems()[0]
    with pytest.raises(ConfigError, match=str(path)):
        store.load("ann")
    assert path.read_text() == '{"login": "ann"'


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    store = FileStore(tmp_path)
    store.save(fresh(0.0))
    old = (tmp_path / "accounts" / "ann.json").read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        store.save(fresh(5.0))
    assert (tmp_path / "accounts" / "ann.json").read_bytes() == old
    assert [p.name for p in (tmp_path / "accounts").iterdir()] == ["ann.json"]


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from rightseat.accounts.store import Account, FileStore

store, number = FileStore(Path(sys.argv[1])), 0
while True:
    store.save(Account("ann", "gho_1", access_token="tid=1", expires_at=number))
    number += 1
"""


def test_a_writer_that_is_killed_leaves_a_readable_file(tmp_path):
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)])
        while not list((tmp_path / "accounts").glob("*.json")):
            assert process.poll() is None
        process.kill()
        process.wait()
        assert FileStore(tmp_path).load("ann").access_token == "tid=1"


TWO = """
import asyncio, sys
from pathlib import Path
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.accounts.identity import Editor
from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.store import FileStore
from rightseat.accounts.tokens import TokenSource

async def main():
    store = FileStore(Path(sys.argv[1]))
    async with AiohttpSender() as sender:
        source = TokenSource(FileAccounts(store), sender, Editor())
        print("ready", flush=True)
        sys.stdin.readline()
        got = await asyncio.gather(*(source.get(store.list()[0]) for _ in range(500)))
        print({g.access_token for g in got}, flush=True)

asyncio.run(main())
"""


async def test_two_processes_cause_one_exchange(tmp_path, simulator):
    FileStore(tmp_path).save(Account("ann", "gho_x", host=simulator.url))
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", TWO, str(tmp_path), stdin=pipe, stdout=pipe)
        for _ in range(2)
    ]
    for process in processes:
        assert await process.stdout.readline() == b"ready\n"
    results = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert len({out for out, _ in results}) == 1
    assert simulator.app.cloud.exchanges == 1


# Headers and addresses.


def test_every_call_says_who_we_are():
    headers = copilot_headers(Editor(), "tid=1", initiator="agent", vision=True, stream=True)
    assert headers["authorization"] == "Bearer tid=1"
    assert headers["accept"] == "text/event-stream"
    assert headers["copilot-integration-id"] == "vscode-chat"
    assert headers["copilot-vision-request"] == "true"
    assert headers["x-initiator"] == "agent"
    assert {
        "editor-version",
        "editor-plugin-version",
        "user-agent",
        "openai-intent",
        "x-github-api-version",
        "x-request-id",
    } <= set(headers)


@pytest.mark.parametrize(
    ("messages", "explicit", "initiator"),
    [
        ([{"role": "user", "content": "hi"}], None, "user"),
        ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x"}], None, "agent"),
        ([{"role": "user", "content": "hi"}, {"role": "tool", "content": "x"}], None, "agent"),
        ([{"role": "user", "content": [{"type": "tool_result"}]}], None, "agent"),
        ([{"role": "user", "content": [{"type": "tool_result"}, {"type": "text"}]}], None, "user"),
        ([{"role": "user", "content": "hi"}], "Agent", "agent"),
        ([{"role": "tool", "content": "x"}], "user", "user"),
        ([{"role": "user", "content": "hi"}], "nonsense", "user"),
        ([], None, "user"),
    ],
)
def test_who_began_a_request(messages, explicit, initiator):
    assert initiator == began(messages, {}, {"x-initiator": explicit} if explicit else {}).initiator


@pytest.mark.parametrize(
    ("part", "image"),
    [
        ({"type": "image_url", "image_url": {"url": "x"}}, True),
        ({"type": "input_image", "image_url": "x"}, True),
        ({"type": "image", "source": {}}, True),
        ({"type": "tool_result", "content": [{"type": "image"}]}, True),
        ({"type": "text", "text": "image_url"}, False),
        ({"type": "tool_result", "content": "image"}, False),
    ],
)
def test_images_are_seen_in_every_dialect(part, image):
    assert has_image([{"role": "user", "content": [part]}]) is image


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        (" https://x.y/ ", "https://x.y"),
        ("x.y", "https://x.y"),
        ("https://x.y/backend-api/codex", "https://api.githubcopilot.com"),
        ("https://x.y/Backend-API/codex/ ", "https://api.githubcopilot.com"),
        ("http://127.0.0.1:8/", "http://127.0.0.1:8"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_addresses_are_cleaned(given, clean):
    assert clean == clean_url(given)


@pytest.mark.parametrize("bad", ["http://x.y", "ftp://x", "https://", "http://10.0.0.1"])
def test_addresses_that_are_refused(bad):
    with pytest.raises(ConfigError, match="address|https"):
        clean_url(bad)


def test_the_headers_in_force_are_documented():
    """docs/gateway.md has every header, its value, and the setting that changes it; the order is the alphabet's."""
    page = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
    table = page.partition("| header | to GitHub |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    names = {name: f"NAMED-{name}" for name in Editor.__struct_fields__}
    token = "TOKEN"
    github, marked_github = github_headers(Editor(), token), github_headers(Editor(**names), token)
    options = {"initiator": "user", "vision": True, "request_id": "ID"}
    copilot, marked = copilot_headers(Editor(), token, **options), copilot_headers(Editor(**names), token, **options)
    assert [row[0].strip("`") for row in rows] == sorted(github.keys() | copilot.keys())
    for cell, to_github, to_copilot, settings in rows:
        name = cell.strip("`")
        for headers, told in ((github, to_github), (copilot, to_copilot)):
            value = headers.get(name, "").replace("TOKEN", "").strip()
            assert bool(told) == (name in headers), name
            assert value in told.replace("the request's id", "ID"), name
        used = {
            found
            for value in (marked_github.get(name, ""), marked.get(name, ""))
            for found in names
            if names[found] == value
        }
        assert set(settings.replace("`", "").replace(",", " ").split()) == used, name
    assert f"`{Editor().client_id}` (`client_id`) with the scope `{Editor().scope}` (`scope`)" in page
