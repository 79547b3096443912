"""The names of the production patterns guide, used as it uses them, for type checkers: this file is checked, never run."""

import asyncio
import os
from collections.abc import AsyncIterator

from github_copilot_sdk import (
    ChatResponse,
    CircuitBreaker,
    ContextWindow,
    CopilotSDK,
    CopilotSession,
    InputValidator,
    LazySession,
    MessagePriority,
    MockCopilotSession,
    PrioritizedMessage,
    RateLimiter,
    RequestCache,
    RequestQueue,
    SecureConfig,
    SecureLogger,
    SensitiveDataFilter,
    StreamingUI,
    copilot_session,
    measure_time,
    retry_with_backoff,
    search_codebase,
    stream_with_backpressure,
)
from github_copilot_sdk import batch_process as at_once
from github_copilot_sdk import breaker as shared
from github_copilot_sdk import limiter as limits
from github_copilot_sdk import process_batch as batched
from github_copilot_sdk import process_request as process_it
from github_copilot_sdk import queue as calls
from github_copilot_sdk import resilient_chat as chat_resiliently
from github_copilot_sdk import secure_chat_handler as handled

API_KEY = os.environ["COPILOT_API_KEY"]


async def own_session(api_key: str) -> AsyncIterator[CopilotSession]:
    sdk = CopilotSDK(api_key=api_key)
    session = None
    try:
        session = await sdk.create_session()
        yield session
    finally:
        if session:
            await session.close()
        await sdk.close()


async def process_request(prompt: str) -> str:
    async with copilot_session(API_KEY) as session:
        response = await session.chat(prompt)
        return response.text


async def own_stream(session: CopilotSession, prompt: str, max_buffer_size: int = 1024) -> AsyncIterator[str]:
    buffer: list[str] = []
    buffer_size = 0
    async for chunk in session.stream(prompt):
        buffer.append(chunk.text)
        buffer_size += len(chunk.text)
        if buffer_size >= max_buffer_size:
            yield "".join(buffer)
            buffer.clear()
            buffer_size = 0
    if buffer:
        yield "".join(buffer)


class MyUI(StreamingUI):
    def render(self, text: str) -> None:
        print(text)


breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=60.0)


async def resilient_chat(session: CopilotSession, prompt: str) -> ChatResponse:
    async def attempt() -> ChatResponse:
        return await breaker.call(lambda: session.chat(prompt))

    return await retry_with_backoff(attempt, max_retries=3)


context = ContextWindow(max_tokens=4000)
context.add_message("system", "You are a helpful assistant.", MessagePriority.SYSTEM)
context.add_message("user", "What is Python?", MessagePriority.CRITICAL)
context.add_message("assistant", "Python is...", MessagePriority.HIGH)
messages: list[dict[str, str]] = context.get_messages()
message = PrioritizedMessage("user", "x", MessagePriority.LOW, 1)

limiter = RateLimiter(requests_per_minute=60, burst_size=10)
queue = RequestQueue(limiter, max_concurrent=5)


async def process_batch(session: CopilotSession, prompts: list[str]) -> list[ChatResponse | BaseException]:
    tasks = [queue.execute(session.chat, prompt) for prompt in prompts]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def batch_process(session: CopilotSession, prompts: list[str]) -> list[str]:
    tasks = [session.chat(p) for p in prompts]
    return [r.text for r in await asyncio.gather(*tasks)]


def secure_chat_handler(prompt: str) -> str:
    logger = SecureLogger(__name__)
    try:
        validated_prompt = InputValidator.validate_prompt(prompt)
        if SensitiveDataFilter.contains_sensitive_data(validated_prompt):
            logger.error("Prompt contains sensitive data, rejecting")
            raise ValueError("Prompt contains sensitive information")
        api_key = SecureConfig.get_api_key()
        logger.info(f"Processing prompt: {validated_prompt[:50]}...")  # noqa: G004 - as the guide has it
        sdk = CopilotSDK(api_key=api_key)
        print(sdk)
        return "Success"
    except Exception as e:
        logger.error(f"Error: {e}")  # noqa: G004 - as the guide has it
        raise


async def main(session: CopilotSession) -> None:
    cache = RequestCache(ttl=300)
    response = await cache.get_or_compute("k", lambda: session.chat("x"))
    print(response.text)
    async for piece in stream_with_backpressure(session, "x"):
        print(piece.upper())
    await MyUI().display_stream(session, "x")
    await StreamingUI().display_stream(MockCopilotSession({}), "x")
    mock = MockCopilotSession(canned_responses={"python": "x"})
    r = await mock.chat("python")
    assert isinstance(r.text, str)
    await resilient_chat(mock, "x")
    sdk = CopilotSDK(api_key=API_KEY, compression=True)
    lazy = LazySession(sdk)
    s = await lazy.get()
    await main(s)
    try:
        response = await asyncio.wait_for(session.chat("x"), timeout=30.0)
    except TimeoutError:
        print("timeout")
    print(queue.metrics["total_requests"], SecureConfig.mask_api_key("x" * 20))


@measure_time
async def chat(prompt: str) -> str:
    return prompt


async def examples(session: CopilotSession) -> None:
    text: str = await process_it("x")
    answer: ChatResponse = await chat_resiliently(session, "x")
    answers: list[ChatResponse | BaseException] = await batched(["x"], session)
    alone: list[ChatResponse | BaseException] = await batched(["x"])
    texts: list[str] = [a.text for a in await at_once(["x"])] + [a.text for a in await at_once(["x"], session)]
    found = search_codebase("x", file_pattern="**/*.py", max_results=5)
    print(
        text,
        answer.text,
        answers,
        alone,
        texts,
        found["count"],
        handled("x").upper(),
        shared.state,
        limits,
        calls.metrics,
    )
