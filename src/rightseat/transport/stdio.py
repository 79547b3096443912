"""A child process spoken to over its standard input and output.

Its stderr is read all the time and the last lines are kept: they are what explains a crash. This module does not know
what is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rightseat.masking import mask
from rightseat.transport.base import StreamEnd
from rightseat.transport.descriptor import DescriptorStream
from rightseat.transport.process import ChildEnding, ChildProcess, Tail, describe_exit
from rightseat.transport.reader import resolve

PIPE_BYTES = 1024 * 1024  # asked of Linux for the child's stdout: fewer, larger reads
LAST_WORDS_SECONDS = 0.2  # how long output is awaited after the child's exit, while a grandchild holds the pipe


class StdioStream(DescriptorStream, ChildEnding):
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
        self._loop = asyncio.get_running_loop()
        self._name = name
        self.process = ChildProcess(argv, env=env, cwd=cwd)
        self._stderr = Tail(on_line=on_stderr)
        self._silent: asyncio.Future[None] = self._loop.create_future()  # done when its stderr has ended
        _widen(self.process.stdout_fd)
        super().__init__(
            self.process.stdout_fd,
            self.process.stdin_fd,
            f"rightseat-read-{self.process.pid}",
            {self.process.stderr_fd: self._take_stderr},
        )
        self.process.exited.add_done_callback(lambda _: self._loop.call_later(LAST_WORDS_SECONDS, self._reader.stop))

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        waited: list[asyncio.Future[Any]] = [self.process.exited, self._silent]
        await asyncio.wait(waited, timeout=LAST_WORDS_SECONDS)
        status = self.process.exited.result() if self.process.exited.done() else None
        return StreamEnd(describe_exit(self._name, status), status, mask(self._stderr.text(), limit=None))

    async def _close(self, grace: float) -> None:
        self._writer.close()
        self.process.close_stdin()
        await self.process.end(grace)
        await self._stop_reading()
        self.process.close_output()

    def _take_stderr(self, chunk: bytes, _: Callable[[], None]) -> bool:
        if chunk:
            self._stderr.put(chunk)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(resolve, self._silent)
        return True


def _widen(fd: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # Linux only, and a user's pipes are limited in sum
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
