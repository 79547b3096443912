"""Base images, pinned by digest: an image that is not is named, and so is one whose tag has another digest by now.

usage: python scripts/images.py [--look-up | --update]
--look-up asks the registries (needs docker with buildx) whether each tag still has its digest; --update writes the digests that it finds.
"""

import re
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
# `FROM image`, `image: image`; not names of stages, and not the image that is built here.
USE = re.compile(
    r"^(?:FROM|\s*(?:- )?image:)\s+(?P<name>[\w./-]+)(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?(?=\s|$)",
    re.MULTILINE,
)
STAGE = re.compile(r"^FROM\s+\S+\s+AS\s+(\S+)", re.MULTILINE)
OURS = "rightseat"


def uses() -> list[tuple[Path, re.Match[str]]]:
    """Every image of others that the files of deploy/ use."""
    found = []
    for path in sorted(p for p in DEPLOY.rglob("*") if p.name == "Dockerfile" or p.suffix in (".yml", ".yaml")):
        text = path.read_text()
        stages = {*STAGE.findall(text), OURS}
        found += [(path, use) for use in USE.finditer(text) if use["name"] not in stages]
    return found


def unpinned() -> list[str]:
    """Images without a digest, or without a tag that says which version it is."""
    return [
        f"{path.relative_to(DEPLOY.parent)}: {use[0].strip()}"
        for path, use in uses()
        if not (use["digest"] and use["tag"])
    ]


def look_up(name: str, tag: str) -> str:
    """The digest that a tag has now."""
    command = ["docker", "buildx", "imagetools", "inspect", f"{name}:{tag}", "--format", "{{.Manifest.Digest}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """The exit status: 1 if anything is not as it should be."""
    said = [f"not pinned by tag and digest: {one}" for one in unpinned()]
    for path, use in uses() if {"--look-up", "--update"} & set(sys.argv) else ():
        now = look_up(use["name"], use["tag"] or "latest")
        if now != use["digest"]:
            said.append(f"{use['name']}:{use['tag']} is {now} by now")
            if "--update" in sys.argv:
                pinned = re.sub(r"(@sha256:[0-9a-f]{64})?$", f"@{now}", use[0])
                path.write_text(path.read_text().replace(use[0], pinned))
    print("\n".join(said) or "all images are pinned")
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
