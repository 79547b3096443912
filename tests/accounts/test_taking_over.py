"""Accounts of other programs, of the environment, and of files without a login: taken over under the name that GitHub gives."""

import json

import pytest

from rightseat.accounts.file_accounts import FileAccounts
from rightseat.accounts.formats import hashed_login
from rightseat.accounts.from_environment import open_accounts
from rightseat.accounts.identity import Editor
from rightseat.accounts.importing import name_accounts, read_accounts, take_over
from rightseat.accounts.store import Account, FileStore
from rightseat.errors import ConfigError, LoginError
from rightseat.transport.http.aiohttp import AiohttpSender

TOKEN = "gho_16C7e42F292c6912E7710c838347Ae178B4a"
FOUR = {"access_token": "tid=1;exp=2", "github_access_token": TOKEN, "expires_at": 1762000000, "refresh_in": 1500}
CLIPROXY = {"type": "github-copilot", "access_token": TOKEN, "token_type": "bearer", "scope": "read:user", "username": "octocat",
            "expires_at": "2026-11-25T00:00:00Z", "email": "o@example.com"}  # fmt: skip
LITELLM = {
    "token": "tid=9;exp=1",
    "expires_at": 1,
    "refresh_in": 1500,
    "endpoints": {"api": "https://api.githubcopilot.com"},
}


def folder_of(tmp_path, files: dict[str, object]):
    folder = tmp_path / "theirs"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("files", "login", "address"),
    [
        ({"x.json": FOUR}, hashed_login(TOKEN), "https://api.githubcopilot.com"),
        ({"github-copilot-octocat.json": CLIPROXY}, "octocat", "https://api.githubcopilot.com"),
        ({"c.json": {"type": "copilot", "github_token": TOKEN, "account_type": "business", "username": "octocat"}}, "octocat", "https://api.githubcopilot.com"),
        ({"c.json": {**CLIPROXY, "attributes": {"base_url": "proxy.example/v1/"}}}, "octocat", "https://proxy.example/v1"),
        ({"c.json": {**CLIPROXY, "metadata": {"base_url": "https://proxy.example/backend-api/codex"}}}, "octocat", "https://api.githubcopilot.com"),
        ({"github_token": f"{TOKEN}\n"}, hashed_login(TOKEN), "https://api.githubcopilot.com"),
        ({"github_token": TOKEN, "enterprise_url": "https://octo.ghe.com/\n"}, hashed_login(TOKEN), "https://copilot-api.octo.ghe.com"),
        ({"access-token": TOKEN, "api-key.json": LITELLM}, hashed_login(TOKEN), "https://api.githubcopilot.com"),
    ],
)  # fmt: skip
def test_the_files_of_other_programs_are_read_as_they_are(tmp_path, files, login, address):
    folder = folder_of(tmp_path, files)
    (account,), skipped = read_accounts(folder)
    assert (account.login, account.github_access_token, account.address, skipped) == (login, TOKEN, address, [])
    if len(files) == 1:
        assert read_accounts(folder / next(iter(files)))[0] == [account]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "{", "damaged"),
        ("a.json", "[]", "not a JSON object"),
        ("a.json", {"type": "claude", "access_token": "sk-ant-secret"}, "an account of 'claude', not of Copilot"),
        ("api-key.json", LITELLM, "a Copilot token alone"),
        ("a.json", {"hello": 1}, "no GitHub token; known are the files of rightseat's, CLIProxyAPI's"),
        ("token", "sk-secret", "OpenAI API key"),
        ("token", "", "it is empty"),
        ("token", "\x00\x01" * 9, "no known token format"),
        ("a.json", {**FOUR, "host": "evil.example"}, "use github.com or TENANT.ghe.com"),
        ("a.json", " " * 300_000, "larger than"),
    ],
)
def test_what_cannot_be_taken_over_is_said_with_the_file_and_without_a_secret(tmp_path, name, content, said):
    path = folder_of(tmp_path, {name: content}) / name
    with pytest.raises(ConfigError, match=said) as caught:
        read_accounts(path)
    assert str(path) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_of_a_folder_what_is_no_account_of_copilot_is_left_out_by_name(tmp_path):
    folder = folder_of(tmp_path, {"c.json": CLIPROXY, "claude.json": {"type": "claude", "access_token": "x"}})
    accounts, (skipped,) = read_accounts(folder)
    assert [account.login for account in accounts] == ["octocat"]
    assert "claude.json" in skipped
    (folder / "c.json").unlink()
    with pytest.raises(ConfigError, match=r"there is no account in it: .*claude.json"):
        read_accounts(folder)


