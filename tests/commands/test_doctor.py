"""`rightseat doctor` finds what is wrong, says what to do, and shows no secret."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE

import pytest
from click.testing import CliRunner

from rightseat.accounts.store import Account, FileStore
from rightseat.commands.doctor import run_checks
from rightseat.commands.root import cli

TOKEN = "gho_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"


@pytest.fixture
def doctor(tmp_path):
    async def run(*arguments, **env):
        env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path), "RIGHTSEAT_KEYRING": "off", "NO_PROXY": "*", **env}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rightseat", "doctor", *arguments, env=env, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    return run


def states(out):
    found = {}
    for check in json.loads(out):
        found[check["name"]] = max(
            found.get(check["name"], ""), check["state"], key=["", "ok", "warning", "failed"].index
        )
    return found


async def test_all_is_well_with_an_account_at_a_cloud_that_answers(doctor, simulator, tmp_path):
    FileStore(tmp_path).save(Account("ann", TOKEN, host=simulator.url))
    name = FileStore(tmp_path).list()[0].name
    status, out, err = await doctor("--json", RIGHTSEAT_GITHUB_HOST=simulator.url)
    found = states(out)
    assert status == 0, out + err
    assert (found[f"account {name}"], found["network"], found["accounts"], found["permissions"]) == ("ok",) * 4
    assert found["clock"] == "ok"
    assert TOKEN not in out + err


async def test_without_an_account_it_fails_and_says_what_to_do(doctor):
    status, out, _ = await doctor("--offline")
    assert status == 1
    assert "not logged in" in out
    assert "do: run `rightseat login`" in out


async def test_a_cloud_that_does_not_answer_and_one_that_refuses(doctor, simulate, tmp_path):
    FileStore(tmp_path).save(Account("ann", TOKEN, host="http://127.0.0.1:1"))
    status, out, _ = await doctor("--json")
    assert (status, states(out)["network"]) == (1, "failed")
    cloud = await simulate()
    cloud.app.cloud.behaviour.refuse_exchange = "no_copilot_access"
    for path in (tmp_path / "accounts").glob("*.json"):
        path.unlink()
    FileStore(tmp_path).save(Account("bob", TOKEN, host=cloud.url))
    status, out, _ = await doctor("--json")
    assert status == 1
    assert [c for c in json.loads(out) if c["state"] == "failed" and "no_copilot_access" in c["found"]]
    assert TOKEN not in out


def test_files_that_others_read(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    FileStore(tmp_path).save(Account("ann", TOKEN))
    (tmp_path / "accounts" / "ann.json").chmod(0o644)
    found = [c for c in run_checks(offline=True) if c.name == "permissions"]
    assert [(c.state, "0644" in c.found, c.advice.startswith("chmod 600")) for c in found] == [("failed", True, True)]


def test_settings_that_are_wrong_and_files_that_are_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    (tmp_path / "rightseat.toml").write_text("port = 99999\n")
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "ann.json").write_text("{")
    failed = {c.name: c.found for c in run_checks(offline=True) if c.state == "failed"}
    assert "port" in failed["settings"]
    assert "ann.json" in failed["accounts"]


def test_a_variable_that_is_no_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    monkeypatch.setenv("RIGHTSEAT_PROT", "4141")
    (found,) = [c for c in run_checks(offline=True) if "RIGHTSEAT_PROT" in c.found]
    assert (found.state, found.found.endswith("did you mean RIGHTSEAT_PORT?")) == ("warning", True)


def test_a_keyring_of_plain_text(tmp_path, monkeypatch):
    import keyring.backend

    class PlaintextKeyring(keyring.backend.KeyringBackend):
        priority = 9

        def get_password(self, service, username):
            return None

        set_password = delete_password = get_password

    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    before = keyring.get_keyring()
    keyring.set_keyring(PlaintextKeyring())
    try:
        (check,) = [c for c in run_checks(offline=True) if c.name == "keyring"]
    finally:
        keyring.set_keyring(before)
    assert (check.state, "plain text" in check.found) == ("failed", True)


def test_few_open_files_and_a_port_that_is_taken(tmp_path, monkeypatch):
    import resource
    import socket

    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("RIGHTSEAT_PORT", str(taken.getsockname()[1]))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
        try:
            found = {c.name: c.state for c in run_checks(offline=True)}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (found["open files"], found["port"]) == ("warning", "warning")


def test_the_keys_their_database_and_their_pepper(tmp_path, monkeypatch, postgres):
    monkeypatch.setenv("RIGHTSEAT_HOME", str(tmp_path))
    monkeypatch.setenv("RIGHTSEAT_KEYRING", "off")

    def cli_keys(*arguments):
        return CliRunner().invoke(cli, ["keys", *arguments])

    def keys():
        return [(c.state, c.found) for c in run_checks(offline=True) if c.name == "keys"]

    assert keys() == []
    (tmp_path / "pepper").write_text("a-pepper")
    for name in ("ann", "bob"):
        assert cli_keys("create", name).exit_code == 0
    assert cli_keys("revoke", json.loads(cli_keys("list", "--json").stdout)[1]["id"]).exit_code == 0
    assert keys() == [("ok", "SQLite answers; 1 can be used")]
    (tmp_path / "pepper").unlink()
    assert [(state, "pepper" in found) for state, found in keys()] == [("failed", True)]
    monkeypatch.setenv("RIGHTSEAT_DATABASE", postgres())
    monkeypatch.setenv("RIGHTSEAT_KEY_PEPPER", "a-pepper")
    assert keys() == [("ok", "PostgreSQL answers; the tables are made at the first start")]
    monkeypatch.setenv("RIGHTSEAT_DATABASE", "postgresql://ann:a-secret-password@127.0.0.1:1/x")
    ((state, found),) = keys()
    assert state == "failed"
    assert "a-secret-password" not in found
