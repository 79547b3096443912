"""Other gateways in front of Copilot, each in a folder of its own under .bench/peers, pointed at a fake upstream.

usage: python -m benchmarks.peers          installs them (needs npm and PyPI; LiteLLM alone is some 700 MB)

Only their public surface is used: settings, environment variables, and, where hosts are fixed in the code, a file that is loaded before
theirs and changes the address. Nothing of theirs is changed on disk.
"""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".bench" / "peers"

_PRELOAD = """
const real = globalThis.fetch;
const hosts = /^https:\\/\\/(api\\.github\\.com|api\\.githubcopilot\\.com|github\\.com|aur\\.archlinux\\.org)/;
globalThis.fetch = (url, options) => real(String(url).replace(hosts, process.env.FAKE_COPILOT), options);
"""
_SITECUSTOMIZE = """
import importlib.abc, os, sys
FAKE = os.environ["FAKE_COPILOT"]
HOSTS = ("https://api.githubcopilot.com", "https://api.individual.githubcopilot.com", "https://api.github.com", "https://github.com")
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if not name.startswith("router_maestro"):
            return None
        sys.meta_path.remove(self)
        try:
            from importlib.util import find_spec
            spec = find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            for key, value in list(vars(module).items()):
                if isinstance(value, str):
                    for host in HOSTS:
                        if value.startswith(host):
                            setattr(module, key, FAKE + value[len(host):])
                            break
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Finder())
"""


@dataclass(frozen=True)
class Peer:
    """How one is installed and started.

    Attributes:
        name: with its version.
        path: of chat completions.
        headers: what it wants to see of a client.
        install: makes its folder.
        command: (port, the fake's address, a folder for its state) -> argv and environment; None: it is not installed.
    """

    name: str
    path: str
    headers: dict[str, str]
    install: Callable[[], None]
    command: Callable[[int, str, Path], tuple[list[str], dict[str, str]] | None]


def _venv(name: str, *packages: str) -> None:
    folder = FOLDER / name
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *packages], check=True)


def _node(name: str, package: str) -> None:
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}')
    subprocess.run(["npm", "install", package, "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)


def _copilot_api(port: int, fake: str, state: Path) -> tuple[list[str], dict[str, str]] | None:
    main = FOLDER / "copilot-api" / "node_modules" / "copilot-api" / "dist" / "main.js"
    if not main.exists():
        return None
    preload = state / "preload.mjs"
    preload.write_text(_PRELOAD)
    argv = ["node", "--import", str(preload), str(main), "start", "--port", str(port), "--github-token", "gho_bench"]
    return argv, {"FAKE_COPILOT": fake, "HOME": str(state)}


def _litellm(port: int, fake: str, state: Path) -> tuple[list[str], dict[str, str]] | None:
    main = FOLDER / "litellm" / "bin" / "litellm"
    if not main.exists():
        return None
    tokens = state / "litellm"
    tokens.mkdir(exist_ok=True)
    (tokens / "access-token").write_text("gho_bench")
    config = state / "litellm.yaml"
    config.write_text(
        "model_list:\n"
        + "".join(
            f"  - model_name: {name}\n    litellm_params: {{model: github_copilot/{name}}}\n"
            for name in ("gpt-5", "paced", "idle")
        )
        + "general_settings: {master_key: sk-bench}\nlitellm_settings: {telemetry: false}\n"
    )
    env = {
        "GITHUB_COPILOT_TOKEN_DIR": str(tokens),
        "GITHUB_COPILOT_API_BASE": fake,
        "GITHUB_COPILOT_API_KEY_URL": f"{fake}/copilot_internal/v2/token",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HOME": str(state),
    }
    return [str(main), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"], env


def _maestro(port: int, fake: str, state: Path) -> tuple[list[str], dict[str, str]] | None:
    main = FOLDER / "maestro" / "bin" / "router-maestro"
    if not main.exists():
        return None
    (state / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    env = {
        "FAKE_COPILOT": fake,
        "PYTHONPATH": str(state),
        "HOME": str(state),
        "ROUTER_MAESTRO_API_KEY": "sk-bench",
    }
    share = state / ".local" / "share" / "router-maestro"
    share.mkdir(parents=True, exist_ok=True)
    (share / "auth.json").write_text(
        '{"github-copilot": {"type": "oauth", "refresh": "gho_bench", "access": "tid=bench", "expires": 4102444800}}'
    )
    return [str(main), "server", "start", "--port", str(port), "--host", "127.0.0.1"], env


PEERS = (
    Peer(
        "copilot-api 0.7.0", "/v1/chat/completions", {}, lambda: _node("copilot-api", "copilot-api@0.7.0"), _copilot_api
    ),
    Peer(
        "router-maestro 0.7.5",
        "/api/openai/v1/chat/completions",
        {"authorization": "Bearer sk-bench"},
        lambda: _venv("maestro", "router-maestro==0.7.5"),
        _maestro,
    ),
    Peer(
        "LiteLLM 1.106.2",
        "/v1/chat/completions",
        {"authorization": "Bearer sk-bench"},
        lambda: _venv("litellm", "litellm[proxy]==1.106.2"),
        _litellm,
    ),
)


def main() -> None:
    if shutil.which("npm") is None:
        sys.exit("npm is needed for copilot-api")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for peer in PEERS:
        print(f"installing {peer.name}", flush=True)
        try:
            peer.install()
        except subprocess.CalledProcessError as e:
            print(f"  not installed: {e}")
    print(f"installed in {os.path.relpath(FOLDER)}; `make bench-gateway` measures what is there")


if __name__ == "__main__":
    main()
