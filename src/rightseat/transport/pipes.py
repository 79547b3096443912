"""A stream over the pipes of a process that somebody else has started. Whoever started it ends it, too."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Callable

from rightseat.errors import InvalidOptionError
from rightseat.masking import mask
from rightseat.transport.base import StreamEnd
from rightseat.transport.descriptor import DescriptorStream
from rightseat.transport.process import Tail, describe_exit

_EXIT_SECONDS = 0.2  # how long the exit of a process that has closed its output is awaited


class PipeStream(DescriptorStream):
    """A `ByteStream` over the standard input and output of a `subprocess.Popen`; of its stderr, where that is a pipe, the last lines are kept.

    Args:
        process: started with `stdin=PIPE, stdout=PIPE`. Nothing else may read or write these pipes from now on.
        name: what to call it in errors.

    Raises:
        InvalidOptionError: one of the pipes is missing.
    """

    def __init__(self, process: subprocess.Popen[bytes], name: str = "the process") -> None:
        if process.stdin is None or process.stdout is None:
            raise InvalidOptionError("process: must be started with stdin=PIPE and stdout=PIPE")
        self._process = process
        self._name = name
        self._stderr = Tail()
        also: dict[int, Callable[[bytes, Callable[[], None]], bool]] = {}
        if process.stderr is not None:
            also[process.stderr.fileno()] = self._take_stderr
        super().__init__(process.stdout.fileno(), process.stdin.fileno(), f"rightseat-read-{process.pid}", also)

    @property
    def stderr_tail(self) -> str:
        """The last lines of its stderr, masked."""
        return mask(self._stderr.text(), limit=None)

    async def end(self) -> StreamEnd:
        """See ByteStream."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _EXIT_SECONDS)
        status = self._process.poll()
        return StreamEnd(describe_exit(self._name, status), status, self.stderr_tail)

    async def close(self) -> None:
        """See ByteStream. The process goes on."""
        self._writer.close()
        await self._stop_reading()

    def _take_stderr(self, chunk: bytes, _: Callable[[], None]) -> bool:
        if chunk:
            self._stderr.put(chunk)
        return True
