"""A child process and everything it starts: begun in a group of its own, and ended without leaving anything behind.

The Copilot CLI runs shells, language servers and MCP servers, some of them in sessions of their own, which a signal to the
process group does not reach. So the child carries a mark in its environment that all its descendants inherit, and what
still lives after the group is gone is found by that mark and by parentage (Linux, /proc). Elsewhere the group is all.

This module does not know what the process is for.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from rightseat.errors import CliNotFoundError, CliNotRunnableError
from rightseat.ids import SYSTEM_IDS
from rightseat.log import logger

MARK = "RIGHTSEAT_CHILD"
# Ending a child takes little more than a second at most. The Copilot CLI exits within 40 ms (1.0.102).
EXIT_SECONDS = 0.6  # how long a child may take to exit by itself
TERMINATE_SECONDS = 0.2  # between SIGTERM and SIGKILL
_POLL_SECONDS = 0.01
_EXEC_SECONDS = 0.1  # how long a process may show no environment before it is taken at its word
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of /proc/pid/stat's flags (proc(5))
_PROC = Path("/proc")

_living: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


class ChildProcess:
    """A running child.

    Args:
        argv: the program and its arguments.
        env: its whole environment.
        cwd: its working directory, or None for ours.

    Raises:
        CliNotFoundError: there is no such program or working directory.
        CliNotRunnableError: the system refuses to run it.
    """

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str | None) -> None:
        self._mark = SYSTEM_IDS.hex(32)
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        if cwd is not None and not Path(cwd).is_dir():
            raise CliNotFoundError(f"the working directory {cwd!r} does not exist")
        try:
            self._popen = subprocess.Popen(  # noqa: S603 - running what the caller named is the purpose
                list(argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**env, MARK: self._mark},
                cwd=cwd,
                bufsize=0,
                start_new_session=True,
            )
        except FileNotFoundError as e:
            raise CliNotFoundError(f"{argv[0]!r} does not exist, or the program its first line names does not") from e
        except OSError as e:
            raise CliNotRunnableError(
                f"the system cannot run {argv[0]!r}: {e.strerror}. Is it executable (chmod +x), and built for this machine?"
            ) from e
        self._started = next((int(stat[19]) for _, stat in _process_stats([str(self.pid)])), 0)  # no child can be older
        _living.add(self)
        threading.Thread(target=self._wait, name=f"rightseat-wait-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._popen.pid

    @property
    def stdin_fd(self) -> int:
        """Our end of its standard input."""
        assert self._popen.stdin is not None
        return self._popen.stdin.fileno()

    @property
    def stdout_fd(self) -> int:
        """Our end of its standard output."""
        assert self._popen.stdout is not None
        return self._popen.stdout.fileno()

    @property
    def stderr_fd(self) -> int:
        """Our end of its standard error."""
        assert self._popen.stderr is not None
        return self._popen.stderr.fileno()

    def close_stdin(self) -> None:
        """Tell the child that nothing more will come."""
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()

    def close_output(self) -> None:
        """Give back our ends of its output."""
        for pipe in (self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    async def end(self, grace: float) -> int:
        """Wait `grace` seconds for the child to exit by itself, then end it and whatever it left. Its exit status."""
        family = self._family()
        if not await self._exits_within(grace):
            self._signal_group(signal.SIGTERM)
            if not await self._exits_within(TERMINATE_SECONDS):
                self._signal_group(signal.SIGKILL)
        status = await asyncio.shield(self.exited)
        await self._end_stragglers(family)
        _living.discard(self)
        return status

    def kill(self) -> None:
        """End the whole group at once, without waiting."""
        self._signal_group(signal.SIGKILL)

    async def _exits_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self.exited], timeout=seconds)
        return bool(done)

    async def _end_stragglers(self, family: set[tuple[int, str]]) -> None:
        """What outlives the child: its group first, then its marked or known descendants."""
        self._signal_group(signal.SIGTERM)
        for number, patience in ((signal.SIGTERM, TERMINATE_SECONDS), (signal.SIGKILL, TERMINATE_SECONDS)):
            deadline = self._loop.time() + patience
            for pid in (left := await self.stragglers(family)):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            while left and self._loop.time() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
                left = await self.stragglers(family)
            if not left:
                return

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)

    def _wait(self) -> None:
        status = self._popen.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._exited, status)

    def _exited(self, status: int) -> None:
        if not self.exited.done():
            self.exited.set_result(status)

    def _family(self) -> set[tuple[int, str]]:
        """Descendants by parentage, each with its start time so that a reused pid is not mistaken for it."""
        children: dict[int, list[int]] = {}
        started: dict[int, str] = {}
        for pid, stat in _process_stats():
            children.setdefault(int(stat[1]), []).append(pid)
            started[pid] = stat[19]
        found, queue = set(), [self.pid]
        while queue:
            for pid in children.get(queue.pop(), ()):
                found.add((pid, started[pid]))
                queue.append(pid)
        return found

    async def stragglers(self, family: Collection[tuple[int, str]] = ()) -> list[int]:
        """Ids of what the child started and that still lives: what carries its mark or is of the `family`.

        In the middle of execve(2) a process shows an empty environment. Who may be there is looked at again.
        """
        deadline = self._loop.time() + _EXEC_SECONDS
        while True:
            left, unclear = self._look(family)
            if not unclear or self._loop.time() >= deadline:
                return left
            await asyncio.sleep(_POLL_SECONDS)

    def _look(self, family: Collection[tuple[int, str]]) -> tuple[list[int], bool]:
        mark = f"{MARK}={self._mark}".encode()
        left, unclear = [], False
        for pid, stat in _process_stats():
            if stat[0] == "Z" or pid == self.pid:
                continue
            environment = _environment(pid)
            if (pid, stat[19]) in family or mark in environment:
                left.append(pid)
            elif environment == [b""] and int(stat[19]) >= self._started and not int(stat[6]) & _KERNEL_THREAD:
                unclear = True
        return left, unclear


def _process_stats(pids: Iterable[str] | None = None) -> list[tuple[int, list[str]]]:
    """(pid, fields of /proc/pid/stat from the state on) of these or all; empty where there is no /proc (proc(5))."""
    found = []
    if _PROC.is_dir():
        for entry in os.listdir(_PROC) if pids is None else pids:  # noqa: PTH208 - names only
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    text = (_PROC / entry / "stat").read_text("ascii", "replace")
                    found.append((int(entry), text.rpartition(")")[2].split()))
    return found


def _environment(pid: int) -> list[bytes]:
    """A process's environment: empty if it may not be read, one empty entry if there is none."""
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


