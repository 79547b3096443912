"""How to reach a Copilot CLI: where the program is, how it is started, or at which address one already runs.

This module knows the CLI's command line and environment (facts of CLI 1.0) and does not know its protocol.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rightseat.errors import CliNotFoundError, CliNotRunnableError, InvalidOptionError
from rightseat.ids import SYSTEM_IDS
from rightseat.sdk.options import ClientOptions
from rightseat.security.environment import cli_environment
from rightseat.transport.base import ByteStream
from rightseat.transport.stdio import StdioStream
from rightseat.transport.tcp import CONNECT_SECONDS, TcpStream
from rightseat.transport.tcp_child import TcpChildStream

CLI_PATH = "COPILOT_CLI_PATH"
_TOKEN = "COPILOT_SDK_AUTH_TOKEN"  # noqa: S105 - a variable's name
_LOG_LEVELS = ("none", "error", "warning", "info", "debug", "all")


class RuntimeConnection:
    """How a client reaches its CLI. Use one of the factories; the default is `for_stdio()`."""

    @staticmethod
    def for_stdio(*, path: str | os.PathLike[str] | None = None, args: Sequence[str] = ()) -> StdioRuntimeConnection:
        """A child process, spoken to over its standard input and output.

        Args:
            path: the CLI; found by `find_cli` otherwise.
            args: further arguments for it.
        """
        return StdioRuntimeConnection(path, tuple(args))

    @staticmethod
    def for_tcp(
        *,
        port: int = 0,
        connection_token: str | None = None,
        path: str | os.PathLike[str] | None = None,
        args: Sequence[str] = (),
    ) -> TcpRuntimeConnection:
        """A child process that listens on a port, so that further clients can join.

        Args:
            port: the port; 0 takes any free one.
            connection_token: the secret that clients must show; made at random otherwise.
            path: the CLI; found by `find_cli` otherwise.
            args: further arguments for it.
        """
        return TcpRuntimeConnection(path, tuple(args), port, connection_token or SYSTEM_IDS.token(24))

    @staticmethod
    def for_uri(url: str | int, *, connection_token: str | None = None) -> UriRuntimeConnection:
        """A CLI server that runs already.

        Args:
            url: "port", "host:port" or "tcp://host:port".
            connection_token: the secret it was started with (its COPILOT_CONNECTION_TOKEN).

        Raises:
            InvalidOptionError: no host and port can be read from `url`.
        """
        return UriRuntimeConnection(*_host_and_port(url), connection_token)

    @staticmethod
    def for_stream(stream: ByteStream) -> StreamRuntimeConnection:
        """A stream that is connected already: `transport.memory` in tests, or a transport of your own."""
        return StreamRuntimeConnection(stream)


@dataclasses.dataclass(frozen=True, slots=True)
class StdioRuntimeConnection(RuntimeConnection):
    """See RuntimeConnection.for_stdio."""

    path: str | os.PathLike[str] | None = None
    args: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class TcpRuntimeConnection(RuntimeConnection):
    """See RuntimeConnection.for_tcp."""

    path: str | os.PathLike[str] | None = None
    args: tuple[str, ...] = ()
    port: int = 0
    connection_token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class UriRuntimeConnection(RuntimeConnection):
    """See RuntimeConnection.for_uri."""

    host: str
    port: int
    connection_token: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class StreamRuntimeConnection(RuntimeConnection):
    """See RuntimeConnection.for_stream."""

    stream: ByteStream


def connection_of(options: ClientOptions) -> RuntimeConnection:
    """The connection that the client's options describe.

    Raises:
        InvalidOptionError: they describe two, or none that exists.
    """
    shortcuts = [name for name in ("cli_path", "cli_args", "use_stdio", "port", "cli_url") if name in options]
    connection = options.get("connection")
    if connection is not None:
        if shortcuts:
            raise InvalidOptionError(f"give either connection= or {shortcuts[0]}=, not both")
        if not isinstance(connection, RuntimeConnection):
            raise InvalidOptionError(f"connection must be a RuntimeConnection, not {type(connection).__name__}")
        return connection
    if "cli_url" in options:
        return RuntimeConnection.for_uri(options["cli_url"])
    path, args = options.get("cli_path"), options.get("cli_args", ())
    if options.get("use_stdio") is False or "port" in options:
        return RuntimeConnection.for_tcp(port=options.get("port", 0), path=path, args=args)
    return RuntimeConnection.for_stdio(path=path, args=args)


async def open_stream(
    connection: RuntimeConnection, options: ClientOptions, start_timeout: float
) -> tuple[ByteStream, str | None]:
    """Connect. Returns the stream and the token to show on it.

    Raises:
        CliNotFoundError, CliNotRunnableError, ConnectError, ConnectionLostError, StartTimeoutError: see there.
    """
    match connection:
        case StreamRuntimeConnection(stream):
            return stream, None
        case UriRuntimeConnection(host, port, token):
            return await TcpStream.connect(host, port, timeout=min(start_timeout, CONNECT_SECONDS)), token
    env = child_environment(options)
    cwd = str(options["working_directory"]) if options.get("working_directory") else None
    on_stderr = options.get("on_stderr")
    match connection:
        case TcpRuntimeConnection(path, args, port, token):
            argv = [*cli_command(path, env), *args, *cli_flags(options), *(["--port", str(port)] if port else [])]
            env["COPILOT_CONNECTION_TOKEN"] = token
            stream = await TcpChildStream.start(
                argv, env=env, cwd=cwd, timeout=start_timeout, port=port, on_stderr=on_stderr
            )
            return stream, token
        case StdioRuntimeConnection(path, args):
            argv = [*cli_command(path, env), *args, *cli_flags(options), "--stdio"]
            return StdioStream(argv, env=env, cwd=cwd, on_stderr=on_stderr), None
    raise InvalidOptionError(f"unknown kind of connection: {type(connection).__name__}")


def cli_flags(options: ClientOptions) -> list[str]:
    """The arguments of a CLI that is started with these options. Raises InvalidOptionError for an unknown log level."""
    level = options.get("log_level", "info")
    if level not in _LOG_LEVELS:
        raise InvalidOptionError(f"log_level must be one of {', '.join(_LOG_LEVELS)}, not {level!r}")
    flags = ["--headless", "--no-auto-update", "--log-level", level]
    if "github_token" in options:
        flags += ["--auth-token-env", _TOKEN]
    if not options.get("use_logged_in_user", "github_token" not in options):
        flags += ["--no-auto-login"]
    if "session_idle_timeout_seconds" in options:
        flags += ["--session-idle-timeout", str(options["session_idle_timeout_seconds"])]
    return flags


def child_environment(options: ClientOptions) -> dict[str, str]:
    """The environment of a CLI that is started with these options: the option `env` as it is, else what it needs of ours."""
    given = options.get("env")
    env = dict(given) if given is not None else cli_environment(os.environ)
    if "github_token" in options:
        env[_TOKEN] = options["github_token"]
    if options.get("base_directory"):
        env["COPILOT_HOME"] = str(options["base_directory"])
    return env


def cli_command(path: str | os.PathLike[str] | None, env: Mapping[str, str] | None = None) -> list[str]:
    """The words that start the CLI: the program, behind `node` where it is a script.

    Raises:
        CliNotFoundError: there is none.
        CliNotRunnableError: it may not be executed.
    """
    found = find_cli(path, env)
    if found.suffix in (".js", ".mjs", ".cjs"):
        node = shutil.which("node", path=(env or os.environ).get("PATH"))
        if node is None:
            raise CliNotFoundError(f"{found} is a script for Node.js, and there is no `node` on the PATH")
        return [node, str(found)]
    if not os.access(found, os.X_OK):
        raise CliNotRunnableError(f"{str(found)!r} is not executable (chmod +x), or this user may not run it")
    return [str(found)]


def find_cli(path: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None) -> Path:
    """Where the Copilot CLI is.

    The path given, else COPILOT_CLI_PATH, else `copilot` on the PATH, else the nearest node_modules, looked for from the
    working directory upwards, then from the virtual environment, then from this package.

    Raises:
        CliNotFoundError: it is not there; the message says where it was looked for and how to get it.
    """
    env = os.environ if env is None else env
    for source, given in (("the path given", path), (f"the variable {CLI_PATH}", env.get(CLI_PATH))):
        if given:
            found = Path(given).expanduser()
            if not found.exists():
                raise CliNotFoundError(f"no Copilot CLI at {str(found)!r} ({source})")
            if found.is_dir():
                raise CliNotFoundError(f"{str(found)!r} ({source}) is a directory; name the program in it")
            return found
    on_path = shutil.which("copilot", path=env.get("PATH"))
    if on_path is not None:
        return Path(on_path)
    for modules in _node_modules():
        for candidate in _programs(modules):
            if candidate.is_file():
                return candidate
    raise CliNotFoundError(
        f"no Copilot CLI found: {CLI_PATH} is not set, there is no `copilot` on the PATH and none in a node_modules folder "
        f"above {Path.cwd()} or {sys.prefix}. Install it with `npm install -g @github/copilot` (Node.js 22 or newer), or name it "
        "with cli_path=."
    )


def _node_modules() -> Iterator[Path]:
    # A virtual environment and a checkout of this project live beside the node_modules that belong to them.
    starts = [
        Path.cwd(),
        *([Path(sys.prefix)] if sys.prefix != sys.base_prefix else []),
        Path(__file__).resolve().parent,
    ]
    for start in starts:
        for folder in (start, *start.parents):
            if (modules := folder / "node_modules").is_dir():
                yield modules


def _programs(modules: Path) -> Iterator[Path]:
    """The platform's own binary first: it saves the start of Node.js. Names are npm's for platforms and processors."""
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, "win32")
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    for libc in ("", "musl"):
        yield modules / "@github" / f"copilot-{system}{libc}-{machine}" / "copilot"
    yield modules / "@github" / "copilot" / "npm-loader.js"
    yield modules / "@github" / "copilot" / "index.js"


def _host_and_port(url: object) -> tuple[str, int]:
    text = str(url).strip()
    if text.isdigit():
        text = f"127.0.0.1:{text}"
    parts = urlsplit(text if "://" in text else f"tcp://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port:
        raise InvalidOptionError(f"cannot read a host and a port from {url!r}; write 'host:port'")
    return parts.hostname, port
