"""A child process that listens on a TCP port, and the connection to it.

The child says on its standard output which port it got. This module knows that line and does not know what is said over
the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence

from rightseat.errors import ConnectionLostError, StartTimeoutError
from rightseat.masking import mask
from rightseat.transport.base import StreamEnd
from rightseat.transport.process import ChildEnding, ChildProcess, Tail, describe_exit
from rightseat.transport.reader import ReaderThread
from rightseat.transport.tcp import TcpStream

_LISTENING = re.compile(r"listening on port (\d+)")


class TcpChildStream(ChildEnding):
    """A `ByteStream` to a child over TCP. Made by `start`."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        name: str,
        on_stderr: Callable[[str], None] | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name
        self.port: asyncio.Future[int] = self._loop.create_future()
        self.process = ChildProcess(argv, env=env, cwd=cwd)
        self._stdout = Tail(on_line=self._look_for_port)
        self._stderr = Tail(on_line=on_stderr)
        self._reader = ReaderThread(f"rightseat-read-{self.process.pid}")
        self._reader.add(self.process.stdout_fd, self._into(self._stdout))
        self._reader.add(self.process.stderr_fd, self._into(self._stderr))
        self._reader.start()
        self._tcp: TcpStream | None = None

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None = None,
        timeout: float,  # noqa: ASYNC109
        port: int = 0,
        name: str = "the Copilot CLI",
        on_stderr: Callable[[str], None] | None = None,
    ) -> TcpChildStream:
        """Start the child, wait for its port, connect. `port` is the one that it was asked for, for errors.

        Raises:
            CliNotFoundError, CliNotRunnableError: it cannot be started.
            ConnectionLostError: it ended before it listened, for instance because its port was taken.
            StartTimeoutError: it did not say a port within `timeout` seconds.
        """
        self = cls(argv, env=env, cwd=cwd, name=name, on_stderr=on_stderr)
        try:
            await asyncio.wait([self.port, self.process.exited], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if self.process.exited.done() and not self.port.done():
                end = await self.end()
                raise ConnectionLostError(
                    f"{end.reason} before it listened on {f'port {port}' if port else 'a port'}",
                    exit_status=end.exit_status,
                    stderr_tail=end.stderr_tail,
                )
            if not self.port.done():
                raise StartTimeoutError(f"{name} did not say a port within {timeout:g} s")
            self._tcp = await TcpStream.connect("127.0.0.1", self.port.result(), timeout=timeout)
        except BaseException:
            await self.kill()
            raise
        self.process.exited.add_done_callback(lambda _: asyncio.ensure_future(self._drop()))
        return self

    async def read(self) -> bytes:
        """See ByteStream."""
        assert self._tcp is not None
        return await self._tcp.read()

    def write(self, data: bytes) -> None:
        """See ByteStream."""
        assert self._tcp is not None
        self._tcp.write(data)

    @property
    def congested(self) -> bool:
        """See ByteStream."""
        return self._tcp is not None and self._tcp.congested

    async def drain(self) -> None:
        """See ByteStream."""
        assert self._tcp is not None
        await self._tcp.drain()

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.process.exited), 0.2)
        if not self.process.exited.done() and self._tcp is not None:
            return await self._tcp.end()
        status = self.process.exited.result() if self.process.exited.done() else None
        await asyncio.to_thread(self._reader.join, 0.2)  # its last words
        return StreamEnd(
            describe_exit(self._name, status), status, mask(self._stderr.text() or self._stdout.text(), limit=None)
        )

    async def _close(self, grace: float) -> None:
        await self._drop()
        self.process.close_stdin()
        await self.process.end(grace)
        self._reader.stop()
        await asyncio.to_thread(self._reader.join, 1)
        self.process.close_output()
        self.port.cancel()

    async def _drop(self) -> None:
        if self._tcp is not None:
            await self._tcp.close()

    def _into(self, tail: Tail) -> Callable[[bytes, Callable[[], None]], bool]:
        def take(chunk: bytes, _: Callable[[], None]) -> bool:
            tail.put(chunk)
            return True

        return take

    def _look_for_port(self, line: str) -> None:
        found = _LISTENING.search(line)
        if found is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._found_port, int(found[1]))

    def _found_port(self, port: int) -> None:
        if not self.port.done():
            self.port.set_result(port)
