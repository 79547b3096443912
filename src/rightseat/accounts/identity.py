"""The headers of every call to GitHub and Copilot: one builder, so that no path can lack one.

Versions and ids are settings: GitHub asks editors to say who they are, and decides by it which models are offered.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from rightseat.ids import SYSTEM_IDS


class Editor(Struct, frozen=True, forbid_unknown_fields=True):
    """Who we say we are."""

    client_id: str = "Iv1.b507a08c87ecfe98"
    scope: str = "read:user"
    user_agent: str = "GitHubCopilotChat/0.26.7"
    editor_version: str = "vscode/1.104.0"
    plugin_version: str = "copilot-chat/0.26.7"
    integration_id: str = "vscode-chat"
    github_api_version: str = "2025-04-01"
    chat_api_version: str = "2025-05-01"


def github_headers(editor: Editor, token: str | None = None) -> dict[str, str]:
    """For GitHub's own hosts: device login, token exchange, account."""
    headers = {
        "accept": "application/json",
        "user-agent": editor.user_agent,
        "editor-version": editor.editor_version,
        "editor-plugin-version": editor.plugin_version,
        "x-github-api-version": editor.github_api_version,
    }
    if token is not None:
        headers["authorization"] = f"token {token}"
    return headers


def copilot_headers(
    editor: Editor,
    token: str,
    *,
    intent: str = "conversation-panel",
    initiator: str | None = None,
    vision: bool = False,
    stream: bool = False,
    request_id: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """For the Copilot API.

    Args:
        editor: who we say we are.
        token: the Copilot token.
        intent: "conversation-panel", "conversation-agent", "model-access" (for the model list) ...
        initiator: "user" or "agent"; None leaves the header out.
        vision: the request holds an image.
        stream: the answer shall be an event stream.
        request_id: the request's id; made otherwise.
        extra: more headers, such as `anthropic-beta`; none of the above can be replaced by them.
    """
    headers = {
        **(extra or {}),
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "user-agent": editor.user_agent,
        "editor-version": editor.editor_version,
        "editor-plugin-version": editor.plugin_version,
        "copilot-integration-id": editor.integration_id,
        "openai-intent": intent,
        "x-github-api-version": editor.chat_api_version,
        "x-request-id": request_id or SYSTEM_IDS.uuid(),
    }
    if initiator is not None:
        headers["x-initiator"] = initiator
    if vision:
        headers["copilot-vision-request"] = "true"
    return headers
