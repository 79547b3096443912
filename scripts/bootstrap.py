"""Set up what a verb of the Makefile needs; do nothing when it is there already. Standard library only.

usage: python3 scripts/bootstrap.py runtime|dev

runtime: .venv with the package, its extras and the drop-in, and the pinned Copilot CLI in node_modules.
dev:     the same and the tools for tests and checks.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CLI = ROOT / "node_modules" / "@github" / "copilot" / "package.json"


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if sys.version_info < (3, 11):
        sys.exit(
            f"Rightseat needs Python 3.11 or newer; this is {sys.version.split()[0]}. Say PYTHON=python3.12 make ... to choose one."
        )
    npm = find_npm(what)
    install_python(what)
    install_cli(npm, what)
    if what == "dev":
        install_browser()
        install_database()


def install_python(what: str) -> None:
    requirements = ROOT / "requirements" / f"{what}.txt"
    stamps = [VENV / f".installed-{name}" for name in (["dev"] if what == "dev" else ["runtime", "dev"])]
    want = fingerprint(requirements, *sources())
    if PYTHON.exists() and any(stamp.exists() and want_of(stamp, what) == want for stamp in stamps):
        return
    if not PYTHON.exists():
        say("making a virtual environment in .venv")
        make_venv()
    say(f"installing {what} requirements (locked, with hashes)")
    pip("install", "--require-hashes", "-r", str(requirements))
    say("installing rightseat and its drop-in")
    pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    pip("install", "--no-deps", "--no-build-isolation", str(ROOT / "dropin"))
    for name in ["runtime", "dev"] if what == "dev" else ["runtime"]:
        (VENV / f".installed-{name}").write_text(fingerprint(ROOT / "requirements" / f"{name}.txt", *sources()))


def sources() -> list[Path]:
    """What is installed besides the requirements: the package by its settings, as it is linked, and a copy of the drop-in."""
    dropin = ROOT / "dropin"
    return [ROOT / "pyproject.toml", dropin / "pyproject.toml", *sorted(dropin.rglob("*.py"))]


def want_of(stamp: Path, what: str) -> str:
    """What a stamp promises for `what`: an environment for development serves the runtime too."""
    if stamp.name.endswith(what):
        return stamp.read_text()
    twin = stamp.with_name(f".installed-{what}")
    return twin.read_text() if twin.exists() else ""


def make_venv() -> None:
    try:
        venv.create(VENV, with_pip=True)
        return
    except (subprocess.CalledProcessError, ModuleNotFoundError):
        shutil.rmtree(VENV, ignore_errors=True)
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.exit(
            f"This Python cannot make virtual environments. Install its venv module (Debian, Ubuntu: apt-get install {package})."
        )
    say(f"installing the Debian package {package}")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", package], check=True)
    venv.create(VENV, with_pip=True)


def find_npm(what: str) -> str | None:
    """npm, looked for before anything else is done. None: there is a CLI to use without it."""
    npm = shutil.which("npm")
    if npm is not None or cli_is_installed():
        return npm
    if what == "runtime" and (os.environ.get("COPILOT_CLI_PATH") or shutil.which("copilot")):
        say("npm is not installed; using the Copilot CLI that is")
        return None
    sys.exit(
        "npm is not installed, and the Copilot CLI comes from npm. Install Node.js, which brings npm:\n"
        "  Debian, Ubuntu:  apt-get install nodejs npm\n"
        "  macOS:           brew install node\n"
        "  others:          see the web site of Node.js\n"
        "Then run make again."
    )


def cli_is_installed(what: str = "runtime") -> bool:
    stamp = ROOT / "node_modules" / ".installed"
    if what == "dev" and not all((ROOT / "node_modules" / name).exists() for name in ("openai", "axe-core", "ai")):
        return False
    return CLI.exists() and stamp.exists() and stamp.read_text() == fingerprint(ROOT / "package-lock.json")


def install_cli(npm: str | None, what: str) -> None:
    if npm is None or cli_is_installed(what):
        return
    say("installing the pinned Copilot CLI into node_modules (some 190 MB)")
    only = [] if what == "dev" else ["--omit=dev"]
    run([npm, "ci", *only, "--no-audit", "--no-fund", "--loglevel=error"], cwd=ROOT)
    (ROOT / "node_modules" / ".installed").write_text(fingerprint(ROOT / "package-lock.json"))


def install_browser() -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    install_debian("chromium", "the tests of the web page", is_there=any(map(shutil.which, names)))


def install_database() -> None:
    found = shutil.which("postgres") or next(Path("/usr/lib/postgresql").glob("*/bin/postgres"), None)
    install_debian("postgresql", "some tests of the gateway's keys", is_there=found is not None)


def install_debian(package: str, purpose: str, *, is_there: bool) -> None:
    """A program for tests that are skipped without it, but in CI."""
    if is_there:
        return
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        say(f"installing the Debian package {package}, for {purpose}")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
        if subprocess.run(install, check=False, stdout=subprocess.DEVNULL).returncode == 0:
            return
    if os.environ.get("CI"):
        sys.exit(f"{purpose} need {package} (Debian: apt-get install {package})")
    say(f"{package} is not installed: {purpose} are skipped (Debian: apt-get install {package})")


def pip(*arguments: str) -> None:
    run([str(PYTHON), "-m", "pip", arguments[0], "-q", "--disable-pip-version-check", *arguments[1:]])


def run(argv: list[str], **options) -> None:
    done = subprocess.run(argv, check=False, **options)
    if done.returncode:
        sys.exit(f"failed with status {done.returncode}: {' '.join(argv)}")


def fingerprint(*files: Path) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


if __name__ == "__main__":
    main()
