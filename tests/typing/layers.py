"""Layers keep the types of what they wrap, for type checkers: this file is checked, never run."""

from typing import Any, assert_type

from rightseat.chat import ChatRequest, Reply
from rightseat.handler import stack
from rightseat.layers import (
    Backoff,
    Breaker,
    Cache,
    Deadline,
    Fallback,
    Limit,
    Observe,
    Queue,
    RateLimiter,
    Retry,
    Shed,
    Totals,
)


async def fetch(url: str, *, tries: int = 1) -> list[str]:
    return [url] * tries


async def other(*_: Any) -> list[str]:
    return []


async def upstream(request: ChatRequest) -> Reply:
    raise NotImplementedError


@Retry(on=(OSError, ValueError), backoff=Backoff(attempts=5))
async def decorated(number: int) -> str:
    return str(number)


class Service:
    @Deadline(5)
    async def method(self, number: int) -> str:
        return str(number)


async def use() -> None:
    assert_type(await decorated(1), str)
    assert_type(await Service().method(1), str)
    await decorated("1")  # type: ignore[arg-type]
    assert_type(await Retry()(fetch)("u", tries=2), list[str])
    assert_type(await Breaker(on=lambda e: True).call(fetch, "u", tries=2), list[str])
    await Breaker().call(fetch, 1)  # type: ignore[arg-type]
    assert_type(await Queue().execute(fetch, "u"), list[str])
    await Queue().execute(fetch)  # type: ignore[call-arg]
    assert_type(await Cache().get_or_compute("k", lambda: fetch("u")), list[str])
    assert_type(await Cache()(fetch)("u"), list[str])
    assert_type(await RateLimiter(requests=Limit(60)).call(fetch, "u"), list[str])
    await RateLimiter(requests=60).acquire()
    assert_type(await Fallback(other)(fetch)("u"), list[str])
    assert_type(await Shed()(fetch)("u"), list[str])
    assert_type(await Totals()(fetch)("u"), list[str])
    both = stack(Deadline(5), Queue(), Retry(), Breaker())
    assert_type(await both(fetch)("u"), list[str])
    assert_type(await both(upstream)(ChatRequest("m", ())), Reply)
    for_requests = stack(Observe(), Retry())
    assert_type(await for_requests(upstream)(ChatRequest("m", ())), Reply)
