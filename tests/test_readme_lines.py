"""The lines of the README, pasted into a shell without an active environment, as after `make demo`."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rightseat.accounts.store import Account, FileStore
from rightseat.commands.programs import called

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
BLOCKS = [
    block
    for block in re.findall(r"(?:^    \S.*\n)+", TEXT, re.MULTILINE)
    if not block.lstrip().startswith(("make ", "your code"))
]
INSTALLS = ("pip install", "npm install", "pipx ")  # tests/test_packages.py installs


@pytest.fixture
def simulated(tmp_path):
    """The environment of a terminal that nobody has set up, but that GitHub is a simulated one."""
    argv = [sys.executable, "-m", "rightseat", "simulate", "--json", "--pace", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        told = json.loads(process.stdout.readline())["environment"]
        names = (
            "COPILOT_API_URL",
            "COPILOT_DEBUG_GITHUB_API_URL",
            "COPILOT_GITHUB_TOKEN",
            "COPILOT_DISABLE_KEYTAR",
            "RIGHTSEAT_GITHUB_HOST",
        )
        path = os.pathsep.join(folder for folder in os.environ["PATH"].split(os.pathsep) if ".venv" not in folder)
        home = {
            "HOME": str(tmp_path),
            "COPILOT_HOME": str(tmp_path / "copilot"),
            "RIGHTSEAT_HOME": str(tmp_path / "rightseat"),
        }
        yield {"PATH": path, "NO_PROXY": "*", "BROWSER": "true", "RIGHTSEAT_PORT": "0", **home, **{name: told[name] for name in names},
               **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {})}  # fmt: skip
        process.send_signal(signal.SIGINT)


def lines_of(block: str) -> list[str]:
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


def test_the_blocks_are_those_we_know():
    """A new block of lines has to be pasted, too."""
    known = ("rightseat simulate", "rightseat login", "pip install")
    assert [next((k for k in known if any(k in line for line in lines_of(block))), block) for block in BLOCKS] == list(
        known
    )


@pytest.mark.contract
def test_lines_before_an_account_work_when_pasted(simulated, cli_path):
    del simulated["COPILOT_GITHUB_TOKEN"], simulated["COPILOT_API_URL"]
    (block,) = [block for block in BLOCKS if "rightseat simulate" in block]
    *offline, online = lines_of(block)
    assert online == "python examples/stream_basic.py"
    done = subprocess.run(
        ["bash", "-e"],
        input="\n".join(offline),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=simulated,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"(\w+ ){10}", done.stdout)


@pytest.mark.contract
def test_the_first_lines_without_an_account_say_what_to_do(tmp_path, cli_path):
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "CopilotClient()" in b]
    (tmp_path / "twelve.py").write_text(block)
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env = {**keep, "HOME": str(tmp_path), "COPILOT_DISABLE_KEYTAR": "1", "COPILOT_CLI_PATH": cli_path}
    argv = [sys.executable, "twelve.py"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=env)
    last = done.stderr.strip().splitlines()[-1]
    assert "NotLoggedInError: the Copilot CLI is not logged in: run `copilot login` once" in last
    assert "rightseat simulate -- python" in last
    assert "SessionError" in done.stderr  # what the CLI said is its cause


def test_lines_of_the_gateway_work_when_pasted(simulated):
    (block,) = [block for block in BLOCKS if "rightseat serve" in block]
    with subprocess.Popen(["bash", "-e"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=simulated,
                          start_new_session=True) as shell:  # fmt: skip
        shell.stdin.write("\n".join(lines_of(block)) + "\n")
        shell.stdin.close()
        said = ""
        while line := shell.stderr.readline():
            said += line
            if "try:" in line:
                break
        os.killpg(shell.pid, signal.SIGINT)
        shell.wait(30)
    assert "Logged in as rightseat-simulator" in said
    assert "/v1 serves the models of" in said.replace("\n", " ")


def test_lines_that_install_name_what_is_there():
    (block,) = [block for block in BLOCKS if "pip install" in block]
    for line in lines_of(block):
        assert line.startswith(INSTALLS)
        if path := re.search(r"\./(\w*)", line):
            assert (ROOT / path[1] / "pyproject.toml").exists()


def test_a_program_is_called_as_it_can_be_started_from_here(monkeypatch):
    script = Path(sys.executable).parent / "rightseat"
    monkeypatch.chdir(script.parent.parent.parent)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert called("rightseat") == str(script.relative_to(Path.cwd()))
    monkeypatch.setenv("PATH", str(script.parent))
    assert called("rightseat") == "rightseat"
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir("/")
    assert called("rightseat").startswith("/") or called("rightseat") == str(script.relative_to("/"))
    assert called("no-such-program") == "no-such-program"


def simulate(*words: str, home: Path | None = None) -> subprocess.CompletedProcess:
    env = {
        "PATH": "/usr/bin:/bin",
        "NO_PROXY": "*",
        **{name: value for name, value in os.environ.items() if name == "PYTHONPATH"},
    }
    kept = ["--home", str(home)] if home is not None else []
    return subprocess.run(
        [sys.executable, "-m", "rightseat", "simulate", *kept, "--", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
    )


def test_simulate_begins_logged_in_and_finds_its_own_programs():
    done = simulate(
        "sh", "-c", "rightseat status --json --offline && python -c 'import rightseat; print(rightseat.__version__)'"
    )
    assert done.returncode == 0, done.stderr
    rows, version = done.stdout.splitlines()
    assert [row["name"].partition("@")[0] for row in json.loads(rows)] == ["rightseat-simulator"]
    assert version.startswith("0.")


def test_with_home_a_simulation_is_there_the_next_time(tmp_path):
    home = tmp_path / "kept"
    assert (
        simulate("sh", "-c", "rightseat login --no-browser && echo kept > $RIGHTSEAT_HOME/note", home=home).returncode
        == 0
    )
    before = {account.github_access_token for account in FileStore(home / "rightseat").list()}
    done = simulate("sh", "-c", "rightseat models --json && cat $RIGHTSEAT_HOME/note", home=home)
    assert done.returncode == 0, done.stderr
    assert "gpt-5" in done.stdout
    assert done.stdout.endswith("kept\n")
    assert {account.github_access_token for account in FileStore(home / "rightseat").list()} == before


def test_the_home_of_real_accounts_is_left_alone(tmp_path):
    FileStore(tmp_path / "rightseat").save(Account("ann", "gho_real"))
    done = simulate("true", home=tmp_path)
    assert done.returncode == 1
    assert "holds accounts of GitHub" in done.stderr
    assert FileStore(tmp_path / "rightseat").list() == [Account("ann", "gho_real")]
