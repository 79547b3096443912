"""Stores of every kind, for several workers."""

from contextlib import AsyncExitStack

import pytest

from rightseat.state.memory import MemoryDatabase, MemoryState
from rightseat.state.opening import open_state


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Where a new store's tables shall be."""
    return tmp_path / "k.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def worker(request, tmp_path):
    """Workers that share one store: `one, two = await worker(), await worker()`."""
    kind = request.param
    shared = MemoryDatabase()
    where = tmp_path / "k.sqlite" if kind == "sqlite" else None
    if kind == "postgresql":
        where = request.getfixturevalue("postgres")()
    async with AsyncExitStack() as stack:

        async def start(clock=None):
            options = {} if clock is None else {"clock": clock}
            state = MemoryState(shared, **options) if kind == "memory" else open_state(where, **options)
            return await stack.enter_async_context(state)

        start.kind = kind
        yield start
