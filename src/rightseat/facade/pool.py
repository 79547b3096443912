"""Sessions for many: a bounded pool of them, and one that is not made before it is used."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from rightseat.clock import SYSTEM_CLOCK, Clock
from rightseat.errors import NotStartedError
from rightseat.facade.response import ChatResponse
from rightseat.facade.session import ChatSession, ChatStream
from rightseat.layers.checks import number

if TYPE_CHECKING:
    from rightseat.facade.options import ChatOptions, PooledOptions
    from rightseat.facade.sdk import CopilotSDK

T = TypeVar("T")


class SessionPool:
    """At most `size` sessions, given out one user at a time, and made when they are needed.

        async with SessionPool(sdk, size=8) as pool:
            async with pool.session() as session:
                await session.chat("...")

    A session that comes back has forgotten its conversation. One whose use has failed with an error, or that is older than
    `max_age`, is closed and replaced. For sessions of the CLI, which cannot forget, every use makes a new one; the pool bounds them.

    Args:
        sdk: makes the sessions.
        size: how many at most.
        max_age: seconds.
        clock: time.
        **options: see `CopilotSDK.create_session`.
    """

    def __init__(
        self,
        sdk: CopilotSDK,
        size: int = 8,
        *,
        max_age: float = 3600.0,
        clock: Clock = SYSTEM_CLOCK,
        **options: Unpack[PooledOptions],
    ) -> None:
        number("size", size, least=1, whole=True)
        number("max_age", max_age, above=0)
        self.size = size
        self._make: Callable[[], Awaitable[ChatSession]] = lambda: sdk.create_session(**options)
        self._max_age = max_age
        self._clock = clock
        self._free: deque[tuple[ChatSession, float]] = deque()  # and when it was made
        self._places = asyncio.Semaphore(size)
        self._closed = False
        self.made = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ChatSession]:
        """A session for the time of a block. Waits while all are in use.

        Raises:
            NotStartedError: the pool is closed.
        """
        async with self._places:
            if self._closed:
                raise NotStartedError("this SessionPool is closed")
            session, made_at = await self._take()
            try:
                yield session
            except BaseException:
                await session.close()
                raise
            await self._put_back(session, made_at)

    async def close(self) -> None:
        """Close all sessions that are not in use; the others when they come back."""
        self._closed = True
        while self._free:
            session, _ = self._free.popleft()
            await session.close()

    async def _take(self) -> tuple[ChatSession, float]:
        while self._free:
            session, made_at = self._free.pop()
            if not session.closed and self._clock.now() - made_at < self._max_age:
                return session, made_at
            await session.close()
        self.made += 1
        return await self._make(), self._clock.now()

    async def _put_back(self, session: ChatSession, made_at: float) -> None:
        if self._closed or session.closed or not session.forgets:
            await session.close()
            return
        session.clear()
        self._free.append((session, made_at))


class LazySession:
    """A session that is made when it is first used: `LazySession(sdk)`.

    Args:
        sdk: makes it.
        **options: see `CopilotSDK.create_session`.
    """

    def __init__(self, sdk: CopilotSDK, **options: Unpack[PooledOptions]) -> None:
        self._sdk = sdk
        self._options = options
        self._session: ChatSession | None = None
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self) -> ChatSession:
        """The session; the same one each time."""
        async with self._making:
            if self._session is None:
                self._session = await self._sdk.create_session(**self._options)
        return self._session

    @overload
    async def chat(
        self, prompt: str, *, response_format: type[T], **options: Unpack[ChatOptions]
    ) -> ChatResponse[T]: ...

    @overload
    async def chat(
        self, prompt: str, *, response_format: Mapping[str, object] | None = None, **options: Unpack[ChatOptions]
    ) -> ChatResponse: ...

    async def chat(self, prompt: str, *, response_format: Any = None, **options: Unpack[ChatOptions]) -> Any:
        """See ChatSession."""
        return await (await self.get()).chat(prompt, response_format=response_format, **options)

    @overload
    async def stream(
        self, prompt: str, *, response_format: type[T], **options: Unpack[ChatOptions]
    ) -> ChatStream[T]: ...

    @overload
    async def stream(
        self, prompt: str, *, response_format: Mapping[str, object] | None = None, **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    async def stream(self, prompt: str, *, response_format: Any = None, **options: Unpack[ChatOptions]) -> Any:
        """See ChatSession; to be awaited: `async for chunk in await lazy.stream(...)`."""
        return (await self.get()).stream(prompt, response_format=response_format, **options)

    async def close(self) -> None:
        """Close it, if it was ever made."""
        if self._session is not None:
            await self._session.close()
