"""What the guide defines to show its parts together, ready to call: a question, a chat that recovers, batches, a checked handler, a search."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, overload

from rightseat.facade.response import ChatResponse
from rightseat.facade.sdk import CopilotSDK
from rightseat.json_types import JsonObject
from rightseat.patterns import search_program
from rightseat.patterns.limits import MinuteLimiter, RequestQueue
from rightseat.patterns.recovery import CircuitBreaker, retry_with_backoff
from rightseat.patterns.safety import InputValidator, SecureConfig, SecureLogger, SensitiveDataFilter
from rightseat.patterns.showing import copilot_session
from rightseat.security.screening import PromptError

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
SEARCH_SECONDS = 10.0
MAX_RESULTS = 500

breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=60.0)
limiter = MinuteLimiter(requests_per_minute=60, burst_size=10)
queue = RequestQueue(limiter, max_concurrent=5)


class Chatting(Protocol[R_co]):
    """A session, a `CopilotSDK`, or a double of one."""

    def chat(self, prompt: str, /) -> Awaitable[R_co]:
        """The answer."""
        ...


async def process_request(prompt: str) -> str:
    """The answer's text, from a session that lives for this question. The key is `COPILOT_API_KEY`, else the account of `rightseat login`."""
    async with copilot_session() as session:
        response = await session.chat(prompt)
        return response.text


async def resilient_chat(session: Chatting[R], prompt: str) -> R:
    """A question with three tries, behind `breaker`, which all calls share.

    Raises:
        CircuitOpenError: five calls in a row failed; a minute later one may try. What the last try raised is raised as it is.
    """

    async def attempt() -> R:
        return await breaker.call(session.chat, prompt)

    return await retry_with_backoff(attempt, max_retries=3)


@overload
async def process_batch(prompts: Iterable[str], session: None = None) -> list[ChatResponse | BaseException]: ...
@overload
async def process_batch(prompts: Iterable[str], session: Chatting[R]) -> list[R | BaseException]: ...
async def process_batch(prompts: Iterable[str], session: Chatting[object] | None = None) -> Sequence[object]:
    """The answers in the order of the prompts, errors in their places: five at once through `queue`, 60 a minute, which all batches share.

    Args:
        prompts: each is one question.
        session: who is asked. None: a `CopilotSDK` of its own, which asks each by itself; the key as for `process_request`.
    """
    if session is None:
        async with CopilotSDK() as sdk:
            return await process_batch(prompts, sdk)
    calls = [queue.execute(session.chat, prompt) for prompt in prompts]
    return await asyncio.gather(*calls, return_exceptions=True)


@overload
async def batch_process(prompts: Iterable[str], session: None = None) -> list[ChatResponse]: ...
@overload
async def batch_process(prompts: Iterable[str], session: Chatting[R]) -> list[R]: ...
async def batch_process(prompts: Iterable[str], session: Chatting[object] | None = None) -> Sequence[object]:
    """The answers in the order of the prompts, asked all at once. The first error is raised. Arguments as of `process_batch`."""
    if session is None:
        async with CopilotSDK() as sdk:
            return await batch_process(prompts, sdk)
    return await asyncio.gather(*(session.chat(prompt) for prompt in prompts))


def secure_chat_handler(prompt: str) -> str:
    """The guide's checks before a call: the prompt, sensitive data, the key, all logged without secrets. Returns "Success"; the call is yours.

    Raises:
        PromptError: (ValueError) the prompt is refused, or holds keys or personal data.
        ConfigError: (ValueError) there is no key; the message names the places.
    """
    logger = SecureLogger(__name__)
    try:
        validated_prompt = InputValidator.validate_prompt(prompt)
        if SensitiveDataFilter.contains_sensitive_data(validated_prompt):
            logger.error("Prompt contains sensitive data, rejecting")
            raise PromptError("Prompt contains sensitive information: a key or personal data; take it out")
        api_key = SecureConfig.get_api_key()
        logger.info("Processing prompt: %s...", validated_prompt[:50])
        CopilotSDK(api_key=api_key)  # opens nothing before it is used
    except Exception as e:
        logger.error("Error: %s", e)  # noqa: TRY400 - without a traceback, as the guide has it
        raise
    return "Success"


def search_codebase(pattern: str, file_pattern: str = "**/*", max_results: int = 50) -> JsonObject:
    """Search for code patterns in the files below the working directory. Returns matching lines with their files and line numbers.

    Hidden, binary and large files (1 MiB) are passed over, and what is outside of the directory. Blocks for at most 10 s.

    Args:
        pattern: Regex pattern to search (Python re syntax).
        file_pattern: Glob pattern for files to search (e.g., '**/*.py').
        max_results: Maximum number of results to return, from 1 to 500.

    Returns:
        success, results (file, line, text) and count; or success, error and error_type: "invalid_pattern" or "search_error".
    """
    if not 1 <= max_results <= MAX_RESULTS:
        return search_program.failure("search_error", f"Search failed: max_results must be from 1 to {MAX_RESULTS}")
    asked = {
        "root": str(Path.cwd().resolve()),
        "pattern": pattern,
        "file_pattern": file_pattern,
        "max_results": max_results,
    }
    environment = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    try:
        done = subprocess.run(  # noqa: S603 - our own program; what is asked goes to its standard input
            [sys.executable, "-I", "-S", search_program.__file__],
            input=json.dumps(asked).encode(),
            capture_output=True,
            check=True,
            env=environment,
            timeout=SEARCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return search_program.failure("search_error", f"Search failed: it took longer than {SEARCH_SECONDS:g} s")
    except (OSError, subprocess.CalledProcessError) as e:
        return search_program.failure("search_error", f"Search failed: {type(e).__name__}")
    result: JsonObject = json.loads(done.stdout)
    return result
