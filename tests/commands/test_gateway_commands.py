"""login, status, models, serve, logout: run as a user runs them, against the simulated cloud."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

RIGHTSEAT = [sys.executable, "-m", "rightseat"]


@pytest.fixture
def cloud():
    with subprocess.Popen(
        [*RIGHTSEAT, "simulate", "--json", "--pace", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGINT)


@pytest.fixture
def run(tmp_path):
    env = {**os.environ, "RIGHTSEAT_HOME": str(tmp_path / "home")}

    def call(*args: str, **more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*RIGHTSEAT, *args], capture_output=True, text=True, timeout=60, check=False, env={**env, **more}
        )

    call.env = env
    return call


def test_from_login_to_an_answer_and_out(cloud, run, tmp_path):
    assert "Not logged in" in run("status").stdout
    done = run("login", "--host", cloud, "--no-browser")
    assert done.returncode == 0, done.stderr
    assert f"{cloud}/login/device" in done.stderr
    assert "Logged in as rightseat-simulator" in done.stderr
    (row,) = json.loads(run("status", "--json").stdout)
    assert row["token_seconds_left"] > 1000
    assert row["base_url"] == cloud
    assert row["quota"]["snapshots"]["premium_interactions"]["remaining"] == 300
    assert "300 of 300 left" in run("status", COLUMNS="200").stdout
    assert json.loads(run("status", "--json", "--offline").stdout)[0]["quota"] is None
    assert "gpt-5" in run("models").stdout
    assert "gho_" not in run("status").stdout

    with subprocess.Popen(
        [*RIGHTSEAT, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True, env=run.env
    ) as server:
        url = server.stderr.readline().split()[0]
        body = {
            "model": "gpt-5",
            "messages": [{"role": "user", "content": "Reply with exactly: from the command line"}],
        }
        request = urllib.request.Request(
            f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            assert json.load(response)["choices"][0]["message"]["content"] == "from the command line"
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0

    assert run("logout").returncode == 0
    assert "Not logged in" in run("status").stdout
    assert run("logout").returncode == 1
    assert "placeholder" in run("models").stderr


def test_inside_simulate_everything_leads_to_the_simulator(run, tmp_path):
    inside = "rightseat login --no-browser && rightseat status --json && rightseat models --json"
    script = inside.replace("rightseat", f"{sys.executable} -m rightseat")
    done = run("simulate", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "rightseat-simulator" in done.stdout
    assert "Not logged in" in run("status").stdout


def do_as_curl_would(line: str) -> str:
    """The answer to a curl line of the kind that the demo prints."""
    words = iter(shlex.split(line.replace("\\\n", " "))[1:])
    url, headers, data = "", {}, None
    for word in words:
        match word:
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                data = next(words).encode()
            case "-N":
                pass
            case _:
                url = word
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as response:
        return response.read().decode()


def test_the_demo_of_the_gateway_and_its_curl_lines(run):
    with subprocess.Popen(
        [*RIGHTSEAT, "demo", "--port", "0", "--pace", "0"], stdout=subprocess.PIPE, text=True, env=run.env
    ) as process:
        try:
            said = []
            while "Ctrl-C" not in (line := process.stdout.readline()):
                said.append(line)
            text = "".join(said)
            assert "gateway" in text.partition("copilot  ")[2].partition("In your browser")[0]
            unbroken = [line for line in said if not line.startswith("/")]  # a path of this machine
            assert all(len(line.rstrip("\n")) <= 80 for line in unbroken), max(unbroken, key=len)
            curls = re.findall(r"^curl (?:\\\n|'[^']*'|[^\n'])*", text, re.MULTILINE)
            expected = ("gpt-5", "hello", "message_stop", "hello", "under_way")
            for line, answer in zip(curls, expected, strict=True):
                assert answer in do_as_curl_would(line)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("demo", "--port", str(taken.getsockname()[1]), "--once")
    assert done.returncode == 1
    assert "taking a free port" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


SECRET = "a-secret-key-of-the-team"


def test_no_command_takes_a_secret_as_an_argument(run, tmp_path):
    """Every user of a machine can read the arguments of its processes."""
    for args, instead in (
        (("serve", "--key", SECRET), ("--key-file", "RIGHTSEAT_KEYS", "--key -")),
        (("serve", f"--key={SECRET}"), ("--key-file", "RIGHTSEAT_KEYS", "--key -")),
        (("ask", "--api-key", SECRET, "hi"), ("--api-key-file", "COPILOT_API_KEY", "--api-key -")),
        (("chat", "--api-key", SECRET), ("--api-key-file", "COPILOT_API_KEY", "--api-key -")),
        (("batch", str(Path(__file__)), "-o", str(tmp_path / "o"), "--api-key", SECRET), ("--api-key-file",)),
    ):
        done = run(*args)
        assert done.returncode == 1, args
        assert "no secret as an argument" in done.stderr
        assert all(word in done.stderr for word in instead)
        assert SECRET not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_every_option_for_a_secret_refuses_one(run):
    """A new one cannot be forgotten: what is named like a secret takes a file, "-", or nothing."""
    from tests.commands.test_help import ALL

    found = {(" ".join(path), p.name) for path, command in ALL for p in command.params if re.search(r"key|token|secret|password|pepper", p.name or "")}  # fmt: skip
    assert {name for name in found if not name[1].endswith(("_file", "_files"))} == {
        ("serve", "key"), ("ask", "api_key"), ("chat", "api_key"), ("batch", "api_key"),
        ("keys revoke", "key_id"), ("keys rotate", "key_id"),
    }  # fmt: skip


def test_keys_come_from_a_file_or_from_standard_input(cloud, run, tmp_path):
    from tests.said import answers

    file = tmp_path / "keys"
    file.write_text(f"{SECRET}-1\n{SECRET}-2\n")
    command = [*RIGHTSEAT, "serve", "--port", "0", "--key-file", str(file), "--key", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=run.env) as server:
        server.stdin.write(f"{SECRET}-3\n")
        server.stdin.flush()
        url = server.stderr.readline().split()[0]
        assert SECRET not in Path(f"/proc/{server.pid}/cmdline").read_text()
        assert [answers(f"{url}/models", f"{SECRET}-{i}") for i in range(1, 5)] == [200, 200, 200, 401]
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0
    for text, says in (("", "is empty"), ("short", "at least 16 characters")):
        file.write_text(text)
        done = run("serve", "--key-file", str(file))
        assert done.returncode == 1
        assert says in done.stderr
    assert "cannot be read" in run("serve", "--key-file", str(tmp_path / "none")).stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_reads_settings_and_keys_again_and_nothing_else_happens(run, tmp_path, workers):
    from tests.said import answers

    def until(status, key):
        """The gateway answers so, in every worker."""
        for _ in range(500):
            if {answers(f"{url}/models", key) for _ in range(4 * workers)} == {status}:
                return
            time.sleep(0.02)
        raise AssertionError(f"never {status}")

    keys, config = tmp_path / "keys", tmp_path / "rightseat.toml"
    keys.write_text(f"{SECRET}-1")
    config.write_text("body_limit = 1000000\n")
    command = [*RIGHTSEAT, "serve", "--config", str(config), "--key-file", str(keys), "--workers", str(workers)]
    env = {**run.env, "RIGHTSEAT_PORT": "0", "RIGHTSEAT_LOG": "off", "RIGHTSEAT_LOCKOUT_FAILURES": "0"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as server:
        try:
            url = server.stderr.readline().split()[0]
            until(200, f"{SECRET}-1")
            keys.write_text(f"{SECRET}-2")
            server.send_signal(signal.SIGHUP)
            until(200, f"{SECRET}-2")
            until(401, f"{SECRET}-1")
            keys.write_text("short")  # wrong settings change nothing
            server.send_signal(signal.SIGHUP)
            config.write_text("attempts = 5\nbody_limit = 10\n")
            while "at least 16 characters" not in server.stderr.readline():
                pass
            until(200, f"{SECRET}-2")
            keys.write_text(f"{SECRET}-3")
            server.send_signal(signal.SIGHUP)
            while not ("attempts" in (line := server.stderr.readline()) and "restart" in line):
                pass
            until(200, f"{SECRET}-3")
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
        finally:
            server.kill()


def test_bad_settings_are_named(run, tmp_path):
    for args, env, says in (
        (("serve", "--host", "0.0.0.0"), {}, "needs keys"),
        (("serve", "--key", "short"), {}, "at least 16 characters"),
        (("serve",), {"RIGHTSEAT_KEYS": "short"}, "at least 16 characters"),
        (("config", "check"), {"RIGHTSEAT_PORT": "99999"}, "port: must be 0 to 65535"),
        (("config", "check"), {"RIGHTSEAT_PORT": "many"}, "port"),
        (("login", "--host", "example.com"), {}, "use github.com or TENANT.ghe.com"),
        (("login", "--host", "http://example.com"), {}, "plain HTTP"),
    ):
        done = run(*args, **env)
        assert done.returncode == 1, args
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    path = tmp_path / "bad.toml"
    path.write_text("prot = 1\n")
    done = run("config", "check", "--config", str(path))
    assert str(path) in done.stderr
    assert "prot" in done.stderr


def test_the_settings_in_force_are_shown_masked(run, tmp_path):
    path = tmp_path / "good.toml"
    path.write_text('port = 5000\nkeys = ["a-secret-key-of-the-team"]\n[aliases]\nfast = "gpt-5-mini"\n')
    shown = json.loads(run("config", "check", "--config", str(path), RIGHTSEAT_PORT="5001").stdout)
    assert shown["port"] == 5001
    assert shown["keys"] == ["a-se...team"]
    assert shown["aliases"] == {"fast": "gpt-5-mini"}


def test_a_damaged_account_file_is_named_and_the_others_are_shown(run, tmp_path):
    folder = tmp_path / "home" / "accounts"
    folder.mkdir(parents=True)
    four = {"access_token": "tid=1", "github_access_token": "gho_x", "expires_at": 1, "refresh_in": 1500}
    (folder / "ann.json").write_text(json.dumps(four))
    (folder / "bob.json").write_text('{"login": "bob"')
    done = run("status", "--json", "--offline")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["name"].startswith("account-")  # GitHub was not asked
    assert done.stderr.count("bob.json") == 1
    assert "Traceback" not in done.stderr


def test_accounts_of_another_program_are_imported(cloud, run, tmp_path):
    theirs = tmp_path / "auths"
    theirs.mkdir()
    named = {"type": "github-copilot", "access_token": "gho_one", "username": "octocat"}
    (theirs / "github-copilot-octocat.json").write_text(json.dumps(named))
    (theirs / "claude.json").write_text('{"type": "claude"}')
    (tmp_path / "github_token").write_text("gho_two")
    done = run("accounts", "import", "--host", cloud, str(theirs), str(tmp_path / "github_token"))
    assert done.returncode == 0, done.stderr
    assert f"Took over octocat@{cloud.removeprefix('http://').replace(':', '-')}" in done.stderr.replace("\n", "")
    assert "rightseat-simulator@" in done.stderr
    assert "left out" in done.stderr
    assert "gho_" not in done.stderr
    rows = json.loads(run("status", "--json").stdout)
    assert [row["name"].partition("@")[0] for row in rows] == ["octocat", "rightseat-simulator"]
    assert all(row["quota"]["plan"] for row in rows)
    wrong = run("accounts", "import", str(theirs / "claude.json"))
    assert (wrong.returncode, "not of Copilot" in wrong.stderr) == (1, True)
    assert "Traceback" not in wrong.stderr


def test_the_gateway_serves_a_token_of_the_environment_and_a_file_of_four_fields(cloud, run, tmp_path):
    folder = tmp_path / "home" / "accounts"
    folder.mkdir(parents=True)
    four = {"access_token": "", "github_access_token": "gho_four", "expires_at": 1, "refresh_in": 1500, "host": cloud}
    (folder / "copilot.json").write_text(json.dumps(four))
    (folder / "broken.json").write_text("{")
    env = {**run.env, "COPILOT_API_KEY": "gho_environment", "RIGHTSEAT_GITHUB_HOST": cloud}
    with subprocess.Popen([*RIGHTSEAT, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True, env=env) as server:
        try:
            said = ""
            while "try: " not in said:
                said += server.stderr.readline()
            url = re.search(r"http://127.0.0.1:\d+", said[said.index("/v1 serves") - 30 :])[0]
            assert "broken.json" in said
            said = said.replace("\n", "")
            assert "COPILOT_API_KEY@" in said
            assert "rightseat-simulator@" in said
            models = json.loads(do_as_curl_would(f"curl {url}/v1/models"))["data"]
            assert {model["owned_by"] for model in models} == {"copilot"}
            assert {model["vendor"] for model in models} == {"Rightseat"}
            body = json.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "Reply with exactly: hi"}]})
            answer = do_as_curl_would(f"curl {url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'")
            assert '"hi"' in answer
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(10)
