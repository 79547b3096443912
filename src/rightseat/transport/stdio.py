"""A child process spoken to over its standard input and output.

Its stderr is read all the time and the last lines are kept: they are what explains a crash. This module refuses to know
what is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rightseat.security.masking import mask
from rightseat.transport.base import StreamEnd
from rightseat.transport.process import ChildProcess, Tail
from rightseat.transport.reader import Inbox, ReaderThread, resolve
from rightseat.transport.writer import DescriptorWriter

PIPE_BYTES = 1024 * 1024  # asked of Linux for the child's stdout: fewer, larger reads
EXIT_SECONDS = 5.0  # how long a child may take to exit after its stdin was closed
LAST_WORDS_SECONDS = 0.2  # how long output is awaited after the child's exit, while a grandchild holds the pipe


class StdioStream:
    """A `ByteStream` to a child process.

    Args:
        argv: the program and its arguments.
        env: its whole environment.
        cwd: its working directory, or None for ours.
        name: what to call it in errors.
        on_stderr: called with every line of its stderr, on the reading thread.

    Raises:
        CliNotFoundError, CliNotRunnableError: it cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None = None,
        name: str = "the Copilot CLI",
        on_stderr: Callable[[str], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._name = name
        self.process = ChildProcess(argv, env=env, cwd=cwd)
        self._loop = loop
        self._stderr = Tail(on_line=on_stderr)
        self._silent: asyncio.Future[None] = loop.create_future()  # done when its stderr has ended
        self._inbox = Inbox(loop)
        self._writer = DescriptorWriter(loop, self.process.stdin_fd)
        _widen(self.process.stdout_fd)
        self._reader = ReaderThread(f"rightseat-read-{self.process.pid}")
        self._reader.add(self.process.stdout_fd, self._take_output)
        self._reader.add(self.process.stderr_fd, self._take_stderr)
        self._reader.start()
        self.process.exited.add_done_callback(lambda _: loop.call_later(LAST_WORDS_SECONDS, self._reader.stop))
        self._closing: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        """See ByteStream."""
        return await self._inbox.get()

    def write(self, data: bytes) -> None:
        """See ByteStream."""
        self._writer.write(data)

    @property
    def congested(self) -> bool:
        """See ByteStream."""
        return self._writer.congested

    async def drain(self) -> None:
        """See ByteStream."""
        await self._writer.drain()

    async def close(self) -> None:
        """See ByteStream. The child is given EXIT_SECONDS to leave by itself, then it and all it started are ended."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(EXIT_SECONDS))
        await asyncio.shield(self._closing)

    async def kill(self) -> None:
        """Close without patience."""
        self.process.kill()
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(0))
        await asyncio.shield(self._closing)

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        waited: list[asyncio.Future[Any]] = [self.process.exited, self._silent]
        await asyncio.wait(waited, timeout=LAST_WORDS_SECONDS)
        status = self.process.exited.result() if self.process.exited.done() else None
        return StreamEnd(describe_exit(self._name, status), status, mask(self._stderr.text()))

    async def _close(self, grace: float) -> None:
        self._writer.close()
        self.process.close_stdin()
        await self.process.end(grace)
        self._reader.stop()
        await asyncio.to_thread(self._reader.join, 1)
        self.process.close_output()

    def _take_output(self, chunk: bytes, on_room: Callable[[], None]) -> bool:
        if chunk:
            return self._inbox.put(chunk, on_room)
        self._inbox.put_eof()
        return True

    def _take_stderr(self, chunk: bytes, _: Callable[[], None]) -> bool:
        if chunk:
            self._stderr.put(chunk)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
                self._loop.call_soon_threadsafe(resolve, self._silent)
        return True


def describe_exit(name: str, status: int | None) -> str:
    """One clause for people: how a child ended. `status` as subprocess gives it; None while it still runs."""
    if status is None:
        return f"{name} closed its output"
    if status < 0:
        return f"{name} was killed by signal {-status}"
    return f"{name} exited with status {status}"


def _widen(fd: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # Linux only, and a user's pipes are limited in sum
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
