"""The environment that points the real Copilot CLI, and every program around it, at a simulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# Looks like a token to the CLI, but is none.
DUMMY_TOKEN = "gho_simulatedtokensimulatedtokensimula"  # noqa: S105

# What would lead elsewhere: tokens and addresses of the real thing, and proxies, which loopback does not need.
_REMOVED = (
    "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_BASE_URL", "GITHUB_COPILOT_TOKEN", "GH_HOST", "COPILOT_GH_HOST",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip


def simulated_environment(
    url: str, home: str | Path, base: Mapping[str, str], *, cli: str | Path | None = None
) -> dict[str, str]:
    """`base` with what makes the CLI believe that it is logged in at the simulator at `url`.

    Args:
        url: the simulator.
        home: a folder for the CLI's state, so that the user's own is left alone.
        base: the environment to start from.
        cli: the CLI to use, where it is known.
    """
    env = {name: value for name, value in base.items() if name not in _REMOVED}
    env |= {
        "COPILOT_API_URL": url,
        "COPILOT_DEBUG_GITHUB_API_URL": url,
        "COPILOT_GITHUB_TOKEN": DUMMY_TOKEN,
        "COPILOT_HOME": str(home),
        "COPILOT_DISABLE_KEYTAR": "1",
        "NO_PROXY": "*",
        "RIGHTSEAT_SIMULATOR_URL": url,
        "COPILOT_API_KEY": DUMMY_TOKEN,  # for CopilotSDK
        # The gateway's side: `rightseat login` and `serve` in there know only this cloud, and forget it afterwards.
        "RIGHTSEAT_GITHUB_HOST": url,
        "RIGHTSEAT_HOME": str(accounts_folder(home)),
    }
    if cli is not None:
        env["COPILOT_CLI_PATH"] = str(cli)
    return env


def accounts_folder(home: str | Path) -> Path:
    """Where, below the folder of a simulation, Rightseat's own state is: accounts, keys, settings."""
    return Path(home) / "rightseat"
