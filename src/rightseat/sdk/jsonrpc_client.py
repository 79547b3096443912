"""A JSON-RPC client over the pipes of a process: for whoever speaks to a CLI without a `CopilotClient`. Knows no method and no session."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from rightseat.errors import InvalidOptionError, NotStartedError, RightseatError
from rightseat.log import logger
from rightseat.sdk.calling import call
from rightseat.sdk.pump import Pump, UnknownMethodError
from rightseat.transport.pipes import PipeStream

RequestHandler = Callable[[dict[str, Any]], object]


class JsonRpcClient:
    """One side of a conversation in JSON-RPC 2.0 with Content-Length frames. A thread reads; everything else is on the event loop.

        process = subprocess.Popen(["copilot", "--headless", "--stdio"], stdin=PIPE, stdout=PIPE)
        client = JsonRpcClient(process)
        client.set_notification_handler(lambda method, params: print(method))
        client.start()
        print(await client.request("ping", {"message": "hello"}))
        await client.stop()

    Args:
        process: started with `stdin=PIPE, stdout=PIPE`; whoever started it ends it.

    Attributes:
        process: see above.
        on_close: called without arguments when the process hangs up.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.on_close: Callable[[], object] | None = None
        self._told: Callable[[str, Any], object] | None = None
        self._handlers: dict[str, RequestHandler] = {}
        self._stream: PipeStream | None = None
        self._pump: Pump | None = None

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Begin to read, on the running event loop. Does nothing when that is done already.

        Raises:
            InvalidOptionError: `loop` is not the one that runs here, or the process has no pipes.
        """
        if self._pump is not None:
            return
        if loop is not None and loop is not asyncio.get_running_loop():
            raise InvalidOptionError("loop: must be the running event loop: call start() on it")
        self._stream = PipeStream(self.process)
        self._pump = Pump(self._stream, on_notification=self._notified, on_request=self._asked, on_lost=self._lost)

    async def stop(self) -> None:
        """Stop reading and writing. Calls that wait raise ConnectionLostError. May be called twice."""
        if self._pump is not None:
            await self._pump.close()

    async def request(
        self,
        method: str,
        params: Mapping[str, object] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """Call a method of the peer; the result as plain values.

        Raises:
            NotStartedError: `start` was not called.
            RpcError: the peer answered with an error.
            RpcTimeoutError: (TimeoutError) no answer within `timeout` seconds; None: wait.
            ConnectionLostError, ProtocolError: the conversation ended first.
        """
        return msgspec.json.decode(await self._running().call(method, dict(params or {}), timeout))

    async def notify(self, method: str, params: Mapping[str, object] | None = None) -> None:
        """Tell the peer something."""
        self._running().notify(method, dict(params or {}))

    def set_notification_handler(self, handler: Callable[[str, Any], object] | None) -> None:
        """Be told what the peer tells: `handler(method, params)`, in order, on the event loop. None: no more."""
        self._told = handler

    def set_request_handler(self, method: str, handler: RequestHandler | None) -> None:
        """Answer a method that the peer calls: `handler(params)`, a function or a coroutine function. None: no more.

        What it returns is the result. To refuse with a code of its own it raises an RpcError; anything else is told as -32603.
        """
        if handler is None:
            self._handlers.pop(method, None)
        else:
            self._handlers[method] = handler

    def get_stderr_output(self) -> str:
        """The last lines of the process' stderr, where that is a pipe; masked."""
        return self._stream.stderr_tail if self._stream is not None else ""

    def _running(self) -> Pump:
        if self._pump is None:
            raise NotStartedError("this JsonRpcClient is not started: call start() first")
        return self._pump

    def _notified(self, method: str, params: Any) -> None:
        if self._told is None:
            return
        try:
            self._told(method, msgspec.json.decode(params))
        except Exception:
            logger.exception("the handler of notifications failed: %s", method)

    async def _asked(self, method: str, params: Raw) -> object:
        handler = self._handlers.get(method)
        if handler is None:
            raise UnknownMethodError(method)
        return await call(handler, msgspec.json.decode(params))

    def _lost(self, error: RightseatError) -> None:
        logger.warning("the process hung up: %s", str(error).splitlines()[0])
        if self.on_close is not None:
            self.on_close()