@atexit.register
def _end_all() -> None:
    """Called at exit without `end`: a client that was never stopped leaves no process behind."""
    for child in list(_living):
        if child._popen.poll() is None:
            child.kill()


class Tail:
    """The last lines of a stream of text, within a bound.

    Args:
        limit: how many bytes are kept.
        on_line: called with every whole line, for those who want to log them.
    """

    def __init__(self, limit: int = 16 * 1024, on_line: Callable[[str], None] | None = None) -> None:
        self._limit = limit
        self._on_line = on_line
        self._kept = b""
        self._partial = b""

    def put(self, chunk: bytes) -> None:
        """Take the next bytes. Called on the reading thread."""
        self._kept = (self._kept + chunk)[-self._limit :]
        if self._on_line is not None:
            *lines, self._partial = (self._partial + chunk).split(b"\n")
            self._partial = self._partial[-self._limit :]
            for line in lines:
                self._tell(line.decode("utf-8", "replace").rstrip("\r"))

    def _tell(self, line: str) -> None:
        """A listener that fails is asked no more: the thread has to go on reading."""
        if self._on_line is not None:
            try:
                self._on_line(line)
            except Exception:
                self._on_line = None
                logger.exception("on_stderr failed and is not called again")

    def text(self, lines: int = 20) -> str:
        """The last lines."""
        return "\n".join(self._kept.decode("utf-8", "replace").strip().splitlines()[-lines:])


class ChildEnding:
    """How a stream that owns a child ends: once, however often and by whomever it is asked. For `_close` to fill in."""

    process: ChildProcess
    _closing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """End the stream. The child is given EXIT_SECONDS to leave by itself, then it and all it started are ended."""
        await self._end_once(EXIT_SECONDS)

    async def terminate(self) -> None:
        """End the stream; the child gets a signal to end, and TERMINATE_SECONDS for it."""
        await self._end_once(0)

    async def kill(self) -> None:
        """End the stream without patience."""
        self.process.kill()
        await self._end_once(0)

    async def _end_once(self, grace: float) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(grace))
        await asyncio.shield(self._closing)

    async def _close(self, grace: float) -> None:
        raise NotImplementedError


def describe_exit(name: str, status: int | None) -> str:
    """One clause for people: how a child ended. `status` as subprocess gives it; None while it still runs."""
    if status is None:
        return f"{name} closed its output"
    if status < 0:
        return f"{name} was killed by signal {-status}"
    return f"{name} exited with status {status}"