async def test_github_is_asked_for_the_login_of_a_file_that_has_none(tmp_path, simulator):
    folder = tmp_path / "accounts"
    folder.mkdir()
    (folder / "copilot token.json").write_text(json.dumps({**FOUR, "host": simulator.url}))
    store = FileStore(tmp_path)
    async with AiohttpSender() as sender:
        await name_accounts(FileAccounts(store), sender, Editor())
        (account,) = store.list()
        assert account.login == "rightseat-simulator"
        assert account.access_token == FOUR["access_token"]
        assert [path.stem for path in folder.glob("*.json")] == [account.name]
        await name_accounts(FileAccounts(store), sender, Editor())
    assert (store.list(), store.problems()) == ([account], ())


async def test_offline_the_name_is_part_of_a_hash_and_nobody_is_stopped(tmp_path, caplog):
    store = FileStore(tmp_path)
    account = Account(hashed_login(TOKEN), TOKEN, host="http://127.0.0.1:1")  # nobody listens there
    async with AiohttpSender() as sender:
        saved = await take_over(FileAccounts(store), sender, Editor(), account)
        await name_accounts(FileAccounts(store), sender, Editor())
    assert store.list() == [saved] == [account]
    assert "cannot be asked whose account" in caplog.text
    assert TOKEN not in caplog.text


class Refusing:
    """GitHub at the seam, which knows no token."""

    status, headers, framed = 401, {}, True

    async def open(self, request):
        return self

    async def read(self) -> bytes:
        return b'{"message": "Bad credentials"}'

    async def aclose(self) -> None:
        pass


async def test_a_token_that_github_does_not_know_is_not_saved(tmp_path):
    store = FileStore(tmp_path)
    with pytest.raises(LoginError, match="whose token this is"):
        await take_over(FileAccounts(store), Refusing(), Editor(), Account(hashed_login(TOKEN), TOKEN))
    assert store.list() == []


async def test_tokens_of_the_environment_are_accounts_beside_the_stored_ones(tmp_path, caplog):
    FileStore(tmp_path).save(Account("ann", "gho_ann"))
    file = tmp_path / "token"
    file.write_text("gho_file\n")
    store = open_accounts(tmp_path, "octo.ghe.com", {"COPILOT_API_KEY": TOKEN, "COPILOT_GITHUB_TOKEN_FILE": str(file)})
    assert [(a.name, a.github_access_token) for a in await store.list()] == [
        ("COPILOT_API_KEY@octo.ghe.com", TOKEN), ("COPILOT_GITHUB_TOKEN@octo.ghe.com", "gho_file"), ("ann", "gho_ann"),
    ]  # fmt: skip
    first = (await store.list())[0]
    await store.save(first)
    assert await store.load(first.name) == first
    assert [path.stem for path in (tmp_path / "accounts").glob("*.json")] == ["ann"]  # never written down
    with pytest.raises(ConfigError, match="comes from the environment"):
        await store.remove(first.name)
    assert await store.remove("ann")
    assert caplog.text == ""


async def test_what_the_environment_gives_twice_counts_once_and_other_keys_are_named(tmp_path, caplog):
    FileStore(tmp_path).save(Account("ann", TOKEN))
    store = open_accounts(
        tmp_path, "github.com", {"COPILOT_API_KEY": TOKEN, "COPILOT_GITHUB_TOKEN": TOKEN, "GH_TOKEN": "gho_other"}
    )
    assert [account.name for account in await store.list()] == ["ann"]
    assert [a.name for a in await open_accounts(tmp_path, "github.com", {"COPILOT_API_KEY": "rsk_secret"}).list()] == [
        "ann"
    ]
    assert "COPILOT_API_KEY is not used as an account: this is a Rightseat gateway key" in caplog.text
    assert "secret" not in caplog.text
    assert "COPILOT_GITHUB_TOKEN is not used: it holds the same token as COPILOT_API_KEY" in caplog.text
    tokens = {"COPILOT_API_KEY": "tid=1;exp=4000000000:mac", "COPILOT_GITHUB_TOKEN": "tid=2;exp=4000000000:mac"}
    both = await open_accounts(tmp_path, "github.com", tokens).list()
    assert [account.access_token for account in both if account.access_token] == list(tokens.values())
    (copilot, _) = await open_accounts(tmp_path, "github.com", {"COPILOT_API_KEY": "tid=1;exp=4000000000:mac"}).list()
    assert (copilot.name, copilot.access_token, copilot.expires_at) == (
        "COPILOT_API_KEY",
        "tid=1;exp=4000000000:mac",
        4e9,
    )
