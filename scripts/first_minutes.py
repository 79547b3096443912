"""How long a newcomer waits: the wheel is built, installed in an empty environment, and the demo gives its first answer.

usage: python scripts/first_minutes.py [--most SECONDS]      (the building is not counted; packages come from the index or a cache)

With uv, where it is on PATH, as `uvx` does it; else with venv and pip, which take several times as long.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = "from importlib.metadata import distributions as d; print(*{x.name for x in d()})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=float, default=20.0, help="seconds that it may take")
    most = parser.parse_args().most
    with tempfile.TemporaryDirectory(prefix="rightseat-first-") as folder:
        wheel = built(Path(folder) / "wheels")
        begun = time.monotonic()
        bin_folder = Path(folder) / "env" / "bin"
        uv = shutil.which("uv")
        make = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        run(*make, str(bin_folder.parent))
        made = time.monotonic()
        python = str(bin_folder / "python")
        pip = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
        run(*pip, str(wheel))
        installed = time.monotonic()
        said = run(str(bin_folder / "rightseat"), "demo", "--once", "--port", "0", cwd=folder)
        answered = time.monotonic()
        assert re.search(r"copilot  \S", said), said
        packages = run(python, "-c", NAMES).split()
        size = sum(
            path.stat().st_size for path in bin_folder.parent.rglob("*") if path.is_file() and not path.is_symlink()
        )
    ours = [package for package in packages if package not in ("pip", "setuptools")]
    print(f"environment {made - begun:.1f} s, install {installed - made:.1f} s, demo {answered - installed:.1f} s")
    print(
        f"{answered - begun:.1f} s to the first answer; {len(ours)} packages; {size / 1e6:.0f} MB; with {'uv' if uv else 'pip'}"
    )
    if answered - begun > most:
        sys.exit(f"that is more than {most:g} s")


def built(folder: Path) -> Path:
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT))
    return next(folder.glob("rightseat-*.whl"))


def run(*argv: str, cwd: str | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        sys.exit(f"failed: {' '.join(argv)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
