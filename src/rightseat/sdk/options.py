"""What may be asked for when a session or a client is made: one table each, and the one place that checks it.

`SessionOptions` is a TypedDict, taken as a dict, as keywords, or both. An unknown name is refused with the nearest known
one; a value of the wrong kind is refused with its name. This module knows the wire's spelling of every option and refuses
to know what the CLI does with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

from rightseat.errors import InvalidOptionError, UnknownOptionError
from rightseat.errors.nearest import did_you_mean
from rightseat.ids import Ids
from rightseat.masking import mask
from rightseat.wire.record import to_camel

# Objects whose keys are the user's own and therefore never respelled.
_OPAQUE = frozenset(
    {"headers", "env", "parameters", "metadata", "metrics", "input_schema", "inputSchema", "oauth_scopes"}
)


class SharedSessionOptions(TypedDict, total=False):
    """The part of `SessionOptions` that means the same wherever a session of the CLI is made."""

    # The conversation.
    session_id: str  # chosen by the caller; a UUID is made otherwise
    name: str
    streaming: bool  # deltas as they come; off by default
    system_message: Mapping[
        str, object
    ]  # {"mode": "append" | "replace" | "customize", "content": ..., "sections": {...}}
    reasoning_summary: str
    context_tier: str
    working_directory: str
    additional_directories: Sequence[str]
    infinite_sessions: Mapping[
        str, object
    ]  # {"enabled", "background_compaction_threshold", "buffer_exhaustion_threshold"}
    large_output: Mapping[str, object]
    memory: Mapping[str, object]
    client_name: str

    # Tools and what they may do.
    available_tools: Sequence[str]
    excluded_tools: Sequence[str]
    tool_search: Mapping[str, object]
    mcp_servers: Mapping[str, Mapping[str, object]]
    disabled_mcp_servers: Sequence[str]
    on_permission_request: Callable[..., object]
    sandbox_config: Mapping[str, object]
    session_limits: Mapping[str, object]

    # Questions the CLI may put to us.
    on_user_input_request: Callable[..., object]
    ask_user_variant: str
    on_elicitation_request: Callable[..., object]
    on_exit_plan_mode_request: Callable[..., object]
    on_auto_mode_switch_request: Callable[..., object]
    hooks: Mapping[str, Callable[..., object]]
    commands: Sequence[object]
    on_event: Callable[..., object]  # subscribed before the first event

    # Other models than Copilot's.
    provider: Mapping[str, object]  # BYOK: {"type", "base_url", "api_key", "wire_api", "bearer_token_provider", ...}
    providers: Sequence[Mapping[str, object]]
    models: Sequence[Mapping[str, object]]
    model_capabilities: Mapping[str, object]
    capi: Mapping[str, object]
    github_token: str  # this session's own identity

    # Agents, skills and instructions.
    custom_agents: Sequence[Mapping[str, object]]
    custom_agents_local_only: bool
    default_agent: Mapping[str, object]
    agent: str
    agent_directories: Sequence[str]
    excluded_builtin_agents: Sequence[str]
    include_sub_agent_streaming_events: bool
    skill_directories: Sequence[str]
    disabled_skills: Sequence[str]
    enable_skills: bool
    plugin_directories: Sequence[str]
    hook_directories: Sequence[str]
    instruction_directories: Sequence[str]
    organization_custom_instructions: str
    enable_config_discovery: bool
    enable_file_hooks: bool
    enable_host_git_operations: bool
    enable_on_demand_instruction_discovery: bool
    enable_session_store: bool
    enable_session_telemetry: bool
    enable_citations: bool
    enable_file_change_tracking: bool
    enable_experimental_mode: bool
    enable_managed_settings: bool
    skip_embedding_retrieval: bool
    config_directory: str
    feature_flags: Mapping[str, bool]
    cloud: Mapping[str, object]

    # Resuming only.
    continue_pending_work: bool
    disable_resume: bool

    # Anything newer than this version: sent as it is, under the wire's own names.
    extra: Mapping[str, object]


class SessionOptions(SharedSessionOptions, total=False):
    """Options of `create_session` and `resume_session`. All may be left out; the CLI's defaults then hold.

    Handlers may be sync or async functions. Names follow the CLI's `session.create` parameters in snake_case.
    """

    model: str | Callable[..., object]  # a model's id, or a Python function to be the model
    tools: Sequence[object]
    reasoning_effort: str


class SendOptions(TypedDict, total=False):
    """Options of one message, as the CLI's `session.send` has them."""

    attachments: Sequence[Mapping[str, object]]
    mode: str  # "enqueue", or "immediate" to steer the turn that runs
    agent_mode: str  # "interactive", "plan", "autopilot", "shell"
    source: str
    request_headers: Mapping[str, str]
    display_prompt: str
    prepend: bool
    billable: bool
    required_tool: str
    response_format: Mapping[str, object]
    traceparent: str
    tracestate: str
    wait: bool


