"""Many prompts from a file of JSON lines, answered concurrently into another; can be stopped at any time and continued later.

A line is a prompt as a JSON text, or an object with `prompt`, and if wanted `id`, `system`, `model` and options of the request
(temperature ...). An answer is a line `{"id", "line", "text", "model", "finish_reason", "usage"}`, or `{"id", "line", "error"}`. Answers
come in the order in which they are ready. What has an answer in the output is not asked again; what has an error is.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct, field

from rightseat.errors import ConfigError, InvalidOptionError, RightseatError
from rightseat.facade.sdk import CopilotSDK
from rightseat.json_types import JsonObject
from rightseat.log import logger
from rightseat.masking import mask


class Report(Struct):
    """How it went.

    Attributes:
        answered: lines that were answered now.
        failed: lines that have an error now.
        skipped: lines that had an answer already.
        input_tokens, output_tokens: of what was answered now.
    """

    answered: int = 0
    failed: int = 0
    skipped: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Job(Struct, frozen=True):
    """A line.

    Attributes:
        id: what the answer is known by; "line-N" where the line has none.
        line: its number, from 1.
        prompt: the prompt, or "" where `error` says why there is none.
        options: see `CopilotSDK.chat`.
        error: what is wrong with the line.
    """

    id: str
    line: int
    prompt: str = ""
    options: JsonObject = field(default_factory=dict)
    error: str = ""


def jobs(lines: Iterable[bytes]) -> Iterator[Job]:
    """The jobs of a file. A line that is wrong is a job with an error; empty lines are none."""
    seen: set[str] = set()
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        job = _job(raw, number)
        if job.id in seen and not job.error:
            job = Job(f"line-{number}", number, error=f"id: {job.id!r} is also the id of an earlier line")
        seen.add(job.id)
        yield job


def _job(raw: bytes, number: int) -> Job:
    name = f"line-{number}"
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        return Job(name, number, error=f"not JSON: {e}")
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        return Job(name, number, error="must be a string, or an object with a prompt")
    name = str(value.pop("id", name))
    prompt = value.pop("prompt", None)
    if not isinstance(prompt, str) or not prompt.strip():
        return Job(name, number, error="prompt: must be a non-empty string")
    return Job(name, number, prompt, value)


def answered(path: Path) -> set[str]:
    """The ids that have an answer in an output, which is mended where it was torn: a last line that is not whole goes away.

    Raises:
        ConfigError: it is no output of a batch.
    """
    if not path.is_file():
        return set()
    done: set[str] = set()
    good = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                break
            try:
                value = msgspec.json.decode(raw)
                if "text" in value:
                    done.add(value["id"])
            except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError):
                raise ConfigError(f"{path}, line {number}: not an answer of a batch; give another output") from None
            good += len(raw)
    if path.stat().st_size > good:
        os.truncate(path, good)
    return done


async def run_batch(
    sdk: CopilotSDK,
    lines: Iterable[bytes],
    output: Path,
    *,
    concurrency: int = 8,
    options: JsonObject | None = None,
    on_progress: Callable[[Report], None] | None = None,
) -> Report:
    """Answer all lines.

    Args:
        sdk: who answers; its limits bound the whole.
        lines: JSON lines.
        output: a file that answers are added to.
        concurrency: how many are asked at once.
        options: for lines that do not say otherwise; see `CopilotSDK.chat`.
        on_progress: told after each line.

    Returns:
        How it went. Errors of single lines are in the output and never raised.

    Raises:
        InvalidOptionError: `concurrency` makes no sense.
        ConfigError: the output cannot be read or written.
    """
    if concurrency < 1:
        raise InvalidOptionError(f"concurrency: must be at least 1, not {concurrency}")
    report = Report()
    done = answered(output)
    todo = iter(jobs(lines))
    try:
        file = output.open("ab")
    except OSError as e:
        raise ConfigError(f"{output} cannot be written: {e.strerror}") from e

    async def work() -> None:
        for job in todo:  # shared: each takes the next
            if job.id in done:
                report.skipped += 1
            else:
                _write(file, await _answer(sdk, job, options or {}, report))
            if on_progress is not None:
                on_progress(report)

    with file:
        workers = [asyncio.ensure_future(work()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
    return report


async def _answer(sdk: CopilotSDK, job: Job, options: JsonObject, report: Report) -> JsonObject:
    head = {"id": job.id, "line": job.line}
    if job.error:
        report.failed += 1
        return {**head, "error": {"type": "BadLine", "message": job.error}}
    try:
        response = await sdk.chat(job.prompt, **{**options, **job.options})
    except (RightseatError, TypeError) as e:
        report.failed += 1
        logger.info("batch, line %d: %s", job.line, e)
        error: JsonObject = {"type": type(e).__name__, "message": mask(str(e))}
        if (status := getattr(e, "status", None)) is not None:
            error["status"] = status
        return {**head, "error": error}
    report.answered += 1
    usage = response.usage
    if usage is not None:
        report.input_tokens += usage.input_tokens
        report.output_tokens += usage.output_tokens
    return {
        **head,
        "text": response.text,
        "model": response.model,
        "finish_reason": response.finish_reason,
        "usage": msgspec.to_builtins(usage),
    }


def _write(file: IO[bytes], value: JsonObject) -> None:
    """Write a whole line at once: a reader finds whole lines only, but for the last one at most."""
    try:
        file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        file.flush()
    except OSError as e:
        raise ConfigError(f"the output cannot be written: {e.strerror}") from e


def count_lines(path: Path) -> int:
    """The lines of a file that are not empty, for a progress bar."""
    with path.open("rb") as file:
        return sum(1 for raw in file if raw.strip())
