"""Where tokens may go: addresses are the owner's, a token may name one of its own GitHub's, and nobody else names any."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.accounts.hosts import Hosts, belongs, copilot_url
from rightseat.accounts.identity import Editor
from rightseat.accounts.login import user_name
from rightseat.accounts.quota import fetch_quota
from rightseat.accounts.store import Account, MemoryAccounts
from rightseat.accounts.tokens import TokenSource, account_after
from rightseat.backends.copilot import CopilotBackend
from rightseat.errors import ConfigError, LoginError, UpstreamError
from rightseat.transport.http.aiohttp import AiohttpSender
from rightseat.transport.http.base import HttpAnswer

OFFICIAL, TENANT = "https://api.githubcopilot.com", "https://copilot-api.octo.ghe.com"


@pytest.mark.parametrize(
    ("url", "host", "believed"),
    [
        ("https://api.githubcopilot.com", "github.com", True),
        ("https://api.individual.githubcopilot.com", "github.com", True),
        ("https://api.business.githubcopilot.com/", "github.com", True),
        ("http://api.githubcopilot.com", "github.com", False),
        ("https://api.githubcopilot.com:8443", "github.com", False),
        ("https://githubcopilot.com.evil.example", "github.com", False),
        ("https://evilgithubcopilot.com", "github.com", False),
        ("https://api.githubcopilot.com@evil.example", "github.com", False),
        ("https://evil.example", "github.com", False),
        ("https://copilot-api.octo.ghe.com", "github.com", False),
        ("http://127.0.0.1:99", "github.com", False),
        ("https://copilot-api.octo.ghe.com", "octo.ghe.com", True),
        ("https://copilot-api.other.ghe.com", "octo.ghe.com", False),
        ("https://api.githubcopilot.com", "octo.ghe.com", False),
        ("https://xocto.ghe.com", "octo.ghe.com", False),
        ("http://127.0.0.1:99", "http://127.0.0.1:80", True),
        ("https://evil.example", "http://127.0.0.1:80", False),
        ("https://api.githubcopilot.com/backend-api/codex", "github.com", False),
        ("https://exa mple", "github.com", False),
        ("", "github.com", False),
        ("https://evil.example%2f.githubcopilot.com", "github.com", False),
        ("https://evil.example;.githubcopilot.com", "github.com", False),
        ("https://evil.example?.githubcopilot.com", "github.com", False),
        ("https://evil.example#.githubcopilot.com", "github.com", False),
        ("https://evil.example\\.githubcopilot.com", "github.com", False),
        ("https://user:pw@api.githubcopilot.com", "github.com", False),
        ("https://api.githubcopilot.com?x=", "github.com", False),
        ("https://api.githubc\u043epilot.com", "github.com", False),
        ("https://xn--api-githubcopilot-com.example", "github.com", False),
        ("https://[::ffff:1.2.3.4]", "github.com", False),
        ("https://api.githubcopilot.com.", "github.com", False),
        ("https://api.githubcopilot.com:99999", "github.com", False),
        ("ftp://api.githubcopilot.com", "github.com", False),
        ("//evil.example", "github.com", False),
        ("https://0x7f.1", "github.com", False),
        ("https://localhost.evil.example", "http://localhost:1", False),
        ("https://127.0.0.1.evil.example", "http://127.0.0.1:1", False),
    ],
)
def test_a_token_names_addresses_of_its_own_github_only(url, host, believed):
    assert belongs(url, host) is believed
    body = json.dumps({"token": "tid=1", "endpoints": {"api": url}}).encode()
    account = account_after(Account("ann", "gho_x", host=host), HttpAnswer(200, {}, body), 0.0)
    goes = copilot_url(account.host, account.base_url, account.api_url)
    assert goes == (url.rstrip("/") if believed else Hosts.of(host).copilot)


@pytest.mark.parametrize("odd", [5, None, ["https://evil.example"], {"api": "x"}])
def test_an_address_of_another_kind_is_none(odd):
    body = json.dumps({"token": "tid=1", "endpoints": {"api": odd}}).encode()
    assert account_after(Account("ann", "gho_x"), HttpAnswer(200, {}, body), 0.0).api_url == ""


@pytest.mark.parametrize(("host", "official"), [("github.com", OFFICIAL), ("octo.ghe.com", TENANT)])
@pytest.mark.parametrize("foreign", ["https://evil.example/backend-api/codex", " evil.example/backend-api/codex/ "])
def test_an_address_left_from_another_service_gets_no_token(host, official, foreign):
    assert copilot_url(host, foreign, "") == official
    assert copilot_url(host, foreign, "https://evil.example") == official


def test_the_owners_choice_goes_before_what_a_token_names():
    named = "https://api.business.githubcopilot.com"
    assert copilot_url("github.com", "https://proxy.example/x/", named) == "https://proxy.example/x"
    assert copilot_url("github.com", "", named) == named
    assert copilot_url("github.com", "", "") == OFFICIAL
    with pytest.raises(ConfigError):
        copilot_url("github.com", "http://proxy.example", "")


def test_three_levels_of_addresses_and_what_the_token_names():
    """C13: the account's attribute, its metadata, the default; between them what the token names."""
    named = "https://api.business.githubcopilot.com"
    levels = {"base_url": " https://one.example/ ", "metadata": {"base_url": "two.example/x"}, "api_url": named}
    for name, address in (
        ("base_url", "https://one.example"),
        ("metadata", "https://two.example/x"),
        ("api_url", named),
    ):
        assert Account("ann", "gho_x", **levels).address == address
        del levels[name]
    assert Account("ann", "gho_x").address == OFFICIAL
    codex = "https://evil.example/backend-api/codex"
    assert Account("ann", "gho_x", metadata={"base_url": codex}).address == OFFICIAL
    assert Account("ann", "gho_x", base_url=codex, metadata={"base_url": codex}, api_url=codex).address == OFFICIAL


