"""The `rightseat` command, run as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

RIGHTSEAT = [sys.executable, "-m", "rightseat"]


def run(*args: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*RIGHTSEAT, *args], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize(
    "args",
    [
        (),
        *[
            (verb,)
            for verb in (
                "simulate",
                "demo",
                "demo-cli",
                "login",
                "logout",
                "status",
                "models",
                "serve",
                "config",
                "batch",
                "lint",
            )
        ],
    ],
)
def test_help_reads_well_at_80_columns(args):
    done = run(*args, "--help", env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0
    assert "Usage: rightseat" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert done.stderr == ""


def test_the_version():
    assert run("--version").stdout.startswith("rightseat 0.")


def test_an_unknown_verb_is_a_wrong_call():
    done = run("fly")
    assert done.returncode == 2
    assert "No such command 'fly'" in done.stderr


@pytest.mark.parametrize("status", [0, 3])
def test_simulate_returns_the_status_of_its_command(status):
    code = f"import os, sys; print(os.environ['COPILOT_API_URL']); sys.exit({status})"
    done = run("simulate", "--", sys.executable, "-c", code)
    assert done.returncode == status
    assert done.stdout.startswith("http://127.0.0.1:")


def test_simulate_says_so_when_there_is_no_such_command():
    done = run("simulate", "--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command: no such command" in done.stderr


def test_a_command_killed_by_a_signal():
    assert run("simulate", "--", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)").returncode == 137


def test_a_bad_script_is_one_line_on_standard_error(tmp_path):
    done = run("simulate", "--script", str(tmp_path / "none.toml"), "--", "true")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: script ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_inside(number):
    code = "import time; print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([*RIGHTSEAT, "simulate", "--", sys.executable, "-c", code], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(10) in (128 + number, 1)


def test_simulate_serves_until_it_is_told_to_stop():
    with subprocess.Popen([*RIGHTSEAT, "simulate", "--json"], stdout=subprocess.PIPE, text=True) as process:
        said = json.loads(process.stdout.readline())
        with urllib.request.urlopen(said["url"] + "/models") as response:
            assert response.status == 200
        assert said["environment"]["COPILOT_API_URL"] == said["url"]
        home = said["environment"]["COPILOT_HOME"]
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 5
        assert not os.path.exists(home)  # noqa: PTH110


@pytest.mark.contract
def test_the_demo(cli_path):
    done = run("demo-cli", "--pace", "0", env={**os.environ, "COPILOT_CLI_PATH": cli_path, "COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    assert "calls calculate({'expression': '25 * 4 + 10'})" in done.stdout
    assert "The tool answered: 110" in done.stdout
    assert "copilot login" in done.stdout


def test_the_demo_without_the_cli_says_what_to_install(tmp_path):
    done = run("demo-cli", env={"PATH": str(tmp_path), "COPILOT_CLI_PATH": "/no/such/copilot"})
    assert done.returncode == 1
    assert "no Copilot CLI at '/no/such/copilot'" in done.stderr
    assert "Traceback" not in done.stderr
