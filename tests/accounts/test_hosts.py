"""Where tokens may go: addresses are the owner's, a token may name one of its own GitHub's, and nobody else names any."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightseat.accounts.hosts import Hosts, belongs, copilot_url
from rightseat.accounts.store import Account
from rightseat.accounts.tokens import account_after
from rightseat.errors import ConfigError
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


@given(st.from_regex(r"https?://[a-z0-9.@:/\\-]{0,30}(githubcopilot|ghe)?[a-z0-9.@:/\\-]{0,20}", fullmatch=True))
def test_whatever_a_token_names_requests_stay_with_github(url):
    goes = copilot_url("github.com", "", url)
    name = goes.removeprefix("https://").partition("/")[0]
    assert name.endswith(".githubcopilot.com")
    assert goes.startswith("https://")
