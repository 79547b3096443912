"""Where this installation's programs are, and how to start them without an active environment."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path


def with_our_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which this installation's `python` and `rightseat` come first on PATH."""
    ours = dict.fromkeys(map(str, _folders()))
    path = environment.get("PATH", os.defpath)
    return {**environment, "PATH": os.pathsep.join([*ours, path])}


def called(name: str) -> str:
    """How to start a program of this installation from here: its name where PATH has it, else its path, relative where it is below."""
    path = next((folder / name for folder in _folders() if (folder / name).is_file()), None)
    found = shutil.which(name)
    if path is None or (
        found is not None and Path(found).resolve() == path.resolve() and Path(found).parent == path.parent
    ):
        return name
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _folders() -> tuple[Path, ...]:
    return Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))