class _Option(NamedTuple):
    kind: type | tuple[type, ...]  # a type or several, as isinstance takes them
    wire: str | None = None  # None: not sent as it is; the session turns it into something else
    shape: Literal["plain", "object", "map"] = "plain"  # object: keys respelled; map: the first level of keys kept


_TEXTS = (list, tuple, set, frozenset)


def _text(wire: str) -> _Option:
    return _Option(str, wire)


def _flag(wire: str) -> _Option:
    return _Option(bool, wire)


def _texts(wire: str) -> _Option:
    return _Option(_TEXTS, wire)


def _object(wire: str, shape: Literal["plain", "object", "map"] = "object") -> _Option:
    return _Option(Mapping, wire, shape)


_HANDLER = _Option(object)

_OPTIONS: dict[str, _Option] = {
    "session_id": _text("sessionId"),
    "name": _text("name"),
    "model": _Option(object),
    "streaming": _flag("streaming"),
    "system_message": _Option(Mapping),
    "reasoning_effort": _text("reasoningEffort"),
    "reasoning_summary": _text("reasoningSummary"),
    "context_tier": _text("contextTier"),
    "working_directory": _text("workingDirectory"),
    "additional_directories": _texts("additionalDirectories"),
    "infinite_sessions": _object("infiniteSessions"),
    "large_output": _object("largeOutput"),
    "memory": _object("memory"),
    "client_name": _text("clientName"),
    "tools": _Option(_TEXTS),
    "available_tools": _texts("availableTools"),
    "excluded_tools": _texts("excludedTools"),
    "tool_search": _object("toolSearch"),
    "mcp_servers": _object("mcpServers", "map"),
    "disabled_mcp_servers": _texts("disabledMcpServers"),
    "on_permission_request": _HANDLER,
    "sandbox_config": _object("sandboxConfig"),
    "session_limits": _object("sessionLimits"),
    "on_user_input_request": _HANDLER,
    "ask_user_variant": _text("askUserVariant"),
    "on_elicitation_request": _HANDLER,
    "on_exit_plan_mode_request": _HANDLER,
    "on_auto_mode_switch_request": _HANDLER,
    "hooks": _Option(Mapping),
    "commands": _Option(_TEXTS),
    "on_event": _HANDLER,
    "provider": _Option(Mapping),
    "providers": _Option(_TEXTS),
    "models": _Option(_TEXTS, "models", "object"),
    "model_capabilities": _object("modelCapabilities"),
    "capi": _object("capi"),
    "github_token": _text("gitHubToken"),
    "custom_agents": _Option(_TEXTS, "customAgents", "object"),
    "custom_agents_local_only": _flag("customAgentsLocalOnly"),
    "default_agent": _object("defaultAgent"),
    "agent": _text("agent"),
    "agent_directories": _texts("agentDirectories"),
    "excluded_builtin_agents": _texts("excludedBuiltinAgents"),
    "include_sub_agent_streaming_events": _flag("includeSubAgentStreamingEvents"),
    "skill_directories": _texts("skillDirectories"),
    "disabled_skills": _texts("disabledSkills"),
    "enable_skills": _flag("enableSkills"),
    "plugin_directories": _texts("pluginDirectories"),
    "hook_directories": _texts("hookDirectories"),
    "instruction_directories": _texts("instructionDirectories"),
    "organization_custom_instructions": _text("organizationCustomInstructions"),
    "enable_config_discovery": _flag("enableConfigDiscovery"),
    "enable_file_hooks": _flag("enableFileHooks"),
    "enable_host_git_operations": _flag("enableHostGitOperations"),
    "enable_on_demand_instruction_discovery": _flag("enableOnDemandInstructionDiscovery"),
    "enable_session_store": _flag("enableSessionStore"),
    "enable_session_telemetry": _flag("enableSessionTelemetry"),
    "enable_citations": _flag("enableCitations"),
    "enable_file_change_tracking": _flag("enableFileChangeTracking"),
    "enable_experimental_mode": _flag("isExperimentalMode"),
    "enable_managed_settings": _flag("enableManagedSettings"),
    "skip_embedding_retrieval": _flag("skipEmbeddingRetrieval"),
    "config_directory": _text("configDir"),
    "feature_flags": _object("featureFlags", "plain"),
    "cloud": _object("cloud"),
    "continue_pending_work": _flag("continuePendingWork"),
    "disable_resume": _flag("disableResume"),
    "extra": _Option(Mapping),
}

# Names of older SDKs, still understood.
_ALIASES = {"config_dir": "config_directory", "cwd": "working_directory", "on_permission": "on_permission_request"}


