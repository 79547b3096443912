"""Where accounts are kept: one bad file stops nobody, and a place that cannot be used is said in words."""

import asyncio
import fcntl
import json
import os

import msgspec
import pytest

from rightseat.accounts.formats import hashed_login
from rightseat.accounts.store import LOCK_SECONDS, Account, FileStore
from rightseat.errors import ConfigError
from rightseat.testing import LoopClock, run_virtual

SEED = {"access_token": "tid=1;exp=2", "github_access_token": "gho_four", "expires_at": 1762000000, "refresh_in": 1500}


@pytest.fixture
def folder(tmp_path):
    FileStore(tmp_path).save(Account("ann", "gho_x"))
    return tmp_path / "accounts"


@pytest.mark.parametrize("file", ["bob.json", "Copilot token (work).json", "\u4ee4\u724c.json"])
def test_a_file_of_four_fields_has_a_name_whatever_it_is_called(folder, tmp_path, file):
    (folder / file).write_text(json.dumps(SEED))
    store = FileStore(tmp_path)
    hashed = hashed_login(SEED["github_access_token"])
    assert [account.name for account in store.list()] == [hashed, "ann"]
    bob = store.load(hashed)
    assert (bob.access_token, bob.github_access_token, bob.refresh_in) == ("tid=1;exp=2", "gho_four", 1500)
    assert not bob.is_named
    store.save(msgspec.structs.replace(bob, access_token="tid=2"))
    assert [account.access_token for account in store.list()] == ["tid=2", ""]
    assert len(list(folder.glob("*.json"))) == 2
    assert store.remove(hashed)
    assert [account.name for account in store.list()] == ["ann"]


def test_a_token_that_two_files_hold_is_one_account(folder, tmp_path):
    (folder / "old.json").write_text(json.dumps({**SEED, "github_access_token": "gho_x"}))
    store = FileStore(tmp_path)
    assert [account.name for account in store.list()] == ["ann"]
    assert "old.json is a second file of ann" in store.problems()[0]


def test_what_other_programs_keep_with_an_account_stays(folder, tmp_path):
    kept = {"base_url": "https://proxy.example", "note": [1]}
    (folder / "bob.json").write_text(json.dumps({**SEED, "login": "bob", "metadata": kept}))
    store = FileStore(tmp_path)
    store.save(store.load("bob"))
    assert json.loads((folder / "bob.json").read_text())["metadata"] == kept


BAD = {
    "half": b'{"login": "bob"',
    "no object": b"[1]",
    "no fields": b"{}",
    "wrong kinds": b'{"login": 5, "github_access_token": []}',
    "no text": b"\xff\xfe",
    "empty": b"",
    "deep": b"[" * 100_000,
    "too large": b" " * 300_000 + json.dumps({"login": "bob", "github_access_token": "x"}).encode(),
    "a name that is none": b'{"login": "../bob", "github_access_token": "x"}',
    "a token that is no header": b'{"login": "bob", "github_access_token": "gho_x\\nx: y"}',
    "a host that is none": b'{"login": "bob", "github_access_token": "gho_x", "host": "evil.example"}',
    "an address in plain text": b'{"login": "bob", "github_access_token": "gho_x", "base_url": "http://evil.example"}',
    "an address that is no text": b'{"login": "bob", "github_access_token": "gho_x", "metadata": {"base_url": 5}}',
    "an address in plain text in the metadata": b'{"login": "bob", "github_access_token": "gho_x", "metadata": {"base_url": "http://evil.example"}}',
    "an account of another service": b'{"type": "claude", "access_token": "sk-ant-x"}',
    "a Copilot token alone": b'{"token": "tid=1;exp=2", "expires_at": 5}',
    "another's": b'{"login": "ann", "github_access_token": "x"}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_file_is_named_once_in_the_log_and_stops_nobody(folder, tmp_path, bad, caplog):
    path = folder / "bob.json"
    path.write_bytes(bad)
    store = FileStore(tmp_path)
    for _ in range(3):
        assert [(account.name, account.github_access_token) for account in store.list()] == [("ann", "gho_x")]
        (problem,) = store.problems()
    assert str(path) in problem or "../bob" in problem
    assert caplog.text.count(problem[:40]) == 1
    assert path.read_bytes() == bad
    assert "Expected" not in problem  # the decoder's words
    path.unlink()
    store.list()
    assert store.problems() == ()


def test_of_two_files_of_one_account_the_one_with_its_name_counts(folder, tmp_path):
    (folder / "aaa.json").write_text(json.dumps({"login": "ann", "github_access_token": "gho_old"}))
    store = FileStore(tmp_path)
    assert [account.github_access_token for account in store.list()] == ["gho_x"]
    assert "aaa.json" in store.problems()[0]
    (folder / "ann.json").unlink()
    assert [account.github_access_token for account in store.list()] == ["gho_old"]


def test_what_is_no_file_is_not_read(folder, tmp_path):
    os.mkfifo(folder / "fifo.json")  # opening it would wait for ever
    (folder / "folder.json").mkdir()
    (folder / "nowhere.json").symlink_to("/nonexistent")
    store = FileStore(tmp_path)
    assert [account.name for account in store.list()] == ["ann"]
    assert len(store.problems()) == 3


@pytest.mark.parametrize("what", ["missing", "a file", "below a file"])
async def test_a_place_that_cannot_be_used_raises_nothing_strange(tmp_path, what):
    home = tmp_path / "home"
    if what != "missing":
        home.write_text("x")
    store = FileStore(home if what != "below a file" else home / "further")
    assert store.list() == []
    assert store.problems() == ()
    assert store.load("ann") is None
    assert not store.remove("ann")
    async with store.lock("ann"):  # without one
        pass
    if what == "missing":
        return
    assert "accounts cannot be saved" in store.problem
    with pytest.raises(ConfigError) as caught:
        store.save(Account("ann", "gho_x"))
    assert (str(home) in str(caught.value), caught.value.public) == (True, "the account cannot be saved")


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", forbidden)
    store = FileStore(tmp_path)
    assert store.list() == []
    assert "Permission denied" in store.problems()[0]


def test_a_problem_ends_when_it_ends(tmp_path, monkeypatch):
    store = FileStore(tmp_path)
    with monkeypatch.context() as broken:

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        broken.setattr(os, "fsync", full)
        with pytest.raises(ConfigError):
            store.save(Account("ann", "gho_x"))
    assert "No space left" in store.problem
    store.save(Account("ann", "gho_x"))
    assert store.problem == ""


def test_a_lock_that_is_never_given_back_is_not_waited_for_for_ever(folder, tmp_path, caplog):
    """A process that was stopped (SIGSTOP) holds its locks."""
    handle = os.open(folder / ".ann.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)

    async def main():
        clock = LoopClock()
        begun = clock.now()
        async with FileStore(tmp_path, clock=clock).lock("ann"):
            return clock.now() - begun

    waited = run_virtual(main)
    os.close(handle)
    assert LOCK_SECONDS <= waited < LOCK_SECONDS + 1
    assert "continuing without it" in caplog.text


async def test_one_at_a_time_holds_the_lock(tmp_path):
    inside = 0

    async def renew():
        nonlocal inside
        async with FileStore(tmp_path).lock("ann"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(renew() for _ in range(5)))
