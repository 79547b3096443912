"""The connection to one CLI: reached or started, handshake done, and closed in bounded time.

It knows how a conversation with a CLI begins and ends. It does not know sessions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from rightseat.errors import (
    ConnectionLostError,
    MethodNotFoundError,
    ProtocolError,
    RightseatError,
    RpcError,
    StartTimeoutError,
    TransportError,
    UnsupportedVersionError,
)
from rightseat.log import logger
from rightseat.sdk.options import ClientOptions
from rightseat.sdk.pump import OnNotification, OnRequest, Pump
from rightseat.sdk.rpc import decode_result
from rightseat.sdk.runtime import RuntimeConnection, open_stream
from rightseat.sdk.trace import TracedStream
from rightseat.transport.base import ByteStream
from rightseat.transport.process import ChildEnding
from rightseat.wire.events import EventParams
from rightseat.wire.record import Record

START_SECONDS = 30.0  # the CLI is ready after about one; a cold disk and a busy machine take longer
# Leaving all sessions and asking the CLI to exit takes 0.05 s (CLI 1.0.102). What is left of the two seconds for closing is for ending the process.
DETACH_SECONDS = 0.8

# Tools and permissions travel as events since protocol 3; older CLIs would wait forever. Newer ones are tried.
OLDEST_PROTOCOL = 3
NEWEST_PROTOCOL_SEEN = 3


class Link:
    """A connected CLI. Made by `open`.

    Attributes:
        pump: the conversation.
        version: what the CLI said of itself in the handshake.
    """

    def __init__(self, stream: ByteStream, pump: Pump) -> None:
        self.pump = pump
        self.version = Record()
        self._stream = stream

    @classmethod
    async def open(
        cls,
        connection: RuntimeConnection,
        options: ClientOptions,
        *,
        on_notification: OnNotification,
        on_request: OnRequest,
        on_lost: Callable[[RightseatError], None],
    ) -> Self:
        """Connect and complete the handshake within the option `start_timeout`.

        Raises:
            CliNotFoundError, CliNotRunnableError, ConnectError, AuthenticationError, StartTimeoutError, ConnectionLostError,
            UnsupportedVersionError, ProtocolError: see CopilotClient.start.
        """
        limit = options.get("start_timeout", START_SECONDS)
        deadline = asyncio.get_running_loop().time() + limit
        stream, token = await open_stream(connection, options, limit)
        trace = options.get("trace")
        link = cls(
            stream,
            Pump(
                TracedStream(stream, trace) if trace else stream,
                on_notification=on_notification,
                on_request=on_request,
                on_lost=on_lost,
                params_types={"session.event": EventParams},
            ),
        )
        try:
            with _explained(limit):
                async with asyncio.timeout_at(deadline):
                    link.version = await link._handshake(token)
            link._check_version()
        except BaseException:
            await link.kill()
            raise
        return link

    @property
    def lost(self) -> RightseatError | None:
        """Why the connection has ended, or None while it is open."""
        return self.pump.lost

    @property
    def port(self) -> int | None:
        """The TCP port of a CLI that was started here; None over stdio."""
        port = getattr(self._stream, "port", None)
        return port.result() if isinstance(port, asyncio.Future) and port.done() and not port.cancelled() else None

    @property
    def process_id(self) -> int | None:
        """The process id of a CLI that was started here, or None."""
        return self._stream.process.pid if isinstance(self._stream, ChildEnding) else None

    async def detach(self, session_ids: Iterable[str]) -> bool:
        """Leave the sessions, and tell a CLI that was started here to end. False: it did not answer within DETACH_SECONDS."""
        if self.lost is not None:
            return True
        try:
            async with asyncio.timeout(DETACH_SECONDS):
                await asyncio.gather(*(self._tell("session.detach", {"sessionId": name}) for name in session_ids))
                if isinstance(self._stream, ChildEnding):
                    await self._tell("runtime.shutdown", {})
        except TimeoutError:
            logger.warning("the Copilot CLI did not answer when the session was closed")
            return False
        return True

    async def close(self) -> None:
        """End the connection, the CLI if it was started here, and everything it started."""
        await self.pump.close()

    async def terminate(self) -> None:
        """The same for a CLI that does not answer: a signal tells it to end."""
        self.pump.expect_end()
        if isinstance(self._stream, ChildEnding):
            await self._stream.terminate()
        await self.pump.close()

    async def kill(self) -> None:
        """End the connection and the CLI at once."""
        self.pump.expect_end()
        if isinstance(self._stream, ChildEnding):
            await self._stream.kill()
        await self.pump.close()

    async def clean_up(self) -> None:
        """The CLI may be gone while what it started is not."""
        if isinstance(self._stream, ChildEnding):
            await self._stream.close()

    async def _tell(self, method: str, params: dict[str, str]) -> None:
        with contextlib.suppress(RpcError, TransportError):
            await self.pump.call(method, params)

    async def _handshake(self, token: str | None) -> Record:
        """`connect`, or `ping` for those that do not know it."""
        try:
            return Record(decode_result(await self.pump.call("connect", {"token": token} if token else {})))
        except MethodNotFoundError:
            return Record(decode_result(await self.pump.call("ping", {})))

    def _check_version(self) -> None:
        version = self.version.get("protocolVersion")
        if not isinstance(version, int) or version < OLDEST_PROTOCOL:
            raise UnsupportedVersionError(
                f"the CLI {self.version.get('version') or ''} speaks protocol {version}; this version of rightseat needs "
                f"{OLDEST_PROTOCOL} or newer. Update the CLI: npm install -g @github/copilot"
            )
        if version > NEWEST_PROTOCOL_SEEN:
            logger.warning(
                "the CLI speaks protocol %s; rightseat was tested up to %s. Continuing.", version, NEWEST_PROTOCOL_SEEN
            )


@contextlib.contextmanager
def _explained(limit: float) -> Iterator[None]:
    """What goes wrong during the handshake, with a hint."""
    try:
        yield
    except TimeoutError as e:
        raise StartTimeoutError(f"the CLI did not complete the handshake within {limit:g} s") from e
    except ConnectionLostError as e:
        raise ConnectionLostError(
            f"{e.args[0].splitlines()[0]} before it was ready. Is it the Copilot CLI, and not older than 1.0 "
            "(copilot --version; npm install -g @github/copilot updates it)?",
            exit_status=e.exit_status,
            stderr_tail=e.stderr_tail,
        ) from None
    except ProtocolError as e:
        raise ProtocolError(f"what answers is not a Copilot CLI in server mode: {e}") from None
