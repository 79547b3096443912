"""Rules about how a model is called: errors, blocking, time limits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from rightseat.lint.names import File, asks, asks_session, chain, keyword

# RS102 swallowed errors


def swallowed(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Handlers that let every error of a call vanish."""
    for node in file.walk(ast.Try):
        assert isinstance(node, ast.Try)
        if not any(asks(child) for part in node.body for child in ast.walk(part)):
            continue
        for handler in node.handlers:
            if _is_broad(handler.type) and _does_nothing(handler):
                yield handler, "every error of this call is ignored"
    for node in file.walk(ast.With, ast.AsyncWith):
        assert isinstance(node, (ast.With, ast.AsyncWith))
        for item in node.items:
            call = item.context_expr
            if (
                isinstance(call, ast.Call)
                and chain(call.func)[-1] == "suppress"
                and any(_is_broad(arg) for arg in call.args)
                and any(asks(child) for part in node.body for child in ast.walk(part))
            ):
                yield node, "every error of this call is ignored"


def _is_broad(kind: ast.expr | None) -> bool:
    if kind is None:
        return True
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(chain(k)[-1] in ("Exception", "BaseException") for k in kinds)


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    """No raise, no log, no use of the error: it is gone."""
    for node in (child for part in handler.body for child in ast.walk(part)):
        if isinstance(node, (ast.Raise, ast.Call)):
            return False
        if handler.name and isinstance(node, ast.Name) and node.id == handler.name:
            return False
    return True


# RS103 blocking the event loop

_BLOCKING: dict[tuple[str, ...], str] = {
    ("time", "sleep"): "time.sleep",
    ("requests", "get"): "requests.get",
    ("requests", "post"): "requests.post",
    ("requests", "put"): "requests.put",
    ("requests", "request"): "requests.request",
    ("subprocess", "run"): "subprocess.run",
    ("subprocess", "check_output"): "subprocess.check_output",
    ("subprocess", "call"): "subprocess.call",
    ("os", "system"): "os.system",
    ("request", "urlopen"): "urllib.request.urlopen",
}


def blocking(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Calls that block the event loop."""
    clients = _sync_clients(file)
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        names = chain(node.func)
        function = file.function_of(node)
        inside = isinstance(function, ast.AsyncFunctionDef)
        if names[-1] == "run_until_complete" and any(asks(child) for child in ast.walk(node)):
            yield node, "run_until_complete around a call to a model blocks everything else on the loop"
        elif inside and (name := _BLOCKING.get(names[-2:])):
            yield node, f"{name} blocks the event loop and every other conversation on it"
        elif inside and names[:2] == ("asyncio", "run"):
            yield node, "asyncio.run inside a coroutine fails: a loop is running already"
        elif inside and asks(node) and names[0] in clients and not isinstance(file.parents.get(node), ast.Await):
            yield node, f"{names[0]} is a synchronous client: this call blocks the event loop"


def _sync_clients(file: File) -> set[str]:
    """Names that stand for a synchronous client of openai or anthropic."""
    found = set()
    for node in file.walk(ast.Assign):
        assert isinstance(node, ast.Assign)
        if isinstance(node.value, ast.Call) and chain(node.value.func)[-1] in ("OpenAI", "AzureOpenAI", "Anthropic"):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


# RS105 no timeout

_WAITERS = ("wait_for", "timeout", "timeout_at", "move_on_after", "fail_after")
_CLIENTS = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI", "Anthropic", "AsyncAnthropic")


def no_timeout(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Calls that may wait forever: questions to a session without a limit, and limits that were taken away."""
    yield from _taken_away(file)
    if not file.packages & {"rightseat", "github_copilot_sdk"}:  # their calls have a limit unless it was taken away
        for node in _unlimited(file):
            if asks_session(node):
                yield node, "nothing limits how long this call may take"


def clients_own_timeout(file: File) -> Iterator[tuple[ast.AST, str]]:
    """Calls of clients that have a limit of their own, which is minutes."""
    if "rightseat" in file.packages or (
        "github_copilot_sdk" in file.packages and not (file.packages & {"openai", "anthropic", "copilot"})
    ):
        return
    told = {id(node) for node, _ in no_timeout(file)}
    for node in _unlimited(file):
        if id(node) not in told:
            yield (
                node,
                "nothing but the client's own limit, which is ten minutes in openai and anthropic, ends this call",
            )


def _unlimited(file: File) -> Iterator[ast.AST]:
    """Calls that ask a model, with no limit in the file that is theirs."""
    limited = any(
        keyword(node, "timeout") is not None
        for node in file.walk(ast.Call)
        if isinstance(node, ast.Call) and chain(node.func)[-1] in _CLIENTS
    )
    for node in file.walk(ast.Call) if not limited else ():
        assert isinstance(node, ast.Call)
        if asks(node) and not _is_limited(file, node) and chain(node.func)[-1] not in ("send_and_wait", "ask"):
            yield node


def _taken_away(file: File) -> Iterator[tuple[ast.AST, str]]:
    """`timeout=None`, said aloud."""
    for node in file.walk(ast.Call):
        assert isinstance(node, ast.Call)
        value = keyword(node, "timeout")
        if keyword(node, "inactivity_timeout") is not None:
            continue
        if not isinstance(value, ast.Constant) or value.value is not None:
            continue
        if asks(node):
            yield node, "timeout=None: this call may wait forever"
        elif chain(node.func)[-1] in (*_CLIENTS, "CopilotSDK"):
            yield node, "timeout=None: calls of this client may wait forever"


def _is_limited(file: File, call: ast.Call) -> bool:
    if keyword(call, "timeout") is not None:
        return True
    for node in file.above(call):
        if isinstance(node, ast.Call) and chain(node.func)[-1] in _WAITERS:
            return True
        if isinstance(node, (ast.With, ast.AsyncWith)) and any(
            isinstance(item.context_expr, ast.Call) and chain(item.context_expr.func)[-1] in _WAITERS
            for item in node.items
        ):
            return True
    return False
