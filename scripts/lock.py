"""Lock the requirements: exact versions with hashes, for every platform, without the address of any index.

usage: python scripts/lock.py [--upgrade]      (needs uv)
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMON = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes",
          "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"]  # fmt: skip
LOCKS = {
    "runtime.txt": ["pyproject.toml", "--extra", "all", "requirements/build.in"],
    "bench-official.txt": ["requirements/bench-official.in"],
    "bench-rightseat.txt": ["requirements/bench-rightseat.in"],
    "dev.txt": ["pyproject.toml", "--extra", "all", "requirements/build.in", "requirements/dev.in"],
}

for name, sources in LOCKS.items():
    target = ROOT / "requirements" / name
    subprocess.run(
        [*COMMON, *sources, "--output-file", str(target), *sys.argv[1:]],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    lines = [line for line in target.read_text().splitlines() if not line.startswith(("rightseat", "-e "))]
    target.write_text(
        f"# Made by scripts/lock.py from {', '.join(s for s in sources if '.' in s)}.\n" + "\n".join(lines) + "\n"
    )
    print(f"{name}: {sum('==' in line for line in lines)} packages")
