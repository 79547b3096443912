"""What commands print fits 80 columns, whatever is in it; words are not broken, and nothing is cut."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from rightseat.accounts.store import Account, FileStore
from rightseat.commands.output import Wrapped, width
from rightseat.commands.root import cli

LONG = "https://copilot-proxy.internal.a-rather-long-name.example.org/v1"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("COPILOT_API_KEY", "COPILOT_GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_status_and_lists_fit_80_columns(run, tmp_path):
    listed = run("models").output  # a list that stands in for one, as nobody is logged in
    assert max(map(len, listed.splitlines())) <= 80, listed
    for login, host in (("octocat", "github.com"), ("a-login-of-thirty-nine-characters-long", "tenant.ghe.com")):
        FileStore(tmp_path).save(Account(login, f"gho_{login}", host=host, base_url=LONG))
    models = [word for i in range(12) for word in ("--model", f"claude-opus-4.{i}-*")]
    limits = ("--rpm", "60", "--tpm", "100000", "--daily", "500000", "--monthly", "10000000", "--expires", "30d")
    assert run("keys", "create", "the-build-server-of-the-team-in-another-town", *models, *limits).exit_code == 0
    for line in (("status", "--offline"), ("keys", "list")):
        done = run(*line)
        assert done.exit_code == 0, done.output
        assert max(map(len, done.output.splitlines())) <= 80, done.output
    listed = run("keys", "list").output
    assert all(
        word in listed
        for word in ("claude-opus-4.11-*", "500000 tok/day", "the-build-server-of-the-team-in-another-town")
    )
    assert LONG in run("status", "--offline").output
    (key,) = json.loads(run("keys", "list", "--json").output)
    assert key["id"] in listed


@given(st.lists(st.text(st.sampled_from("ab \n"), max_size=30), max_size=20))
def test_a_text_that_comes_in_pieces_is_wrapped_between_words(pieces):
    lines = Wrapped(4)
    shown = "    " + "".join(map(lines.feed, pieces)) + lines.end()
    assert shown.split() == "".join(pieces).split()
    assert all(len(line) <= width() or len(line.split()) == 1 for line in shown.splitlines())