class ClientOptions(TypedDict, total=False):
    """Options of `CopilotClient`. All may be left out."""

    connection: object  # a RuntimeConnection; the following five are shorter spellings of one
    cli_path: str
    cli_args: Sequence[str]
    use_stdio: bool
    port: int
    cli_url: str
    working_directory: str  # of the CLI and, where they name none, of its sessions
    env: Mapping[str, str]  # the CLI's whole environment; when left out, what it needs of ours and none of our secrets
    log_level: str  # of the CLI: none, error, warning, info, debug, all
    github_token: str
    use_logged_in_user: bool
    base_directory: str  # where the CLI keeps its state (COPILOT_HOME)
    session_idle_timeout_seconds: int
    auto_start: bool  # start at the first create_session; on by default
    start_timeout: float  # seconds
    rpc_timeout: float | None  # seconds for one call; None waits forever
    trace: bool | str | Callable[[str], None]  # every message: to the log, to a file, or to a function
    on_stderr: Callable[[str], None]  # every line of the CLI's stderr, called on a reading thread
    ids: Ids  # where ids of sessions come from; the system's randomness when left out


_CLIENT_OPTIONS: dict[str, _Option] = {
    "connection": _Option(object),
    "cli_path": _Option(object),
    "cli_args": _Option(_TEXTS),
    "use_stdio": _Option(bool),
    "port": _Option(int),
    "cli_url": _Option(str),
    "working_directory": _Option(object),
    "env": _Option(Mapping),
    "log_level": _Option(str),
    "github_token": _Option(str),
    "use_logged_in_user": _Option(bool),
    "base_directory": _Option(object),
    "session_idle_timeout_seconds": _Option(int),
    "auto_start": _Option(bool),
    "start_timeout": _Option((int, float)),
    "rpc_timeout": _Option((int, float)),
    "trace": _Option(object),
    "on_stderr": _HANDLER,
    "ids": _Option(object),
}


def session_options(given: Mapping[str, object] | None, keywords: Mapping[str, object]) -> SessionOptions:
    """One checked set of options out of a dict and keywords. Options that are None count as left out.

    Raises:
        UnknownOptionError: an unknown name.
        InvalidOptionError: a value of the wrong kind, or the same option given twice.
    """
    return _checked(_OPTIONS, "session option", given, keywords)  # type: ignore[return-value]


def client_options(given: Mapping[str, object] | None, keywords: Mapping[str, object]) -> ClientOptions:
    """As `session_options`, for the client."""
    return _checked(_CLIENT_OPTIONS, "client option", given, keywords)  # type: ignore[return-value]


def _checked(
    table: Mapping[str, _Option], what: str, given: Mapping[str, object] | None, keywords: Mapping[str, object]
) -> dict[str, object]:
    if given is not None and not isinstance(given, Mapping):
        raise InvalidOptionError(f"{what}s are given as a dict or as keywords, not as {type(given).__name__}")
    checked: dict[str, object] = {}
    for name, value in [*(given or {}).items(), *keywords.items()]:
        real = _ALIASES.get(name, name)
        option = table.get(real)
        if option is None:
            raise UnknownOptionError(f"unknown {what} {name!r}{did_you_mean(real, [*table, *_ALIASES], quote=True)}")
        if value is None:
            continue
        if real in checked:
            raise InvalidOptionError(f"{what} {real!r} is given twice")
        _check_kind(what, real, value, option)
        checked[real] = value
    return checked


def _check_kind(what: str, name: str, value: object, option: _Option) -> None:
    if name.startswith("on_") and not callable(value):
        raise InvalidOptionError(f"{what} {name!r} must be a function, not {type(value).__name__}")
    if option.kind is object:
        return
    wrong_bool = isinstance(value, bool) and option.kind in (int, (int, float))
    if wrong_bool or not isinstance(value, option.kind):
        kinds = option.kind if isinstance(option.kind, tuple) else (option.kind,)
        wanted = {"Mapping": "dict", "list": "list", "str": "string", "bool": "True or False"}.get(
            kinds[0].__name__, kinds[0].__name__
        )
        raise InvalidOptionError(
            f"{what} {name!r} must be a {wanted}, not {type(value).__name__}: {mask(_short(name, value))}"
        )


def _short(name: str, value: object) -> str:
    if "token" in name:
        return "..."
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wire_options(options: SessionOptions) -> dict[str, object]:
    """The options that go to the CLI as they are, in its spelling. The rest is the session's to add."""
    payload: dict[str, object] = {}
    for name, value in options.items():
        option = _OPTIONS[name]
        if option.wire is None:
            continue
        if option.shape == "object":
            payload[option.wire] = camelize(value)
        elif option.shape == "map":
            payload[option.wire] = {key: camelize(item) for key, item in value.items()}  # type: ignore[attr-defined]
        elif isinstance(value, (set, frozenset, tuple)):
            payload[option.wire] = list(value)
        else:
            payload[option.wire] = value
    return payload


def camelize(value: object) -> Any:
    """`value` with the keys of its objects in camelCase, but for those that are the user's own (headers, env ...)."""
    if isinstance(value, Mapping):
        return {to_camel(key): item if key in _OPAQUE else camelize(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [camelize(item) for item in value]
    return value