def test_an_address_with_a_password_is_refused_without_showing_it():
    with pytest.raises(ConfigError) as caught:
        _ = Account("ann", "gho_x", base_url="https://ann:hunter2@proxy.example").address
    assert "hunter2" not in str(caught.value)
    assert "proxy.example" in str(caught.value)


HOSTILE = [
    "https://evil.example", "evil.example", "https://evil.example/backend-api/codex", "https://api.githubcopilot.com@evil.example",
    "https://api.githubcopilot.com.evil.example", "https://evilgithubcopilot.com", "https://evil.example:443", "https://api.githubcopilot.com:8443",
    "https://evil.example#.githubcopilot.com", "https://evil.example?.githubcopilot.com", "https://evil.example\\.githubcopilot.com",
    "https://evil.example%2f.githubcopilot.com", "https://api.githubc\u043epilot.com", "http://api.githubcopilot.com", "http://127.0.0.1:1", "//evil.example",
]  # fmt: skip


class GitHub:
    """GitHub at the seam: it sees who is asked with which token, and its tokens name a hostile address."""

    def __init__(self, named: str) -> None:
        self.named = named
        self.asked: list[tuple[str, str]] = []

    async def open(self, request):
        self.asked.append((urlsplit(request.url).netloc, request.headers.get("authorization", "")))
        answer = {"token": "tid=1", "refresh_in": 1500, "endpoints": {"api": self.named}, "data": [], "login": "ann"}
        return Answer(json.dumps(answer).encode())


class Answer:
    def __init__(self, body: bytes) -> None:
        self.status, self.headers, self.framed, self._body = 200, {}, True, body

    async def read(self) -> bytes:
        return self._body

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("host", ["github.com", "octo.ghe.com"])
@pytest.mark.parametrize("hostile", HOSTILE)
async def test_no_token_goes_to_a_host_that_is_not_githubs(hostile, host):
    """C12: whatever a token names, a file was left with, or another service's address says."""
    tenant = "" if host == "github.com" else host
    allowed = {f"api.{tenant}", f"copilot-api.{tenant}"} if tenant else {"api.github.com", "api.githubcopilot.com"}
    github = GitHub(hostile)
    accounts = [Account("ann", "gho_x", host=host), Account("bob", "gho_y", host=host, api_url=hostile)]
    if hostile.endswith("/backend-api/codex"):
        accounts += [
            Account("cat", "gho_z", host=host, base_url=hostile),
            Account("dan", "gho_w", host=host, metadata={"base_url": hostile}),
        ]
    for account in accounts:
        backend = CopilotBackend(MemoryAccounts(account), github)
        try:
            await backend.models()
            await backend.refresh(account.name)
            await fetch_quota(github, Editor(), account)
        finally:
            await backend.aclose()
    assert len(github.asked) >= 4 * len(accounts)
    assert all(token for _, token in github.asked)
    assert {netloc for netloc, _ in github.asked} == allowed


async def test_a_redirect_is_not_followed():
    """A host that is allowed cannot send a token on to one that is not."""
    seen: list[bytes] = []

    async def elsewhere(reader, writer):
        seen.append(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(elsewhere, "127.0.0.1", 0) as foreign:
        location = f"http://127.0.0.1:{foreign.sockets[0].getsockname()[1]}/"

        async def redirect(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 307 x\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(redirect, "127.0.0.1", 0) as official, AiohttpSender() as sender:
            account = Account("ann", "gho_x", host=f"http://127.0.0.1:{official.sockets[0].getsockname()[1]}")
            source = TokenSource(MemoryAccounts(account), sender, Editor())
            with pytest.raises(UpstreamError):
                await source.get(account)
            with pytest.raises(UpstreamError):
                await fetch_quota(sender, Editor(), account)
            with pytest.raises(LoginError):
                await user_name(sender, Editor(), account)
            await source.close()
    assert seen == []


@given(st.from_regex(r"https?://[a-z0-9.@:/\\-]{0,30}(githubcopilot|ghe)?[a-z0-9.@:/\\-]{0,20}", fullmatch=True))
def test_whatever_a_token_names_requests_stay_with_github(url):
    goes = copilot_url("github.com", "", url)
    name = goes.removeprefix("https://").partition("/")[0]
    assert name.endswith(".githubcopilot.com")
    assert goes.startswith("https://")
