"""One call of a tool, executed. Always gives a result.

It does not know how the call came and where the result goes.
"""

from __future__ import annotations

import asyncio
import inspect

from rightseat.errors import EncodeError
from rightseat.log import logger
from rightseat.masking import mask
from rightseat.sdk.calling import is_async
from rightseat.sdk.tools import Tool, ToolBinaryResult, ToolFailure, ToolInvocation, ToolResult
from rightseat.wire.jsonrpc import encode_json
from rightseat.wire.record import Record, as_record


async def run(tool: Tool, invocation: ToolInvocation) -> ToolResult:
    """Execute one call. Always gives a result, unless this task is cancelled.

    A `def` runs in a worker thread; when its time is up, the thread runs on and its result is dropped.
    """
    if tool.handler is None:
        return _failure(f"Tool {tool.name} has no handler here.", "NoHandler", None)
    try:
        async with asyncio.timeout(tool.timeout):
            if getattr(tool.handler, "is_async", None) or is_async(tool.handler):
                value = tool.handler(invocation)
            else:
                value = await asyncio.to_thread(tool.handler, invocation)
            if inspect.isawaitable(value):
                value = await value
        return to_result(tool.name, value)
    except ToolFailure as e:
        return _failure(str(e), "ToolFailure", str(e))
    except TimeoutError as e:
        if tool.timeout is None:  # the tool's own
            return _failed(tool.name, e)
        logger.warning("tool %s did not finish within %g s", tool.name, tool.timeout)
        text = f"Tool {tool.name} did not finish within {tool.timeout:g} seconds."
        return ToolResult(text, "timeout", error=text, error_type="TimeoutError")
    except Exception as e:
        return _failed(tool.name, e)


def _failed(name: str, e: BaseException) -> ToolResult:
    logger.warning("tool %s failed", name, exc_info=e)
    # The model learns that and how, not what: exception texts may hold paths, queries and secrets.
    return _failure(f"Tool {name} failed with {type(e).__name__}.", type(e).__name__, mask(f"{type(e).__name__}: {e}"))


def _failure(text: str, error_type: str, error: str | None) -> ToolResult:
    return ToolResult(text, "failure", error=error or text, error_type=error_type)


def to_result(name: str, value: object) -> ToolResult:
    """What a tool returned, as a ToolResult.

    A dict with `textResultForLlm`, or with `success` (true or false) and, on failure, `error` and `error_type`, is read as a
    result; anything else is text or becomes JSON. What JSON cannot hold is a failure that says so.
    """
    if isinstance(value, ToolResult):
        return value
    if value is None:
        return ToolResult("")
    if isinstance(value, str):
        return ToolResult(value)
    if isinstance(value, dict) and "textResultForLlm" in value:
        return _result_from_wire(as_record(value))
    try:
        text = encode_json(value, f"the result of tool {name}").decode()
    except EncodeError as e:
        logger.warning("%s", e)
        return _failure(
            f"Tool {name} returned a value of type {type(value).__name__}, which cannot be sent.", "EncodeError", str(e)
        )
    if isinstance(value, dict) and value.get("success") is False:
        return ToolResult(text, "failure", error=str(value.get("error", text)), error_type=value.get("error_type"))
    return ToolResult(text)


def _result_from_wire(value: Record) -> ToolResult:
    return ToolResult(
        str(value["textResultForLlm"]),
        value.get("resultType", "success"),
        error=value.get("error"),
        binary_results_for_llm=[
            ToolBinaryResult(b.get("data", ""), b.get("mimeType", ""), b.get("type", "image"), b.get("description", ""))
            for b in value.get("binaryResultsForLlm") or ()
        ]
        or None,
        session_log=value.get("sessionLog"),
        tool_telemetry=value.get("toolTelemetry"),
    )
