"""The two distributions, as a newcomer has them: the wheel and what it asks for, in an environment of its own, and nothing else."""

import functools
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


@functools.cache
def needed(*requirements: str) -> frozenset[str]:
    """The names of all packages that these bring along, as the environment of the tests has them."""
    found: dict[str, set[str]] = {}
    left = [Requirement(text) for text in requirements]
    while left:
        wanted = left.pop()
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        if wanted.name.lower() not in found:
            found[wanted.name.lower()] = set()
            left += [
                one
                for text in metadata.requires(wanted.name) or ()
                if "extra ==" not in text
                for one in [Requirement(text)]
            ]
    return frozenset(found)


class Installed:
    """An environment that holds one of our wheels and the packages that it asks for."""

    def __init__(self, folder: Path, project: Path) -> None:
        wheels = folder / "wheels"
        pip = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(wheels),
            str(project),
        ]
        subprocess.run(pip, check=True, capture_output=True, timeout=300)
        (wheel,) = wheels.glob("*.whl")
        venv.create(folder / "env", with_pip=False, symlinks=True)
        self.bin = folder / "env" / "bin"
        site = next((folder / "env" / "lib").glob("python3*")) / "site-packages"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
            (about,) = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
            self.metadata = archive.read(about).decode()
            scripts = archive.read(about.replace("METADATA", "entry_points.txt")).decode()
        asked = [
            text for text in re.findall(r"^Requires-Dist: (.*)$", self.metadata, re.MULTILINE) if "extra ==" not in text
        ]
        self.packages = needed(*asked)
        for name in self.packages:
            for file in metadata.files(name) or ():
                top = Path(str(file)).parts[0]
                if top not in ("..", "__pycache__") and not (site / top).exists():
                    (site / top).symlink_to(
                        file.locate().parents[len(file.parts) - 2] if len(file.parts) > 1 else file.locate()
                    )
        if "console_scripts" in scripts:
            command = self.bin / "rightseat"
            command.write_text(f"#!{self.bin / 'python'}\nfrom rightseat.commands import main\nmain()\n")
            command.chmod(0o755)
        self.home = folder / "home"

    def run(self, line: str, **more: str) -> subprocess.CompletedProcess:
        """Run a line in a shell that knows nothing of the environment of the tests."""
        env = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "RIGHTSEAT_KEYRING": "off",
            "COLUMNS": "80",
            **more,
        }
        self.home.mkdir(exist_ok=True)
        return subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False, env=env, cwd=self.home
        )


@pytest.fixture(scope="module")
def command(tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("command"), ROOT)


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("core"), ROOT / "core")


def test_the_command_alone_brings_few_packages(command):
    assert len(command.packages) <= 22
    assert not command.packages & {"sqlalchemy", "google-re2", "uvloop", "pydantic", "cryptography", "prompt-toolkit"}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("rightseat --version", 0, "rightseat 0."),
        ("rightseat status", 0, "Not logged in"),
        ("rightseat models", 0, "gpt-5-mini"),
        ("rightseat doctor --offline", 1, "not logged in"),
        ("rightseat demo --once --port 0 --pace 0", 0, "hello"),
        ("rightseat simulate -- sh -c 'rightseat login --no-browser && rightseat status'", 0, "300 of 300 left"),
        ("rightseat simulate -- rightseat ask 'Reply with exactly: hi there'", 0, "hi there"),
        ("rightseat keys create ann", 1, "pip install 'rightseat[gateway]'"),
        ("rightseat config check", 0, '"port": 4141'),
        ("rightseat lint .", 0, "0 found"),
    ],
)
def test_the_command_alone_works(command, line, status, said):
    done = command.run(line)
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_core_is_two_packages_and_the_sdk(core):
    assert core.packages == {"msgspec"}
    code = (
        "from rightseat import CopilotClient, define_tool; CopilotClient(); import sys; print('aiohttp' in sys.modules)"
    )
    done = core.run(f'python -c "{code}"')
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
    done = core.run("python -m rightseat status")
    assert done.returncode == 1
    assert "pip install rightseat" in done.stderr


def test_both_distributions_are_of_one_version():
    whole, core = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (ROOT, ROOT / "core")
    )
    assert whole["version"] == core["version"]
    assert set(core["dependencies"]) <= set(whole["dependencies"])
    assert {one.partition(">")[0] for one in core["optional-dependencies"]["http"]} <= {
        one.partition(">")[0] for one in whole["dependencies"]
    }


def test_no_extra_is_offered_that_is_not_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for named in re.findall(r"rightseat\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= set(extras), path


def test_the_extra_for_developers_is_there():
    """`pip install -e ".[dev]"`, as the documents say that Rightseat comes from: tests of a user's programs run, and both names import."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    names = {Requirement(text).name for text in extras["dev"] + extras["pytest"] + extras["examples"]}
    assert {"pytest", "pytest-asyncio", "pydantic", "mypy", "ruff"} <= names
    assert any("pytest" in text and "examples" in text for text in extras["dev"])
    assert project["tool"]["hatch"]["build"]["dev-mode-dirs"] == ["src", "dropin"]
