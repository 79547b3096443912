"""Several workers on one port: processes that share a listening socket, started again when they die, ended together.

The supervisor does nothing else: it holds the socket, so that no connection is lost while a worker is replaced, and the folder in which
prometheus-client keeps the workers' numbers. Workers read the settings themselves.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

from rightseat.clock import SYSTEM_CLOCK, pause
from rightseat.gateway.config import Settings
from rightseat.log import logger
from rightseat.transport.listen import listen

FD_VARIABLE = "RIGHTSEAT_LISTENER"
SUPERVISOR_VARIABLE = "RIGHTSEAT_SUPERVISOR"
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PATIENCE_SECONDS = 15.0  # beyond the workers' own drain: for cut streams to be told and connections to close
_HEALTHY_SECONDS = 10.0  # a worker that lived so long is started again at once
_POLL_SECONDS = 0.1


class Supervisor:
    """Starts workers and keeps so many running until it is stopped.

    Args:
        settings: the address to listen on, and how long streams may drain.
        count: how many workers.
        argv: starts one; it finds its socket by FD_VARIABLE.
        on_ready: called with the address once the first worker runs.
    """

    def __init__(
        self, settings: Settings, count: int, argv: Sequence[str], on_ready: Callable[[str], None] | None = None
    ) -> None:
        self._settings = settings
        self._count = count
        self._argv = list(argv)
        self._on_ready = on_ready
        self._workers: list[tuple[subprocess.Popen[bytes], float]] = []
        self._stopping = False
        self._failures = 0

    def run(self) -> int:
        """Run until SIGINT or SIGTERM; pass SIGHUP on. The exit status: 0, or 1 if workers die as soon as they start."""
        listener = listen(self._settings.host, self._settings.port)
        os.set_inheritable(listener.fileno(), True)
        folder = tempfile.mkdtemp(prefix="rightseat-metrics-")
        self._env = {
            **os.environ,
            FD_VARIABLE: str(listener.fileno()),
            SUPERVISOR_VARIABLE: str(os.getpid()),
            METRICS_VARIABLE: folder,
        }
        handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop, signal.SIGHUP: self._reload}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # `rightseat serve` blocks it until here
        try:
            for _ in range(self._count):
                self._start(listener.fileno())
            if self._on_ready is not None:
                self._on_ready(f"http://{self._settings.host}:{listener.getsockname()[1]}")
            while not self._stopping:
                pause(_POLL_SECONDS)
                self._replace_dead(listener.fileno(), folder)
            return self._end()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            listener.close()
            shutil.rmtree(folder, ignore_errors=True)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _reload(self, *_: object) -> None:
        for worker, _since in self._workers:
            worker.send_signal(signal.SIGHUP)

    def _start(self, fd: int) -> None:
        # A worker that does not handle the signal yet would die of it: it comes to life with the signal blocked, and lets it in when it serves.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            worker = subprocess.Popen(self._argv, env=self._env, pass_fds=(fd,))  # noqa: S603 - our own interpreter
            self._workers.append((worker, SYSTEM_CLOCK.now()))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _replace_dead(self, fd: int, folder: str) -> None:
        for worker, since in list(self._workers):
            if (status := worker.poll()) is None:
                continue
            self._workers.remove((worker, since))
            _forget_metrics(worker.pid, folder)
            lived = SYSTEM_CLOCK.now() - since
            logger.error(
                "worker %s ended with status %s after %.1f s; another one is started", worker.pid, status, lived
            )
            self._failures = 0 if lived >= _HEALTHY_SECONDS else self._failures + 1
            if self._failures >= 3 * self._count:
                logger.error("workers exit as soon as they start; giving up")
                self._stopping = True
                return
            if self._failures:
                pause(min(2.0, 0.1 * 2**self._failures))
            self._start(fd)

    def _end(self) -> int:
        for worker, _ in self._workers:
            worker.terminate()
        until = SYSTEM_CLOCK.now() + self._settings.drain_seconds + _PATIENCE_SECONDS
        for worker, _ in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(max(0.1, until - SYSTEM_CLOCK.now()))
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        return 1 if self._failures >= 3 * self._count else 0


def worker_argv(arguments: Sequence[str]) -> list[str]:
    """The command of one worker: `rightseat serve` with the same options."""
    return [sys.executable, "-m", "rightseat", "serve", *arguments]


def _forget_metrics(pid: int, folder: str) -> None:
    """Gauges of a dead worker count no more; its counters do."""
    with contextlib.suppress(ModuleNotFoundError):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
